//! The one place that reads time.
//!
//! Everything else takes the time as an argument, so that state machines are plain functions of (state, now).
//! In debug builds, and with feature `test-util`, the source is tokio's clock, which tests can pause and advance;
//! in release builds it is the processor's cycle counter (crate `quanta`), which reads in a third of the time.
//! Both are monotonic. Two paused runtimes of one process may disagree, so every subtraction saturates.

use std::time::Duration;

use tokio::time::Sleep;

pub(crate) use self::source::now;

/// A moment on this library's monotonic clock, in nanoseconds.
///
/// Only differences mean anything.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::Instant;
///
/// let start = Instant::now();
/// assert_eq!(start.saturating_add(Duration::from_secs(2)).saturating_since(start), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// Later than every moment a clock returns; stands for "never".
    pub(crate) const FAR: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the clock's zero.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Reads the clock: tokio's in debug builds and with feature `test-util`, the cycle counter otherwise.
    #[must_use]
    pub fn now() -> Self {
        now()
    }

    /// This moment plus `duration`, or the last moment there is.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// As [`saturating_since`](Self::saturating_since), in nanoseconds: a [`Duration`] is made by a division and
    /// taken apart by a multiplication, which calls that only count the nanoseconds need not pay for.
    #[inline]
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// `duration` in whole nanoseconds, capped at 584 years.
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// A timer that fires at `at`.
///
/// # Panics
///
/// Outside a tokio runtime with its time driver enabled.
pub(crate) fn sleep_until(at: Instant) -> Sleep {
    sleep_from(now(), at)
}

/// As [`sleep_until`], for callers that have just read the clock.
pub(crate) fn sleep_from(now: Instant, at: Instant) -> Sleep {
    tokio::time::sleep_until(source::timer_from(now, at))
}

/// `at` as tokio's timer wheel counts.
pub(crate) fn timer(at: Instant) -> tokio::time::Instant {
    source::timer_from(now(), at)
}

/// Writes a duration as milliseconds, the unit of every dashboard.
#[cfg(feature = "serde")]
pub(crate) fn serialize_millis<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

/// The same where there may be none.
#[cfg(feature = "serde")]
#[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn serialize_optional_millis<S: serde::Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize_millis(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// Tokio's clock, which paused tests drive.
#[cfg(any(debug_assertions, feature = "test-util"))]
mod source {
    use std::{sync::OnceLock, time::Duration};

    use super::Instant;

    /// Far from both ends of `u64`, so that a paused runtime whose clock stands before the first reading
    /// made in the process still gets distinct moments.
    const ZERO: u64 = 1 << 60;

    #[allow(clippy::disallowed_methods)]
    fn read() -> tokio::time::Instant {
        tokio::time::Instant::now()
    }

    fn epoch() -> tokio::time::Instant {
        static EPOCH: OnceLock<tokio::time::Instant> = OnceLock::new();
        *EPOCH.get_or_init(read)
    }

    pub(crate) fn now() -> Instant {
        let (epoch, now) = (epoch(), read());
        Instant::from_nanos(match now.checked_duration_since(epoch) {
            Some(after) => ZERO.saturating_add(super::nanos(after)),
            None => ZERO.saturating_sub(super::nanos(epoch.saturating_duration_since(now))),
        })
    }

    /// `at` as tokio's timer wheel counts, exactly.
    pub(super) fn timer_from(_now: Instant, at: Instant) -> tokio::time::Instant {
        let epoch = epoch();
        let moment = if at.as_nanos() >= ZERO {
            epoch.checked_add(Duration::from_nanos(at.as_nanos() - ZERO))
        } else {
            epoch.checked_sub(Duration::from_nanos(ZERO - at.as_nanos()))
        };
        moment.unwrap_or(epoch)
    }
}

/// The cycle counter.
#[cfg(not(any(debug_assertions, feature = "test-util")))]
mod source {
    use std::{cell::Cell, sync::OnceLock, time::Duration};

    use super::Instant;

