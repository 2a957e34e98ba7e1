//! Settings of a circuit breaker.

use std::time::Duration;

use super::{checked, is_rate, reason};
use crate::error::InvalidSettings;

/// Settings of a circuit breaker, buildable in constants. The setters are named as the attribute's keys.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{CircuitBreaker, CircuitSettings};
///
/// const STRICT: CircuitSettings = CircuitSettings::new().failure_threshold(3).open_ms(5_000).checked();
///
/// let circuit = CircuitBreaker::builder("api").settings(STRICT).build()?;
/// assert!(circuit.is_closed());
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "settings do nothing until they are given to a builder or to `configure`"]
pub struct CircuitSettings {
    pub(crate) failure_rate: Option<f64>,
    pub(crate) window: Option<usize>,
    pub(crate) window_time: Option<Duration>,
    pub(crate) min_calls: Option<usize>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) failure_reset: Option<Duration>,
    pub(crate) slow_call: Option<Duration>,
    pub(crate) slow_call_rate: Option<f64>,
    pub(crate) open: Option<Duration>,
    pub(crate) open_max: Option<Duration>,
    pub(crate) probes: Option<usize>,
    pub(crate) probe_successes: Option<usize>,
    pub(crate) half_open_max: Option<Duration>,
    pub(crate) critical: bool,
}

