//! The retry policy.

use std::{sync::Arc, time::Duration};

use super::{attempts::Attempts, budget::RetryBudget, builder::RetryBuilder, future::RetryRun};
use crate::{
    class::ErrorClass,
    error::InvalidSettings,
    settings::{BudgetRule, RetrySettings},
};

/// Makes further attempts after failures that may pass.
///
/// It bounds attempts in number, in time if `max_elapsed` is given, and, together with all its clones, by a
/// [`RetryBudget`]. Before it sleeps it checks all of them, so it never sleeps only to give up afterwards. Keep it
/// and use it for every call to the same dependency: the budget lives in it.
///
/// Retries multiply through layers: three here around three in a client make sixteen attempts. Switch one of them
/// off.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use resilience_runtime::Retry;
///
/// let retry = Retry::new(3);
/// let mut answers = [Err("reset"), Err("reset"), Ok(42)].into_iter();
///
/// let answer = retry.run(|| std::future::ready(answers.next().unwrap())).await;
/// assert_eq!(answer, Ok(42));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a retry does nothing until something is run with it"]
pub struct Retry {
    pub(super) settings: RetrySettings,
    pub(super) budget: Option<Arc<RetryBudget>>,
    pub(super) seed: Option<u64>,
}

impl Retry {
    /// At most `max` attempts after the first, with the defaults of [`RetryBuilder`].
    pub fn new(max: u32) -> Self {
        Self::with(RetrySettings::new(max), None, None)
    }

    /// Starts from the defaults, without retries.
    pub fn builder() -> RetryBuilder {
        RetryBuilder::new()
    }

    /// # Errors
    ///
    /// If a setting is out of its range or contradicts another.
    pub(super) fn checked(
        settings: RetrySettings,
        budget: Option<Arc<RetryBudget>>,
        seed: Option<u64>,
    ) -> Result<Self, InvalidSettings> {
        settings.problem().map_or_else(|| Ok(Self::with(settings, budget, seed)), Err)
    }

    fn with(settings: RetrySettings, budget: Option<Arc<RetryBudget>>, seed: Option<u64>) -> Self {
        let own = || match settings.budget {
            BudgetRule::Share(ratio) => Some(Arc::new(RetryBudget::new(ratio))),
            BudgetRule::Unlimited => None,
        };
        Self { settings, budget: budget.or_else(own), seed }
    }

    /// Calls `operation` and awaits what it returns, until that succeeds or a further attempt is ruled out.
    ///
    /// **Every** error counts as one that may pass, unless [`classify`](RetryRun::classify) says otherwise: also the
    /// refusal of another primitive inside. Where something is nested in it, or the error knows what it means, add
    /// `.classify(Classify::classify)`, or `.classify(CallError::class)` for errors that are not
    /// [`Classify`](crate::Classify).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt under way; a retry that it already took from the budget stays taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::Cell;
    /// use resilience_runtime::{Bulkhead, Classify, Retry};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (retry, bulkhead) = (Retry::new(3), Bulkhead::new("db", 1)?);
    /// let permit = bulkhead.try_acquire()?;
    ///
    /// let attempts = Cell::new(0);
    /// let query = || {
    ///     attempts.set(attempts.get() + 1);
    ///     bulkhead.run(async { Ok::<_, std::io::Error>(3) })
    /// };
    /// assert!(retry.run(query).classify(Classify::classify).await.is_err());
    /// assert_eq!(attempts.get(), 1, "a refusal is not retried");
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::RetriesExhausted`](crate::CallError::RetriesExhausted) if all attempts failed,
    /// [`CallError::Failed`](crate::CallError::Failed) if the error is not to be retried, or the budget or the time
    /// is used up. Both hold the last error.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if a further attempt has to wait for its delay.
    pub fn run<F, Fut, T, E>(&self, operation: F) -> RetryRun<'_, F, Fut, fn(&E) -> ErrorClass>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        RetryRun::new(self.attempts(), operation, |_| ErrorClass::Transient)
    }

    /// The attempts one by one, for code that is not a function.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use resilience_runtime::Retry;
    ///
    /// async fn connect(server: &str) -> Result<&str, &'static str> {
    ///     if server == "c" { Ok(server) } else { Err("refused") }
    /// }
    ///
    /// let (retry, servers) = (Retry::new(3), ["a", "b", "c", "d"]);
    /// let mut attempts = retry.attempts();
    /// let mut connected = None;
    /// while let Some(attempt) = attempts.next().await {
    ///     if let Ok(server) = connect(servers[attempt.number() as usize - 1]).await {
    ///         connected = Some(server);
    ///         break;
    ///     }
    /// }
    /// assert_eq!((connected, attempts.made()), (Some("c"), 3));
    /// # }
    /// ```
    pub fn attempts(&self) -> Attempts<'_> {
        Attempts::new(self)
    }

    /// What bounds the retries of this policy and its clones; `None` if nothing does.
    #[must_use]
    pub fn budget(&self) -> Option<&Arc<RetryBudget>> {
        self.budget.as_ref()
    }

    /// The most attempts of one call, the first one included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.settings.max.saturating_add(1)
    }

    /// No attempt starts later than this after the first.
    #[must_use]
    pub fn max_elapsed(&self) -> Option<Duration> {
        self.settings.max_elapsed
    }
}
