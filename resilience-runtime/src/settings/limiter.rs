//! Settings of a rate limiter.

use std::time::Duration;

use super::{checked, reason};
use crate::error::InvalidSettings;

/// Settings of a rate limiter, buildable in constants. The setters are named as the attribute's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "settings do nothing until they are given to a builder"]
pub struct LimiterSettings {
    pub(crate) max: u32,
    pub(crate) per: Duration,
    pub(crate) burst: Option<u32>,
    pub(crate) wait: Duration,
}

impl LimiterSettings {
    /// At most `max` calls a second, and as many at once.
    pub const fn new(max: u32) -> Self {
        Self { max, per: Duration::from_secs(1), burst: None, wait: Duration::ZERO }
    }

    /// The period in which `max` calls are let through, in milliseconds. Default 1,000.
    pub const fn per_ms(mut self, millis: u64) -> Self {
        self.per = Duration::from_millis(millis);
        self
    }

    /// At most this many calls at once after a quiet time. Default: `max`.
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// A call waits at most this many milliseconds for its turn. Default 0.
    pub const fn wait_ms(mut self, millis: u64) -> Self {
        self.wait = Duration::from_millis(millis);
        self
    }

    checked!();

    /// The first thing wrong with these settings.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        if self.max == 0 {
            return Some(InvalidSettings::new("max", reason::AT_LEAST_ONE));
        }
        if self.per.is_zero() {
            return Some(InvalidSettings::new("per", reason::LONGER_THAN_ZERO));
        }
        if matches!(self.burst, Some(0)) {
            return Some(InvalidSettings::new("burst", reason::AT_LEAST_ONE));
        }
        // A call takes at least a nanosecond of the period; a burst refills within a sixteenth of the clock's range.
        if self.per.as_nanos() < self.max as u128 {
            return Some(InvalidSettings::new("max", "must be at most one call a nanosecond"));
        }
        if self.per.as_nanos() * self.capacity() as u128 > (u64::MAX / 16) as u128 * self.max as u128 {
            return Some(InvalidSettings::new("per", "is too long: the burst has to refill within 36 years"));
        }
        None
    }

    pub(crate) const fn capacity(&self) -> u32 {
        match self.burst {
            Some(burst) => burst,
            None => self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_long_a_period_is_told_the_longest() {
        // 2^60 ns, in milliseconds.
        const LONGEST: u64 = 1_152_921_504_606;
        let settings = LimiterSettings::new(1);
        assert_eq!(settings.per_ms(LONGEST).problem(), None);
        let problem = settings.per_ms(LONGEST + 1).problem().unwrap();
        assert_eq!(problem.to_string(), "`per` is too long: the burst has to refill within 36 years");
    }
}
