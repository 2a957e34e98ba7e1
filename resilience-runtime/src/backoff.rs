//! How long to wait before the next attempt.
//!
//! A dependency that fails under load fails again if everybody returns at once. Delays therefore grow, and a part
//! of each is left to chance. The schemes are those of Marc Brooker's comparison, "Exponential Backoff And Jitter"
//! (AWS Architecture Blog, 2015). Everything here is a plain function of its arguments, the random number included.

use std::time::Duration;

use fastrand::Rng;

use crate::{
    clock::nanos,
    settings::{BackoffKind, Jitter, RetrySettings},
};

/// How delays grow from one retry to the next. `Copy`, and buildable in constants.
///
/// # Default
///
/// * `max_delay`: 10 s, or the first delay if that is longer
/// * `factor`: 2, used by [`exponential`](Self::exponential) only
/// * `jitter`: [`Jitter::Full`]; [`decorrelated`](Self::decorrelated) draws in its own way and ignores it
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{Backoff, Jitter};
///
/// const GENTLE: Backoff = Backoff::exponential(Duration::from_millis(100))
///     .max_delay(Duration::from_secs(1))
///     .jitter(Jitter::None);
///
/// let millis: Vec<_> = GENTLE.delays().take(6).map(|delay| delay.as_millis()).collect();
/// assert_eq!(millis, [100, 200, 400, 800, 1_000, 1_000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a backoff does nothing until it is given to a retry or asked for its delays"]
pub struct Backoff {
    kind: BackoffKind,
    delay: Duration,
    max_delay: Duration,
    factor: f64,
    jitter: Jitter,
}

impl Backoff {
    /// All delays are `delay`.
    pub const fn fixed(delay: Duration) -> Self {
        Self::new(BackoffKind::Fixed, delay)
    }

    /// The n-th delay is n times `first`.
    pub const fn linear(first: Duration) -> Self {
        Self::new(BackoffKind::Linear, first)
    }

    /// Each delay is the one before, times [`factor`](Self::factor).
    pub const fn exponential(first: Duration) -> Self {
        Self::new(BackoffKind::Exponential, first)
    }

    /// Each delay is drawn between `first` and three times the one before.
    pub const fn decorrelated(first: Duration) -> Self {
        Self::new(BackoffKind::Decorrelated, first)
    }

    const fn new(kind: BackoffKind, delay: Duration) -> Self {
        let usual = Duration::from_secs(10);
        let max_delay = if delay.as_nanos() > usual.as_nanos() { delay } else { usual };
        Self { kind, delay, max_delay, factor: 2.0, jitter: Jitter::Full }
    }

    /// What `settings` say about delays.
    pub(crate) const fn of(settings: &RetrySettings) -> Self {
        let RetrySettings { backoff, delay, max_delay, factor, jitter, .. } = *settings;
        Self { kind: backoff, delay, max_delay, factor, jitter }
    }

    /// `settings` with these delays.
    pub(crate) const fn apply(self, mut settings: RetrySettings) -> RetrySettings {
        let Self { kind, delay, max_delay, factor, jitter } = self;
        settings.backoff = kind;
        settings.delay = delay;
        settings.max_delay = max_delay;
        settings.factor = factor;
        settings.jitter = jitter;
        settings
    }

    /// No delay is longer, jitter included.
    pub const fn max_delay(mut self, longest: Duration) -> Self {
        self.max_delay = longest;
        self
    }

    /// What an exponential delay is multiplied with.
    ///
    /// # Panics
    ///
    /// If `factor` is below 1 or not finite; in a constant that is a compile error.
    #[track_caller]
    pub const fn factor(mut self, factor: f64) -> Self {
        assert!(factor >= 1.0 && factor < f64::INFINITY, "`factor` must be at least 1, and finite");
        self.factor = factor;
        self
    }

