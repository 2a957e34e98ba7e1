//! Builds a rate limiter from numbers that are yet to be checked.

use std::time::Duration;

use super::{quota::Quota, rate_limiter::RateLimiter};
use crate::{error::InvalidSettings, name::Name, settings::LimiterSettings};

/// Builds a [`RateLimiter`]. The setters are named as the attribute's keys.
///
/// # Default
///
/// * `max`: none, it must be given, by itself or with `quota`
/// * `per`: a second, `burst`: as `max`
/// * `wait`: none, a call over the quota is refused at once
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::RateLimiter;
///
/// let limiter = RateLimiter::builder("mail").max(60).per(Duration::from_secs(60)).burst(10).build()?;
/// assert_eq!(limiter.available(), 10);
///
/// let error = RateLimiter::builder("mail").build().unwrap_err();
/// assert_eq!(error.to_string(), "`max` must be at least 1");
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing itself, use `.build()` to build it"]
pub struct RateLimiterBuilder {
    name: Name,
    settings: LimiterSettings,
}

impl RateLimiterBuilder {
    pub(super) fn new(name: Name) -> Self {
        Self { name, settings: LimiterSettings::new(0) }
    }

    /// All settings at once, as in a constant.
    pub fn settings(mut self, settings: LimiterSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Limit, period and burst at once.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.settings.max = quota.limit();
        self.settings.per = quota.period();
        self.settings.burst = Some(quota.burst_size());
        self
    }

    /// At most this many calls in a period.
    pub fn max(mut self, max: u32) -> Self {
        self.settings.max = max;
        self
    }

    /// The period.
    pub fn per(mut self, period: Duration) -> Self {
        self.settings.per = period;
        self
    }

    /// At most this many calls at once after a quiet time.
    pub fn burst(mut self, burst: u32) -> Self {
        self.settings.burst = Some(burst);
        self
    }

    /// A call waits at most this long for its turn.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// The limiter, full.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if `max`, `per` or `burst` is zero, if the period has fewer nanoseconds than calls, or if
    /// the burst would take decades to refill.
    pub fn build(self) -> Result<RateLimiter, InvalidSettings> {
        match self.settings.problem() {
            Some(problem) => Err(problem),
            None => Ok(RateLimiter::declared(self.name, self.settings, false)),
        }
    }
}
