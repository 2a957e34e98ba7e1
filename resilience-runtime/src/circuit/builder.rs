//! Builds circuit breakers.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use super::{CircuitBreaker, TripPolicy};
use crate::{error::InvalidSettings, name::Name, settings::CircuitSettings, stats::Stats};

/// Builds a [`CircuitBreaker`]. The setters are named as the attribute's keys; durations are [`Duration`]s.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::CircuitBreaker;
///
/// let circuit = CircuitBreaker::builder("api").failure_threshold(5).open(Duration::from_secs(5)).build()?;
/// assert_eq!(circuit.name(), "api");
///
/// let error = CircuitBreaker::builder("api").failure_rate(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "`failure_rate` must be above 0 and at most 1");
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBreakerBuilder {
    name: Name,
    settings: CircuitSettings,
    latency: bool,
    jitter_seed: Option<u64>,
    trip_policy: Option<Box<dyn TripPolicy>>,
}

impl CircuitBreakerBuilder {
    pub(super) const fn new(name: Name) -> Self {
        Self { name, settings: CircuitSettings::new(), latency: false, jitter_seed: None, trip_policy: None }
    }

    /// All settings at once.
    pub const fn settings(mut self, settings: CircuitSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Open when this share of the calls in the window failed, in (0, 1]. Default 0.5, unless only
    /// [`failure_threshold`](Self::failure_threshold) is given.
    pub const fn failure_rate(mut self, rate: f64) -> Self {
        self.settings.failure_rate = Some(rate);
        self
    }

    /// The window is the last `calls` calls. Default 100.
    pub const fn window(mut self, calls: usize) -> Self {
        self.settings.window = Some(calls);
        self
    }

    /// The window is the calls of the last `length`, at least 1 ms, in ten buckets.
    pub const fn window_time(mut self, length: Duration) -> Self {
        self.settings.window_time = Some(length);
        self
    }

    /// No rate is computed from fewer calls. Default: the smaller of 10 and the window.
    pub const fn min_calls(mut self, calls: usize) -> Self {
        self.settings.min_calls = Some(calls);
        self
    }

    /// Open after this many failures in a row. Given without a rate, it is the only rule.
    pub const fn failure_threshold(mut self, failures: u32) -> Self {
        self.settings.failure_threshold = Some(failures);
        self
    }

    /// A run of failures is forgotten after a pause of this length. Default: never.
    pub const fn failure_reset(mut self, pause: Duration) -> Self {
        self.settings.failure_reset = Some(pause);
        self
    }

    /// A call that takes longer is slow. Default: none is.
    pub const fn slow_call(mut self, longest: Duration) -> Self {
        self.settings.slow_call = Some(longest);
        self
    }

    /// Open when this share of the calls in the window was slow, in (0, 1]. Default 1 where slow calls are watched.
    pub const fn slow_call_rate(mut self, rate: f64) -> Self {
        self.settings.slow_call_rate = Some(rate);
        self
    }

    /// Stay open this long before probing. Default 30 s.
    pub const fn open(mut self, time: Duration) -> Self {
        self.settings.open = Some(time);
        self
    }

    /// Double the open time with every failed round of probes, up to this. Default: do not.
    pub const fn open_max(mut self, longest: Duration) -> Self {
        self.settings.open_max = Some(longest);
        self
    }

    /// At most this many probes in a half-open period. Default 2.
    pub const fn probes(mut self, probes: usize) -> Self {
        self.settings.probes = Some(probes);
        self
    }

    /// Close once this many probes succeeded. Default: all of them.
    pub const fn probe_successes(mut self, successes: usize) -> Self {
        self.settings.probe_successes = Some(successes);
        self
    }

    /// Open again if a probe is under way and there is no verdict this long after the first one was let through;
    /// the time begins anew once none is under way. Default: the open time.
    pub const fn half_open_max(mut self, longest: Duration) -> Self {
        self.settings.half_open_max = Some(longest);
        self
    }

    /// The registry is unhealthy, not merely degraded, while this circuit is open. Default `false`.
    pub const fn critical(mut self, critical: bool) -> Self {
        self.settings.critical = critical;
        self
    }

    /// Keep latencies: every call reads the clock twice. Default `false`; circuits of annotated functions do.
    pub const fn latency(mut self, keep: bool) -> Self {
        self.latency = keep;
        self
    }

    /// Draw the jitter of growing open times from this seed.
    pub const fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// Trip by a rule of one's own, in place of rates and thresholds.
    pub fn trip_policy(mut self, policy: impl TripPolicy + 'static) -> Self {
        self.trip_policy = Some(Box::new(policy));
        self
    }

    /// The circuit breaker, closed.
    ///
    /// # Errors
    ///
    /// If a value is out of its range or contradicts another.
    pub fn build(self) -> Result<CircuitBreaker, InvalidSettings> {
        if let Some(problem) = self.settings.problem() {
            return Err(problem);
        }
        let stats = if self.latency { Stats::striped() } else { Stats::counters() };
        let seed = self.jitter_seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Ok(CircuitBreaker::new(self.name, self.settings, stats, self.latency, seed, self.trip_policy))
    }
}
