//! Builds a retry policy.

use std::{sync::Arc, time::Duration};

use super::{budget::RetryBudget, policy::Retry};
use crate::{
    backoff::Backoff,
    error::InvalidSettings,
    settings::{BudgetRule, Jitter, RetrySettings},
};

/// Builds a [`Retry`]. The setters are named as the attribute's keys.
///
/// # Default
///
/// * `max`: 0 further attempts
/// * `backoff`: exponential from 100 ms, factor 2, at most 10 s, full jitter
/// * `budget`: a fifth of the calls of the last ten seconds, beside a reserve of ten a second
/// * `max_elapsed`: no limit
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{Backoff, Retry};
///
/// let retry = Retry::builder()
///     .max(5)
///     .backoff(Backoff::linear(Duration::from_millis(50)))
///     .max_elapsed(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(retry.max_attempts(), 6);
///
/// let error = Retry::builder().delay(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "`delay` must be longer than zero");
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing itself, use `.build()` to build it"]
pub struct RetryBuilder {
    settings: RetrySettings,
    budget: Option<Arc<RetryBudget>>,
    seed: Option<u64>,
}

impl RetryBuilder {
    pub(super) fn new() -> Self {
        Self { settings: RetrySettings::new(0), budget: None, seed: None }
    }

    /// All settings at once, as in a constant.
    pub fn settings(mut self, settings: RetrySettings) -> Self {
        self.settings = settings;
        self
    }

    /// At most this many attempts after the first.
    pub fn max(mut self, max: u32) -> Self {
        self.settings.max = max;
        self
    }

    /// How delays grow: sets `delay`, `max_delay`, `factor` and `jitter` as well.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings = backoff.apply(self.settings);
        self
    }

    /// The first delay.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.settings.delay = delay;
        self
    }

    /// No delay is longer, jitter included.
    pub fn max_delay(mut self, longest: Duration) -> Self {
        self.settings.max_delay = longest;
        self
    }

    /// What an exponential delay is multiplied with.
    pub fn factor(mut self, factor: f64) -> Self {
        self.settings.factor = factor;
        self
    }

    /// How much of a delay is left to chance.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.settings.jitter = jitter;
        self
    }

    /// Retries are at most this share of the calls of the last ten seconds, beside a reserve of ten a second.
    pub fn budget(mut self, ratio: f64) -> Self {
        self.settings.budget = BudgetRule::Share(ratio);
        self.budget = None;
        self
    }

    /// Retries count against a budget that others use as well.
    pub fn shared_budget(mut self, budget: Arc<RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Retries are not bounded by a budget.
    pub fn no_budget(mut self) -> Self {
        self.settings.budget = BudgetRule::Unlimited;
        self.budget = None;
        self
    }

    /// No attempt starts later than this after the first.
    pub fn max_elapsed(mut self, longest: Duration) -> Self {
        self.settings.max_elapsed = Some(longest);
        self
    }

    /// Every call draws the same jitter: for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The policy, with a budget of its own unless one is shared.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if a duration is zero, `max_delay` is shorter than `delay`, `factor` is below 1, or a
    /// share is not in (0, 1].
    pub fn build(self) -> Result<Retry, InvalidSettings> {
        Retry::checked(self.settings, self.budget, self.seed)
    }
}
