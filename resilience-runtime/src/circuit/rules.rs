//! When a circuit trips, how long it stays open, and how it probes: the settings in force.

use std::time::Duration;

use crate::{
    clock::nanos,
    events::TripReason,
    settings::CircuitSettings,
    stats::Sample,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    window::Sums,
};

/// The settings that calls read, each an atomic of its own, so that `configure` needs no lock on their side.
/// Nobody writes to this memory while calls run, so all cores share it.
#[derive(Debug)]
pub(super) struct Live {
    failure_rate: AtomicU64,
    slow_rate: AtomicU64,
    min_calls: AtomicU32,
    failure_threshold: AtomicU32,
    failure_reset: AtomicU64,
    slow_call: AtomicU64,
    open: AtomicU64,
    open_max: AtomicU64,
    verdict_time: AtomicU64,
    /// Probes of a half-open period, and below them how many have to succeed: nobody may read one without the other.
    probes: AtomicU32,
}

/// Stands for an absent duration: nothing lasts longer.
const NEVER: u64 = u64::MAX;

impl Live {
    pub(super) fn new(settings: &CircuitSettings) -> Self {
        let live = Self {
            failure_rate: AtomicU64::new(0),
            slow_rate: AtomicU64::new(0),
            min_calls: AtomicU32::new(0),
            failure_threshold: AtomicU32::new(0),
            failure_reset: AtomicU64::new(0),
            slow_call: AtomicU64::new(0),
            open: AtomicU64::new(0),
            open_max: AtomicU64::new(0),
            verdict_time: AtomicU64::new(0),
            probes: AtomicU32::new(0),
        };
        live.apply(settings);
        live
    }

