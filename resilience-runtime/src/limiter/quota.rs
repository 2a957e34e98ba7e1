//! How many calls in which period.

use std::{fmt, time::Duration};

use crate::{
    error::{InvalidSettings, Seconds},
    settings::LimiterSettings,
};

/// So many calls in a period, of which so many at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::Quota;
///
/// const API: Quota = Quota::per_minute(60).burst(10);
/// assert_eq!((API.limit(), API.period(), API.burst_size()), (60, Duration::from_secs(60), 10));
/// assert_eq!(API.to_string(), "60 per 60.0 s, 10 at once");
/// ```
///
/// The constructors are for numbers that stand in the program, and panic at bad ones. For numbers that it reads there is
/// [`try_new`](Self::try_new).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "a quota does nothing until it is given to a rate limiter"]
pub struct Quota {
    limit: u32,
    #[cfg_attr(
        feature = "serde",
        serde(rename = "period_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    period: Duration,
    burst: u32,
}

impl Quota {
    /// At most `limit` calls a second, and as many at once.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub const fn per_second(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// At most `limit` calls a minute, and as many at once.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub const fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// At most `limit` calls an hour, and as many at once.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    pub const fn per_hour(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(3_600))
    }

    /// At most `limit` calls in `period`, and as many at once.
    ///
    /// # Panics
    ///
    /// If `limit` is 0, if `period` has fewer nanoseconds than `limit` calls, or if the burst would take decades to
    /// refill; in a constant that is a compile error.
    #[track_caller]
    pub const fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period, burst: limit }.checked()
    }

    /// As [`new`](Self::new), for numbers that are not known to be good, such as those of a configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] where [`new`](Self::new) panics; its `key` is `max` for the limit, `per` for the period.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use resilience_runtime::{InvalidSettings, Quota, RateLimiter};
    ///
    /// fn reload(limiter: &RateLimiter, limit: u32, burst: u32) -> Result<(), InvalidSettings> {
    ///     limiter.configure(Quota::try_new(limit, Duration::from_secs(1))?.try_burst(burst)?);
    ///     Ok(())
    /// }
    ///
    /// let limiter = RateLimiter::new("mail", Quota::per_second(100));
    /// reload(&limiter, 50, 5)?;
    /// assert_eq!(limiter.quota(), Quota::per_second(50).burst(5));
    /// let error = reload(&limiter, 0, 5).unwrap_err();
    /// assert_eq!(error.to_string(), "`max` must be at least 1");
    /// # Ok::<(), InvalidSettings>(())
    /// ```
    pub const fn try_new(limit: u32, period: Duration) -> Result<Self, InvalidSettings> {
        Self { limit, period, burst: limit }.parsed()
    }

    /// At most `burst` calls at once after a quiet time. Default: the limit.
    ///
    /// # Panics
    ///
    /// If `burst` is 0 or would take decades to refill; in a constant that is a compile error.
    #[track_caller]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self.checked()
    }

    /// As [`burst`](Self::burst), for a number that is not known to be good.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] where [`burst`](Self::burst) panics; its `key` is `burst` for 0, and `per` for a burst that
    /// would take decades to refill.
    pub const fn try_burst(mut self, burst: u32) -> Result<Self, InvalidSettings> {
        self.burst = burst;
        self.parsed()
    }

    /// What `settings`, which have been checked, say.
    pub(crate) const fn of(settings: &LimiterSettings) -> Self {
        Self { limit: settings.max, period: settings.per, burst: settings.capacity() }
    }

    #[track_caller]
    const fn checked(self) -> Self {
        match self.parsed() {
            Ok(quota) => quota,
            Err(problem) => problem.fail(),
        }
    }

    const fn parsed(self) -> Result<Self, InvalidSettings> {
        let mut settings = LimiterSettings::new(self.limit).burst(self.burst);
        settings.per = self.period;
        match settings.problem() {
            Some(problem) => Err(problem),
            None => Ok(self),
        }
    }

    /// Calls let through in one period.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// The period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// Calls let through at once after a quiet time.
    #[must_use]
    pub const fn burst_size(&self) -> u32 {
        self.burst
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}, {} at once", self.limit, Seconds(self.period), self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructors_differ_in_their_period() {
        const HOURLY: Quota = Quota::per_hour(7);
        assert_eq!(HOURLY, Quota::new(7, Duration::from_secs(3_600)));
        assert_eq!(Quota::per_second(7), Quota::new(7, Duration::from_secs(1)));
        assert_eq!(Quota::per_minute(7), Quota::new(7, Duration::from_secs(60)));
        assert_eq!((HOURLY.burst_size(), HOURLY.burst(2).burst_size()), (7, 2));
    }

    #[test]
    fn a_quota_reads_as_its_rate_and_its_burst() {
        assert_eq!(Quota::per_second(7).to_string(), "7 per 1.0 s, 7 at once");
        assert_eq!(Quota::new(7, Duration::from_millis(250)).burst(2).to_string(), "7 per 250 ms, 2 at once");
    }

    #[test]
    fn a_quota_that_no_limiter_could_keep_is_refused() {
        for bad in [
            || Quota::per_second(0),
            || Quota::new(1, Duration::ZERO),
            || Quota::new(2, Duration::from_nanos(1)),
            || Quota::per_second(1).burst(0),
            || Quota::new(1, Duration::MAX),
            || Quota::per_hour(1).burst(u32::MAX),
        ] {
            assert!(std::panic::catch_unwind(bad).is_err());
        }
    }

    #[test]
    fn a_quota_of_numbers_from_outside_is_refused_with_the_reason() {
        let text = |quota: Result<Quota, InvalidSettings>| quota.map_err(|problem| problem.to_string());
        let second = Duration::from_secs(1);
        assert_eq!(text(Quota::try_new(7, second)), Ok(Quota::per_second(7)));
        assert_eq!(text(Quota::per_second(7).try_burst(2)), Ok(Quota::per_second(7).burst(2)));
        for (bad, reason) in [
            (Quota::try_new(0, second), "`max` must be at least 1"),
            (Quota::try_new(1, Duration::ZERO), "`per` must be longer than zero"),
            (Quota::try_new(2, Duration::from_nanos(1)), "`max` must be at most one call a nanosecond"),
            (Quota::per_second(1).try_burst(0), "`burst` must be at least 1"),
            (Quota::try_new(1, Duration::MAX), "`per` is too long: the burst has to refill within 36 years"),
        ] {
            assert_eq!(text(bad), Err(reason.to_owned()));
        }
    }
}