/// What [`CircuitSettings`] come to: every value as it applies, with the defaults in the places of those not given.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::CircuitBreaker;
///
/// let circuit = CircuitBreaker::builder("api").failure_threshold(5).probes(3).build()?;
/// let rules = circuit.settings().rules();
/// assert_eq!((rules.failure_threshold, rules.failure_rate), (Some(5), None));
/// assert_eq!((rules.open, rules.probe_successes), (Duration::from_secs(30), 3));
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitRules {
    /// The share of failures in the window that trips, in (0, 1]; `None` if it is not watched.
    pub failure_rate: Option<f64>,
    /// How many calls the window holds; `None` if it holds those of a time.
    pub window: Option<usize>,
    /// Of how long a time it holds the calls; `None` if it holds so many.
    pub window_time: Option<Duration>,
    /// No rate is computed from fewer calls.
    pub min_calls: usize,
    /// The number of failures in a row that trips; `None` if they are not watched.
    pub failure_threshold: Option<u32>,
    /// The pause after which a run of failures is forgotten; `None` if it never is.
    pub failure_reset: Option<Duration>,
    /// The duration above which a call is slow; `None` if none is.
    pub slow_call: Option<Duration>,
    /// The share of slow calls in the window that trips, in (0, 1]; `None` if it is not watched.
    pub slow_call_rate: Option<f64>,
    /// How long it stays open before it probes.
    pub open: Duration,
    /// Up to which length that doubles with every failed round of probes; `None` if it does not.
    pub open_max: Option<Duration>,
    /// The most probes of a half-open period.
    pub probes: usize,
    /// How many of them close it.
    pub probe_successes: usize,
    /// The longest time from the first probe to the verdict.
    pub half_open_max: Duration,
    /// Whether the process is unhealthy, not merely degraded, while it is open.
    pub critical: bool,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WindowShape {
    /// The last so many calls.
    Count(usize),
    /// The calls of the last so long.
    Time(Duration),
}

impl CircuitSettings {
    /// The longest count window: its totals share one atomic word.
    pub const MOST_CALLS: usize = 1_000_000;

    /// The most probes: admitted, succeeded and failed ones share one atomic word with the state.
    pub const MOST_PROBES: usize = 1_000;

    /// The defaults: open at a failure rate of 50 % over the last 100 calls (10 at least), for 30 s, then two
    /// probes that must both succeed.
    pub const fn new() -> Self {
        Self {
            failure_rate: None,
            window: None,
            window_time: None,
            min_calls: None,
            failure_threshold: None,
            failure_reset: None,
            slow_call: None,
            slow_call_rate: None,
            open: None,
            open_max: None,
            probes: None,
            probe_successes: None,
            half_open_max: None,
            critical: false,
        }
    }

    /// Open when this share of the calls in the window failed, in (0, 1]. Default 0.5, unless only
    /// `failure_threshold` is given.
    pub const fn failure_rate(mut self, rate: f64) -> Self {
        self.failure_rate = Some(rate);
        self
    }

    /// The window is the last `calls` calls, 1 to [`MOST_CALLS`](Self::MOST_CALLS). Default 100.
    pub const fn window(mut self, calls: usize) -> Self {
        self.window = Some(calls);
        self
    }

    /// The window is the calls of the last so many milliseconds, kept in ten buckets.
    pub const fn window_ms(mut self, millis: u64) -> Self {
        self.window_time = Some(Duration::from_millis(millis));
        self
    }

    /// No rate is computed from fewer calls. Default: the smaller of 10 and `window`.
    pub const fn min_calls(mut self, calls: usize) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Open after this many failures in a row. Given without a rate, it is the only rule.
    pub const fn failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = Some(failures);
        self
    }

    /// A run of failures is forgotten after this many idle milliseconds. Default: never.
    pub const fn failure_reset_ms(mut self, millis: u64) -> Self {
        self.failure_reset = Some(Duration::from_millis(millis));
        self
    }

    /// A call that takes longer than this many milliseconds is slow. Default: none is.
    pub const fn slow_call_ms(mut self, millis: u64) -> Self {
        self.slow_call = Some(Duration::from_millis(millis));
        self
    }

    /// Open when this share of the calls in the window was slow, in (0, 1]. Default 1 where `slow_call_ms` is
    /// given.
    pub const fn slow_call_rate(mut self, rate: f64) -> Self {
        self.slow_call_rate = Some(rate);
        self
    }

    /// Stay open this many milliseconds before probing. Default 30,000.
    pub const fn open_ms(mut self, millis: u64) -> Self {
        self.open = Some(Duration::from_millis(millis));
        self
    }

    /// Double the open time with every failed round of probes, up to this many milliseconds. Default: do not.
    pub const fn open_max_ms(mut self, millis: u64) -> Self {
        self.open_max = Some(Duration::from_millis(millis));
        self
    }

    /// At most this many probes in a half-open period, 1 to [`MOST_PROBES`](Self::MOST_PROBES). Default 2.
    pub const fn probes(mut self, probes: usize) -> Self {
        self.probes = Some(probes);
        self
    }

    /// Close once this many probes succeeded. Default: all of them.
    pub const fn probe_successes(mut self, successes: usize) -> Self {
        self.probe_successes = Some(successes);
        self
    }

    /// Open again if a probe is under way and there is no verdict this many milliseconds after the first one was let
    /// through; the time begins anew once none is under way. Default: the open time.
    pub const fn half_open_max_ms(mut self, millis: u64) -> Self {
        self.half_open_max = Some(Duration::from_millis(millis));
        self
    }

    /// The process is unhealthy, not merely degraded, while this circuit is open. Default `false`.
    pub const fn critical(mut self, critical: bool) -> Self {
        self.critical = critical;
        self
    }

    /// Every value as it applies, to be read.
    #[must_use]
    pub const fn rules(&self) -> CircuitRules {
        let (window, window_time) = match self.window_shape() {
            WindowShape::Count(calls) => (Some(calls), None),
            WindowShape::Time(time) => (None, Some(time)),
        };
        CircuitRules {
            failure_rate: self.trip_rate(),
            window,
            window_time,
            min_calls: self.least_calls(),
            failure_threshold: self.failure_threshold,
            failure_reset: self.failure_reset,
            slow_call: self.slow_call,
            slow_call_rate: self.trip_slow_rate(),
            open: self.open_time(),
            open_max: self.open_max,
            probes: self.most_probes(),
            probe_successes: self.successes(),
            half_open_max: self.verdict_time(),
            critical: self.critical,
        }
    }

    checked!();

    /// The first thing wrong with these settings.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        macro_rules! positive {
            ($($key:ident),*) => {
                $(if let Some(duration) = self.$key {
                    if duration.is_zero() {
                        return Some(InvalidSettings::new(stringify!($key), reason::LONGER_THAN_ZERO));
                    }
                })*
            };
        }
        macro_rules! rate {
            ($($key:ident),*) => {
                $(if let Some(rate) = self.$key {
                    if !is_rate(rate) {
                        return Some(InvalidSettings::new(stringify!($key), reason::RATE));
                    }
                })*
            };
        }
        rate!(failure_rate, slow_call_rate);
        positive!(failure_reset, slow_call, open, open_max, half_open_max);
        if self.window.is_some() && self.window_time.is_some() {
            return Some(InvalidSettings::new("window", "counts calls or time, not both"));
        }
        if let Some(calls) = self.window {
            if calls == 0 {
                return Some(InvalidSettings::new("window", reason::AT_LEAST_ONE));
            }
            if calls > Self::MOST_CALLS {
                return Some(InvalidSettings::new("window", "must be at most 1,000,000"));
            }
        }
        if let Some(length) = self.window_time {
            if length.as_nanos() < 1_000_000 {
                return Some(InvalidSettings::new("window_time", "must be at least 1 ms"));
            }
        }
        if let Some(calls) = self.min_calls {
            if calls == 0 {
                return Some(InvalidSettings::new("min_calls", reason::AT_LEAST_ONE));
            }
            if let WindowShape::Count(window) = self.window_shape() {
                if calls > window {
                    return Some(InvalidSettings::new("min_calls", "must be at most `window`"));
                }
            }
        }
        if matches!(self.failure_threshold, Some(0)) {
            return Some(InvalidSettings::new("failure_threshold", reason::AT_LEAST_ONE));
        }
        if self.failure_reset.is_some() && self.failure_threshold.is_none() {
            return Some(InvalidSettings::new("failure_reset", "needs `failure_threshold`"));
        }
        if self.slow_call_rate.is_some() && self.slow_call.is_none() {
            return Some(InvalidSettings::new(
                "slow_call_rate",
                "needs `slow_call_ms`, the duration above which a call is slow",
            ));
        }
        if let Some(longest) = self.open_max {
            if longest.as_nanos() < self.open_time().as_nanos() {
                return Some(InvalidSettings::new("open_max", "must not be shorter than the open time"));
            }
        }
        if let Some(probes) = self.probes {
            if probes == 0 {
                return Some(InvalidSettings::new("probes", reason::AT_LEAST_ONE));
            }
            if probes > Self::MOST_PROBES {
                return Some(InvalidSettings::new("probes", "must be at most 1,000"));
            }
        }
        if let Some(successes) = self.probe_successes {
            if successes == 0 {
                return Some(InvalidSettings::new("probe_successes", reason::AT_LEAST_ONE));
            }
            if successes > self.most_probes() {
                return Some(InvalidSettings::new("probe_successes", "must be at most `probes`"));
            }
        }
        None
    }

    /// The share of failures that trips, unless the rate rule is off.
    pub(crate) const fn trip_rate(&self) -> Option<f64> {
        match self.failure_rate {
            None if self.failure_threshold.is_some() && self.slow_call_rate.is_none() => None,
            None => Some(0.5),
            given => given,
        }
    }

    /// The share of slow calls that trips, where slow calls are watched.
    pub(crate) const fn trip_slow_rate(&self) -> Option<f64> {
        match (self.slow_call, self.slow_call_rate) {
            (None, _) => None,
            (Some(_), None) => Some(1.0),
            (Some(_), given) => given,
        }
    }

    pub(crate) const fn window_shape(&self) -> WindowShape {
        match (self.window, self.window_time) {
            (_, Some(time)) => WindowShape::Time(time),
            (Some(calls), None) => WindowShape::Count(calls),
            (None, None) => WindowShape::Count(100),
        }
    }

    /// Calls below which there is no rate.
    pub(crate) const fn least_calls(&self) -> usize {
        match (self.min_calls, self.window_shape()) {
            (Some(calls), _) => calls,
            (None, WindowShape::Count(window)) if window < 10 => window,
            (None, _) => 10,
        }
    }

    pub(crate) const fn open_time(&self) -> Duration {
        match self.open {
            Some(open) => open,
            None => Duration::from_secs(30),
        }
    }

    pub(crate) const fn most_probes(&self) -> usize {
        match self.probes {
            Some(probes) => probes,
            None => 2,
        }
    }

    /// Successful probes that close the circuit.
    pub(crate) const fn successes(&self) -> usize {
        match self.probe_successes {
            Some(successes) => successes,
            None => self.most_probes(),
        }
    }

    /// Time from the first probe to the verdict, at most.
    pub(crate) const fn verdict_time(&self) -> Duration {
        match self.half_open_max {
            Some(longest) => longest,
            None => self.open_time(),
        }
    }
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_from_what_is_given() {
        let settings = CircuitSettings::new();
        assert_eq!((settings.trip_rate(), settings.trip_slow_rate()), (Some(0.5), None));
        assert_eq!((settings.least_calls(), settings.successes()), (10, 2));
        assert_eq!(settings.window(4).least_calls(), 4);
        assert_eq!(settings.failure_threshold(3).trip_rate(), None);
        assert_eq!(settings.failure_threshold(3).failure_rate(0.2).trip_rate(), Some(0.2));
        assert_eq!(settings.slow_call_ms(5).trip_slow_rate(), Some(1.0));
        assert_eq!(settings.open_ms(7).verdict_time(), Duration::from_millis(7));
    }

    #[test]
    fn every_bad_value_is_refused_with_its_key() {
        let settings = CircuitSettings::new();
        for (bad, key) in [
            (settings.failure_rate(0.0), "failure_rate"),
            (settings.failure_rate(1.01), "failure_rate"),
            (settings.failure_rate(f64::NAN), "failure_rate"),
            (settings.slow_call_ms(1).slow_call_rate(-1.0), "slow_call_rate"),
            (settings.slow_call_rate(0.5), "slow_call_rate"),
            (settings.slow_call_ms(0), "slow_call"),
            (settings.window(0), "window"),
            (settings.window(1_000_001), "window"),
            (settings.window(5).window_ms(5), "window"),
            (settings.window_ms(0), "window_time"),
            (settings.min_calls(0), "min_calls"),
            (settings.min_calls(101), "min_calls"),
            (settings.failure_threshold(0), "failure_threshold"),
            (settings.failure_reset_ms(5), "failure_reset"),
            (settings.open_ms(0), "open"),
            (settings.open_ms(10).open_max_ms(9), "open_max"),
            (settings.probes(0), "probes"),
            (settings.probes(1_001), "probes"),
            (settings.probe_successes(3), "probe_successes"),
            (settings.probe_successes(0), "probe_successes"),
            (settings.half_open_max_ms(0), "half_open_max"),
        ] {
            assert_eq!(bad.problem().map(|problem| problem.key), Some(key), "{bad:?}");
        }
        for good in [
            settings,
            settings.window_ms(5).min_calls(1_000),
            settings.failure_rate(1.0).window(1),
            settings.window(1_000_000).min_calls(1_000_000),
            settings.window_ms(1),
            settings.open_ms(10).open_max_ms(10),
            settings.probes(1_000).probe_successes(1_000),
        ] {
            assert_eq!(good.problem(), None, "{good:?}");
        }
    }
}