    /// How much of a delay is left to chance.
    ///
    /// # Panics
    ///
    /// If the share of a [`Jitter::Share`] is not in (0, 1]; in a constant that is a compile error.
    #[track_caller]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        if let Jitter::Share(share) = jitter {
            assert!(share > 0.0 && share <= 1.0, "`jitter` must be above 0 and at most 1");
        }
        self.jitter = jitter;
        self
    }

    /// The delays one after another, without end.
    pub fn delays(self) -> Delays {
        self.delays_from(Rng::new())
    }

    /// The delays one after another, the same ones for the same `seed`.
    pub fn seeded_delays(self, seed: u64) -> Delays {
        self.delays_from(Rng::with_seed(seed))
    }

    fn delays_from(self, rng: Rng) -> Delays {
        Delays { backoff: self, rng, attempt: 0, previous: None }
    }

    /// The delay after attempt number `attempt` (1-based), given the delay before that attempt and a random number
    /// in `[0, 1)`.
    ///
    /// The undrawn delay is limited to the longest first, so that callers at the limit still spread, and the drawn
    /// one last, so that jitter cannot exceed the limit. Nothing overflows, for any attempt and any factor: integer
    /// arithmetic saturates, and so does the conversion from `f64`, which takes infinity to the largest integer.
    pub(crate) fn delay(&self, attempt: u32, previous: Option<Duration>, random: f64) -> Duration {
        let (first, longest) = (nanos(self.delay), nanos(self.max_delay));
        let grown = match self.kind {
            BackoffKind::Fixed => first,
            BackoffKind::Linear => first.saturating_mul(u64::from(attempt.max(1))),
            BackoffKind::Exponential => {
                let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
                (first as f64 * self.factor.powi(exponent)) as u64
            }
            BackoffKind::Decorrelated => {
                let high = previous.map_or(first, nanos).saturating_mul(3).clamp(first, longest.max(first));
                return Duration::from_nanos(between(first, high, random).min(longest));
            }
        }
        .min(longest);
        let drawn = match self.jitter {
            Jitter::Equal => between(grown / 2, grown, random),
            Jitter::Full => between(0, grown, random),
            Jitter::None => grown,
            Jitter::Share(share) => {
                let spread = (grown as f64 * share) as u64;
                between(grown.saturating_sub(spread), grown.saturating_add(spread), random)
            }
        };
        Duration::from_nanos(drawn.min(longest))
    }
}

impl From<&RetrySettings> for Backoff {
    fn from(settings: &RetrySettings) -> Self {
        Self::of(settings)
    }
}

/// The delays of a [`Backoff`], without end.
#[derive(Clone, Debug)]
#[must_use = "iterators do nothing until they are consumed"]
pub struct Delays {
    backoff: Backoff,
    rng: Rng,
    attempt: u32,
    previous: Option<Duration>,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.attempt = self.attempt.saturating_add(1);
        let delay = self.backoff.delay(self.attempt, self.previous, self.rng.f64());
        self.previous = Some(delay);
        Some(delay)
    }
}