    pub(super) fn apply(&self, settings: &CircuitSettings) {
        let rate = |rate: Option<f64>| rate.unwrap_or(f64::INFINITY).to_bits();
        let time = |time: Option<Duration>| time.map_or(NEVER, nanos);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.failure_rate.store(rate(settings.trip_rate()), Ordering::Relaxed);
        self.slow_rate.store(rate(settings.trip_slow_rate()), Ordering::Relaxed);
        self.min_calls.store(count(settings.least_calls()), Ordering::Relaxed);
        self.failure_threshold.store(settings.failure_threshold.unwrap_or(0), Ordering::Relaxed);
        self.failure_reset.store(time(settings.failure_reset), Ordering::Relaxed);
        self.slow_call.store(time(settings.slow_call), Ordering::Relaxed);
        self.open.store(nanos(settings.open_time()), Ordering::Relaxed);
        self.open_max.store(settings.open_max.map_or(0, nanos), Ordering::Relaxed);
        self.verdict_time.store(nanos(settings.verdict_time()), Ordering::Relaxed);
        let probes = count(settings.most_probes()) << 16 | count(settings.successes());
        self.probes.store(probes, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn watches_slow_calls(&self) -> bool {
        self.slow_call.load(Ordering::Relaxed) != NEVER
    }

    #[inline]
    pub(super) fn is_slow(&self, took: Option<Sample>) -> bool {
        took.is_some_and(|took| took.nanos() > self.slow_call.load(Ordering::Relaxed))
    }

    pub(super) fn verdict_time(&self) -> Duration {
        Duration::from_nanos(self.verdict_time.load(Ordering::Relaxed))
    }

    /// Probes let through in a half-open period, and how many of them have to succeed.
    pub(super) fn probes(&self) -> (u16, u16) {
        let probes = self.probes.load(Ordering::Relaxed);
        ((probes >> 16) as u16, probes as u16)
    }

    /// How long the circuit stays open after `streak` failed half-open periods in a row. `random` shortens the
    /// grown times by up to a tenth, so that circuits that tripped together do not probe together.
    pub(super) fn open_time(&self, streak: u32, random: u64) -> Duration {
        let open = self.open.load(Ordering::Relaxed);
        let longest = self.open_max.load(Ordering::Relaxed);
        if streak == 0 || longest <= open {
            return Duration::from_nanos(open);
        }
        let grown = open.saturating_mul(1 << streak.min(63)).min(longest);
        Duration::from_nanos((grown - random % (grown / 10 + 1)).max(open))
    }

    /// Whether a window without a rate has too few calls for one.
    pub(super) fn judges(&self, calls: u32) -> bool {
        calls > 0 && calls >= self.min_calls.load(Ordering::Relaxed)
    }

    /// The built-in rules.
    pub(super) fn should_trip(&self, sums: Sums, consecutive: u32) -> Option<TripReason> {
        let threshold = self.failure_threshold.load(Ordering::Relaxed);
        if threshold > 0 && consecutive >= threshold {
            return Some(TripReason::ConsecutiveFailures { count: consecutive });
        }
        if !self.judges(sums.calls) {
            return None;
        }
        let limit = |rate: &AtomicU64| f64::from_bits(rate.load(Ordering::Relaxed));
        let rate = share(sums.failures, sums.calls);
        if rate >= limit(&self.failure_rate) {
            return Some(TripReason::FailureRate { rate, calls: sums.calls });
        }
        let rate = share(sums.slow, sums.calls);
        (rate >= limit(&self.slow_rate)).then_some(TripReason::SlowCallRate { rate, calls: sums.calls })
    }

    /// After which pause a run of failures is forgotten, if ever.
    pub(super) fn failure_reset(&self) -> Option<Duration> {
        match self.failure_reset.load(Ordering::Relaxed) {
            NEVER => None,
            pause => Some(Duration::from_nanos(pause)),
        }
    }
}

pub(super) fn share(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(settings: CircuitSettings) -> Live {
        Live::new(&settings)
    }

    fn sums(calls: u32, failures: u32, slow: u32) -> Sums {
        Sums { calls, failures, slow }
    }

    #[test]
    fn a_verdict_falls_at_min_calls_and_at_the_rate_not_above_it() {
        let live = live(CircuitSettings::new().min_calls(4));
        assert_eq!(live.should_trip(sums(3, 3, 0), 3), None);
        assert_eq!(live.should_trip(sums(4, 1, 0), 1), None);
        let reason = TripReason::FailureRate { rate: 0.5, calls: 4 };
        assert_eq!(live.should_trip(sums(4, 2, 0), 1), Some(reason));
    }

    #[test]
    fn slow_calls_and_runs_trip_by_their_own_rules() {
        let slow = live(CircuitSettings::new().slow_call_ms(1).slow_call_rate(0.25));
        let reason = TripReason::SlowCallRate { rate: 0.3, calls: 10 };
        assert_eq!(slow.should_trip(sums(10, 0, 3), 0), Some(reason));
        let run = live(CircuitSettings::new().failure_threshold(3));
        assert_eq!(run.should_trip(sums(100, 100, 0), 2), None);
        assert_eq!(run.should_trip(sums(3, 3, 0), 3), Some(TripReason::ConsecutiveFailures { count: 3 }));
    }

    #[test]
    fn the_open_time_doubles_up_to_its_limit_and_never_overflows() {
        let live = live(CircuitSettings::new().open_ms(100).open_max_ms(350));
        let times = [0, 1, 2, 3, 64, u32::MAX].map(|streak| live.open_time(streak, 0).as_millis());
        assert_eq!(times, [100, 200, 350, 350, 350, 350]);
        for random in [1, 12_345, u64::MAX] {
            let time = live.open_time(1, random).as_millis();
            assert!((180..=200).contains(&time), "{time}");
        }
        let tenth = 20_000_000;
        let times = [tenth - 1, tenth, tenth + 1].map(|random| live.open_time(1, random).as_nanos());
        assert_eq!(times, [180_000_001, 180_000_000, 200_000_000]);
    }
}
