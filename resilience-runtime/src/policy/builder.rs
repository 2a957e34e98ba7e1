//! The chain without the attribute.

use std::{
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use super::PolicyRun;
use crate::{
    bulkhead::Bulkhead,
    circuit::CircuitBreaker,
    error::InvalidSettings,
    events::Bus,
    limiter::RateLimiter,
    name::Name,
    registry::{Handles, Lifecycle, Random, SiteSnapshot, SiteStats},
    retry::RetryBudget,
    settings::{BudgetRule, RetrySettings},
};

/// The chain that the attribute builds, composed by hand from primitives of the program's own.
///
/// The order is fixed, outermost first: total timeout, retry, circuit peek, rate limit, bulkhead, circuit permit,
/// attempt timeout. Any other order is had by nesting the primitives' own `run`.
///
/// # Examples
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use resilience_runtime::{CircuitBreaker, Policy, RetrySettings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let circuit = Arc::new(CircuitBreaker::builder("api").build()?);
/// let policy = Policy::builder().name("fetch")
///     .circuit(circuit.clone())
///     .retry(RetrySettings::new(2).delay_ms(1))
///     .timeout(Duration::from_millis(500))
///     .build()?;
///
/// let mut calls = 0;
/// let answer = policy
///     .run(|| {
///         calls += 1;
///         let result = if calls < 3 { Err("not yet") } else { Ok(calls) };
///         async move { result }
///     })
///     .await;
/// assert_eq!(answer.ok(), Some(3));
/// assert_eq!(policy.snapshot().retries, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Policy(Arc<Handles>);

impl Policy {
    /// A policy that so far only measures.
    pub const fn builder() -> PolicyBuilder {
        PolicyBuilder {
            name: None,
            circuit: None,
            bulkhead: None,
            limiter: None,
            budget: None,
            retry: None,
            timeout: None,
            total_timeout: None,
            jitter_seed: None,
        }
    }

    /// Runs the operation, once for each attempt.
    ///
    /// **Every** error counts as transient unless [`PolicyRun::classify`] says otherwise: also the refusal of another
    /// primitive inside, and an error that implements [`Classify`](crate::Classify), which only the attribute finds by
    /// itself. Add `.classify(Classify::classify)` for such errors, or `.classify(CallError::class)` where something is
    /// nested in it and the error is not `Classify`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives everything back and counts nothing but the cancellation.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if it has to wait in the bulkhead's queue, for its turn at
    /// the limiter or for a retry, or if an attempt with a time limit is not ready at its first poll.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::{CallError, Classified, Classify, Policy, RetrySettings};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), resilience_runtime::InvalidSettings> {
    /// let policy = Policy::builder().retry(RetrySettings::new(3)).build()?;
    /// let find = || async { Err::<(), _>(Classified::permanent("no such user")) };
    ///
    /// let answer = policy.run(find).classify(Classify::classify).await;
    /// assert_eq!(answer, Err(CallError::Failed(Classified::permanent("no such user"))), "at the first attempt");
    /// # Ok(())
    /// # }
    /// ```
    pub fn run<Op, Fut, T, E>(&self, operation: Op) -> PolicyRun<'_, Op, Fut, E>
    where
        Op: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        PolicyRun::new(&self.0, operation)
    }

    /// The numbers so far.
    #[must_use]
    pub fn snapshot(&self) -> SiteSnapshot {
        self.0.stats.snapshot()
    }
}

/// Composes a [`Policy`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct PolicyBuilder {
    name: Option<Name>,
    circuit: Option<Arc<CircuitBreaker>>,
    bulkhead: Option<Arc<Bulkhead>>,
    limiter: Option<Arc<RateLimiter>>,
    budget: Option<Arc<RetryBudget>>,
    retry: Option<RetrySettings>,
    timeout: Option<Duration>,
    total_timeout: Option<Duration>,
    jitter_seed: Option<u64>,
}

impl PolicyBuilder {
    /// The name that timeouts and snapshots carry. Default: that of the circuit, or `policy`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Goes through this circuit.
    pub fn circuit(mut self, circuit: Arc<CircuitBreaker>) -> Self {
        self.circuit = Some(circuit);
        self
    }

    /// Goes through this bulkhead.
    pub fn bulkhead(mut self, bulkhead: Arc<Bulkhead>) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// Goes through this rate limiter.
    pub fn rate_limit(mut self, limiter: Arc<RateLimiter>) -> Self {
        self.limiter = Some(limiter);
        self
    }

    /// Retries.
    pub const fn retry(mut self, settings: RetrySettings) -> Self {
        self.retry = Some(settings);
        self
    }

    /// Shares a retry budget with other policies. Without it the policy has its own, as the settings say.
    pub fn budget(mut self, budget: Arc<RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Limits each attempt.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Limits the whole call: queueing, attempts, backoff.
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = Some(limit);
        self
    }

    /// Draws jitter from this seed: with paused time, every delay is the same in every run.
    pub const fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// If a value is out of its range or contradicts another.
    pub fn build(self) -> Result<Policy, InvalidSettings> {
        let problem = self.retry.as_ref().and_then(RetrySettings::problem).or_else(|| self.problem());
        if let Some(problem) = problem {
            return Err(problem);
        }
        let own_budget = || match self.retry?.budget {
            BudgetRule::Share(share) => Some(Arc::new(RetryBudget::new(share))),
            BudgetRule::Unlimited => None,
        };
        let name = self.name.or_else(|| self.circuit.as_ref().map(|circuit| circuit.label().clone()));
        let seed = self.jitter_seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Ok(Policy(Arc::new(Handles {
            budget: self.budget.clone().or_else(own_budget),
            circuit: self.circuit,
            bulkhead: self.bulkhead,
            limiter: self.limiter,
            pool: None,
            workers: None,
            retry: self.retry,
            timeout: self.timeout,
            total_timeout: self.total_timeout,
            stats: Arc::new(SiteStats::new(name.unwrap_or(UNNAMED))),
            bus: Bus::default(),
            lifecycle: Arc::new(Lifecycle::default()),
            random: Arc::new(Random::new(seed)),
            key: None,
            last_used: AtomicU64::new(0),
        })))
    }

    fn problem(&self) -> Option<InvalidSettings> {
        crate::settings::timeout_problem(self.timeout, self.total_timeout)
    }
}

/// What a policy is called that has neither a name nor a circuit.
const UNNAMED: Name = Name::from_static("policy");
