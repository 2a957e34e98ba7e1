//! The full policy, as each of the peers composes it.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use execution_policy::{ConcurrencyLimit, ExecutionPolicy, ExecutionPolicyBuilder, Retry};
use failsafe::{
    StateMachine,
    failure_policy::{ConsecutiveFailures, consecutive_failures},
    futures::CircuitBreaker as _,
};
use resilience_benches::{Budget, Comparison, Contender};
use tokio::sync::Semaphore;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_retry::RetryLayer;
use tower_resilience_timelimiter::TimeLimiterLayer;

use crate::{
    body::{Plain, pending, ready},
    ours::{self, LIMIT},
    primitives::OPEN,
};

pub(crate) fn comparisons() -> Vec<Comparison> {
    vec![
        Comparison::new("full policy", Contender::future("", || ours::four))
            .against(handmade(), Budget::Times(0.33))
            .against(execution_policy(), Budget::Times(0.5))
            .against(tower_resilience(), Budget::Times(0.08)),
        Comparison::new("full policy, body pending once", Contender::future("", || ours::four_pending))
            .against(
                Contender::future("hand-made stack", || async |id| protected(id, pending).await),
                Budget::None,
            )
            .against(
                Contender::future("execution-policy 0.0.6", || {
                    let policy = policy();
                    async move |id| policy.run(async || pending(id).await).await
                }),
                Budget::None,
            ),
    ]
}

type Breaker = StateMachine<ConsecutiveFailures<std::iter::Repeat<Duration>>, ()>;

static BREAKER: LazyLock<Breaker> = LazyLock::new(|| {
    failsafe::Config::new().failure_policy(consecutive_failures(5, std::iter::repeat(OPEN))).build()
});

static SEMAPHORE: Semaphore = Semaphore::const_new(10);

/// What one writes without a library for it: failsafe, backon, and tokio's semaphore and timeout.
async fn protected<F: Future<Output = Result<u64, Plain>>>(
    id: u64,
    body: impl Fn(u64) -> F,
) -> Result<u64, Plain> {
    let attempt = || async {
        let Ok(_permit) = SEMAPHORE.try_acquire() else {
            return Err(Plain::Refused);
        };
        let timed = async { tokio::time::timeout(LIMIT, body(id)).await.unwrap_or(Err(Plain::Refused)) };
        match BREAKER.call(timed).await {
            Ok(value) => Ok(value),
            Err(failsafe::Error::Inner(error)) => Err(error),
            Err(failsafe::Error::Rejected) => Err(Plain::Refused),
        }
    };
    attempt.retry(ExponentialBuilder::default().with_jitter().with_max_times(3)).await
}

pub(crate) fn handmade() -> Contender {
    Contender::future("hand-made stack", || async |id| protected(id, ready).await)
}

fn policy() -> ExecutionPolicy<execution_policy::DefaultCore, u64, Plain> {
    ExecutionPolicyBuilder::<u64, Plain>::new()
        .retry(Retry::exponential().max_attempts(4))
        .attempt_timeout(LIMIT)
        .circuit_breaker(
            execution_policy::CircuitBreaker::failure_ratio()
                .ratio(0.5)
                .minimum_throughput(10)
                .open_for(OPEN),
        )
        .concurrency_limit(ConcurrencyLimit::operations(10).reject())
        .build()
}

pub(crate) fn execution_policy() -> Contender {
    let policy = Arc::new(policy());
    Contender::future("execution-policy 0.0.6", move || {
        let policy = policy.clone();
        async move |id| policy.run(async || ready(id).await).await
    })
}

pub(crate) fn tower_resilience() -> Contender {
    let circuit = CircuitBreakerLayer::builder().sliding_window_size(100).minimum_number_of_calls(10).build();
    let circuit = circuit.unwrap_or_else(|error| panic!("{error}"));
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(10).reject_when_full().build();
    let bulkhead = bulkhead.unwrap_or_else(|error| panic!("{error}"));
    Contender::future("tower-resilience 0.14", move || {
        let mut service = ServiceBuilder::new()
            .layer(
                RetryLayer::builder().max_attempts(4).exponential_backoff(Duration::from_millis(100)).build(),
            )
            .map_err(|_| Plain::Refused)
            .layer(bulkhead.clone())
            .map_err(|_| Plain::Refused)
            .layer(circuit.clone())
            .map_err(|_| Plain::Refused)
            .layer(TimeLimiterLayer::builder().timeout_duration(LIMIT).build())
            .service(service_fn(ready::<Plain>));
        async move |id| service.ready().await?.call(id).await
    })
}