    /// So many ticks before its first reading the clock has its zero: a day. A counter may begin anywhere, on some machines
    /// near its end; and one that a machine moved to another host sets back does not come before zero. No reading is zero,
    /// so that a stored zero can mean "not yet".
    const EARLIER: u64 = 1 << 48;

    struct Source {
        clock: quanta::Clock,
        zero: u64,
        /// Nanoseconds of `1 << SHIFT` ticks. One multiplication by a number that is known is less than the clock's
        /// own conversion; it is as exact to a part in a trillion.
        scale: u64,
    }

    const SHIFT: u32 = 40;

    #[inline]
    pub(crate) fn now() -> Instant {
        static SOURCE: OnceLock<Source> = OnceLock::new();
        let source = SOURCE.get_or_init(|| {
            let clock = quanta::Clock::new();
            let (zero, scale) = (clock.raw().wrapping_sub(EARLIER), clock.delta_as_nanos(0, 1 << SHIFT));
            Source { clock, zero, scale }
        });
        let ticks = source.clock.raw().wrapping_sub(source.zero);
        Instant::from_nanos(((u128::from(ticks) * u128::from(source.scale)) >> SHIFT) as u64)
    }

    /// For so long a thread relies on one pair of readings. The two clocks drift apart by less than a microsecond
    /// meanwhile, and never add it up over the life of a process.
    const FRESH: Duration = Duration::from_millis(100);

    /// Readings further apart were interrupted and are not kept.
    const TOGETHER: Duration = Duration::from_micros(5);

    thread_local! {
        /// One moment on both clocks. Reading tokio's costs as much as registering a timer.
        static PAIR: Cell<Option<(Instant, tokio::time::Instant)>> = const { Cell::new(None) };
    }

    /// `at` as tokio's timer wheel counts, seen from a moment shortly after `now`; never too early.
    pub(super) fn timer_from(now: Instant, at: Instant) -> tokio::time::Instant {
        let (ours, tokios) = match PAIR.get() {
            Some(pair) if now.saturating_since(pair.0) < FRESH => pair,
            _ => read_both(),
        };
        tokios + at.saturating_since(ours).min(super::LONGEST_TIMER)
    }

    #[cold]
    #[allow(clippy::disallowed_methods)]
    fn read_both() -> (Instant, tokio::time::Instant) {
        let pair = (now(), tokio::time::Instant::now());
        PAIR.set((now().saturating_since(pair.0) < TOGETHER).then_some(pair));
        pair
    }
}

/// About thirty years: what tokio itself substitutes for a deadline it cannot represent.
#[cfg(not(any(debug_assertions, feature = "test-util")))]
const LONGEST_TIMER: Duration = Duration::from_secs(86_400 * 365 * 30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn paused_time_drives_the_clock_exactly() {
        let start = now();
        tokio::time::advance(Duration::from_millis(1_234)).await;
        assert_eq!(now().saturating_since(start), Duration::from_millis(1_234));
        assert_eq!(start.saturating_since(now()), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_at_its_moment() {
        let start = now();
        sleep_until(start.saturating_add(Duration::from_millis(250))).await;
        assert_eq!(now().saturating_since(start), Duration::from_millis(250));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::FAR.saturating_add(Duration::MAX), Instant::FAR);
        assert_eq!(Instant::from_nanos(5).saturating_since(Instant::FAR), Duration::ZERO);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}

#[cfg(all(test, not(any(debug_assertions, feature = "test-util"))))]
mod release_tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_timer_lies_as_far_ahead_on_tokios_clock_as_on_ours() {
        let (second, tolerance) = (Duration::from_secs(1), Duration::from_micros(10));
        for _ in 0..100_000 {
            let earlier = tokio::time::Instant::now();
            let now = now();
            let timer = source::timer_from(now, now.saturating_add(second));
            let later = tokio::time::Instant::now();
            assert!(earlier + second <= timer + tolerance && timer <= later + second + tolerance);
        }
    }
}