/// The point that divides `low..high` in the ratio `random`.
fn between(low: u64, high: u64, random: f64) -> u64 {
    low.saturating_add(((high - low) as f64 * random) as u64).min(high)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const ALMOST_ONE: f64 = 1.0 - f64::EPSILON;

    fn plain(backoff: Backoff, attempts: u32) -> Vec<u64> {
        let backoff = backoff.jitter(Jitter::None);
        (1..=attempts).map(|attempt| backoff.delay(attempt, None, 0.5).as_millis() as u64).collect()
    }

    #[test]
    fn delays_grow_as_their_names_say() {
        assert_eq!(plain(Backoff::fixed(MS(70)), 3), [70, 70, 70]);
        assert_eq!(plain(Backoff::linear(MS(70)), 3), [70, 140, 210]);
        assert_eq!(plain(Backoff::exponential(MS(70)), 4), [70, 140, 280, 560]);
        assert_eq!(plain(Backoff::exponential(MS(100)).factor(1.5), 3), [100, 150, 225]);
        assert_eq!(plain(Backoff::exponential(MS(100)).factor(1.0), 3), [100, 100, 100]);
    }

    #[test]
    fn a_long_first_delay_raises_the_default_limit() {
        assert_eq!(plain(Backoff::fixed(MS(20_000)), 2), [20_000, 20_000]);
        assert_eq!(plain(Backoff::fixed(MS(20_000)).max_delay(MS(300)), 2), [300, 300]);
    }

    #[test]
    fn jitter_draws_from_its_range() {
        for (jitter, low, high) in [
            (Jitter::None, 1_000, 1_000),
            (Jitter::Equal, 500, 1_000),
            (Jitter::Full, 0, 1_000),
            (Jitter::Share(0.1), 900, 1_100),
        ] {
            let backoff = Backoff::fixed(MS(1_000)).jitter(jitter);
            assert_eq!(backoff.delay(1, None, 0.0), MS(low), "{jitter:?}");
            let most = backoff.delay(1, None, ALMOST_ONE);
            assert!(most <= MS(high) && most + Duration::from_micros(1) >= MS(high), "{jitter:?}: {most:?}");
        }
    }

    #[test]
    fn jitter_never_exceeds_the_longest_delay() {
        let backoff = Backoff::exponential(MS(100)).max_delay(MS(1_000)).jitter(Jitter::Share(1.0));
        for attempt in [1, 4, 5, 50] {
            assert!(backoff.delay(attempt, None, ALMOST_ONE) <= MS(1_000));
        }
    }

    #[test]
    fn callers_at_the_limit_still_spread() {
        let backoff = Backoff::exponential(MS(100)).max_delay(MS(1_000));
        assert_eq!(backoff.delay(30, None, 0.25), MS(250));
        let backoff = Backoff::decorrelated(MS(100)).max_delay(MS(1_000));
        assert_eq!(backoff.delay(30, Some(MS(1_000)), 0.5), MS(550));
    }

    #[test]
    fn ten_thousand_attempts_neither_overflow_nor_shrink() {
        for first in [Duration::from_nanos(1), MS(100), Duration::MAX] {
            for longest in [MS(100), MS(10_000), Duration::MAX] {
                for backoff in [
                    Backoff::linear(first),
                    Backoff::exponential(first),
                    Backoff::exponential(first).factor(f64::MAX),
                    Backoff::exponential(first).factor(1.000_000_1),
                ] {
                    let backoff = backoff.max_delay(longest).jitter(Jitter::None);
                    let mut last = Duration::ZERO;
                    for attempt in (0..=10_000).chain([u32::MAX]) {
                        let delay = backoff.delay(attempt, None, 0.5);
                        assert!(last <= delay && delay <= longest, "{backoff:?} {attempt} {delay:?}");
                        last = delay;
                    }
                }
            }
        }
    }

    #[test]
    fn no_delay_is_not_a_number() {
        let backoff = Backoff::exponential(Duration::ZERO).factor(f64::MAX).jitter(Jitter::None);
        assert_eq!(backoff.delay(10_000, None, 0.5), Duration::ZERO);
    }

    #[test]
    fn decorrelated_delays_stay_between_the_first_and_three_times_the_one_before() {
        let (first, longest) = (MS(100), MS(5_000));
        for seed in 0..100 {
            let mut previous = first;
            for delay in Backoff::decorrelated(first).max_delay(longest).seeded_delays(seed).take(100) {
                assert!(first <= delay && delay <= (previous * 3).min(longest));
                previous = delay;
            }
        }
    }

    #[test]
    fn a_seed_fixes_the_delays() {
        let delays = |seed| Backoff::exponential(MS(100)).seeded_delays(seed).take(20).collect::<Vec<_>>();
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }

    #[test]
    #[should_panic(expected = "`factor` must be at least 1, and finite")]
    fn a_shrinking_factor_is_refused() {
        let _ = Backoff::exponential(MS(1)).factor(0.5);
    }

    #[test]
    #[should_panic(expected = "`factor` must be at least 1, and finite")]
    fn an_endless_factor_is_refused() {
        let _ = Backoff::exponential(MS(1)).factor(f64::INFINITY);
    }

    proptest! {
        #[test]
        fn every_delay_is_within_its_bounds(
            kind in 0..4, first in any::<u64>(), longest in any::<u64>(), factor in 1.0..f64::MAX,
            share in 0.001..=1.0, jitter in 0..4, attempt in any::<u32>(), previous in any::<Option<u64>>(),
            random in 0.0..1.0,
        ) {
            let first = Duration::from_nanos(first);
            let backoff = [Backoff::fixed, Backoff::linear, Backoff::exponential, Backoff::decorrelated][kind as usize](first)
                .factor(factor)
                .max_delay(Duration::from_nanos(longest))
                .jitter([Jitter::None, Jitter::Equal, Jitter::Full, Jitter::Share(share)][jitter as usize]);
            let delay = backoff.delay(attempt, previous.map(Duration::from_nanos), random);
            prop_assert!(delay <= Duration::from_nanos(longest));
        }
    }
}
