//! Settings of retries.

use std::time::Duration;

use super::{checked, is_factor, is_rate, reason};
use crate::error::InvalidSettings;

/// How the delay grows from one retry to the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BackoffKind {
    /// Each delay is drawn between the first one and three times the one before ("decorrelated jitter", Marc
    /// Brooker, AWS Architecture Blog, 2015).
    Decorrelated,
    /// Each delay is the one before, times `factor`.
    Exponential,
    /// All delays are alike.
    Fixed,
    /// The n-th delay is n times the first.
    Linear,
}

/// How much of a delay is left to chance, so that callers who failed together do not return together.
///
/// The names are those of Marc Brooker's comparison (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// Half of the delay is fixed, the other half is drawn.
    Equal,
    /// The whole delay is drawn between zero and its length.
    Full,
    /// Nothing is.
    None,
    /// The delay is drawn within this share of its length on both sides.
    Share(f64),
}

/// How many retries a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BudgetRule {
    /// This share of the calls of the last ten seconds, and a reserve.
    Share(f64),
    /// Any number.
    Unlimited,
}

/// Settings of retries, buildable in constants. The setters are named as the attribute's keys.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{BackoffKind, Jitter, RetrySettings};
///
/// const PATIENT: RetrySettings =
///     RetrySettings::new(5).backoff(BackoffKind::Linear).delay_ms(200).jitter(Jitter::Equal).checked();
/// # let _ = PATIENT;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "settings do nothing until they are given to a builder"]
pub struct RetrySettings {
    pub(crate) max: u32,
    pub(crate) backoff: BackoffKind,
    pub(crate) delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) factor: f64,
    pub(crate) jitter: Jitter,
    pub(crate) budget: BudgetRule,
    pub(crate) max_elapsed: Option<Duration>,
}

impl RetrySettings {
    /// At most `max` attempts after the first; exponential backoff from 100 ms, factor 2, at most 10 s, full
    /// jitter; retries are at most 20 % of the calls.
    pub const fn new(max: u32) -> Self {
        Self {
            max,
            backoff: BackoffKind::Exponential,
            delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            factor: 2.0,
            jitter: Jitter::Full,
            budget: BudgetRule::Share(0.2),
            max_elapsed: None,
        }
    }

    /// How the delay grows. Default exponential.
    pub const fn backoff(mut self, backoff: BackoffKind) -> Self {
        self.backoff = backoff;
        self
    }

    /// The first delay, in milliseconds. Default 100.
    pub const fn delay_ms(mut self, millis: u64) -> Self {
        self.delay = Duration::from_millis(millis);
        self
    }

    /// No delay is longer than this many milliseconds, jitter included. Default 10,000.
    pub const fn max_delay_ms(mut self, millis: u64) -> Self {
        self.max_delay = Duration::from_millis(millis);
        self
    }

    /// What an exponential delay is multiplied with, at least 1, and finite. Default 2.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How much of the delay is left to chance. Default [`Jitter::Full`].
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Retries are at most this share of the calls of the last ten seconds, in (0, 1], beside a reserve of ten a
    /// second. Default 0.2.
    pub const fn budget(mut self, share: f64) -> Self {
        self.budget = BudgetRule::Share(share);
        self
    }

    /// Retries are not bounded by a budget.
    pub const fn no_budget(mut self) -> Self {
        self.budget = BudgetRule::Unlimited;
        self
    }

    /// No retry is due later than this many milliseconds after the call; a queue may make it later. Default: no limit.
    pub const fn max_elapsed_ms(mut self, millis: u64) -> Self {
        self.max_elapsed = Some(Duration::from_millis(millis));
        self
    }

    checked!();

    /// The first thing wrong with these settings.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        if self.delay.is_zero() {
            return Some(InvalidSettings::new("delay", reason::LONGER_THAN_ZERO));
        }
        if self.max_delay.is_zero() {
            return Some(InvalidSettings::new("max_delay", reason::LONGER_THAN_ZERO));
        }
        if self.max_delay.as_nanos() < self.delay.as_nanos() {
            return Some(InvalidSettings::new("max_delay", "must not be shorter than the first delay"));
        }
        if !is_factor(self.factor) {
            return Some(InvalidSettings::new("factor", "must be at least 1, and finite"));
        }
        if let Jitter::Share(share) = self.jitter {
            if !is_rate(share) {
                return Some(InvalidSettings::new("jitter", reason::RATE));
            }
        }
        if let BudgetRule::Share(share) = self.budget {
            if !is_rate(share) {
                return Some(InvalidSettings::new("budget", reason::RATE));
            }
        }
        if matches!(self.max_elapsed, Some(longest) if longest.is_zero()) {
            return Some(InvalidSettings::new("max_elapsed", reason::LONGER_THAN_ZERO));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_value_is_refused_with_its_key() {
        let settings = RetrySettings::new(3);
        for (bad, key) in [
            (settings.delay_ms(0), "delay"),
            (settings.max_delay_ms(0), "max_delay"),
            (settings.delay_ms(500).max_delay_ms(499), "max_delay"),
            (settings.factor(0.9), "factor"),
            (settings.factor(f64::INFINITY), "factor"),
            (settings.factor(f64::NAN), "factor"),
            (settings.jitter(Jitter::Share(0.0)), "jitter"),
            (settings.jitter(Jitter::Share(1.5)), "jitter"),
            (settings.budget(0.0), "budget"),
            (settings.max_elapsed_ms(0), "max_elapsed"),
        ] {
            assert_eq!(bad.problem().map(|problem| problem.key), Some(key), "{bad:?}");
        }
        for factor in [0.9, f64::INFINITY, f64::NAN] {
            let problem = settings.factor(factor).problem().unwrap();
            assert_eq!(problem.to_string(), "`factor` must be at least 1, and finite", "{factor}");
        }
        assert_eq!(settings.no_budget().factor(1.0).problem(), None);
    }
}
