//! Breaker, retry and timeout, each alone.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use execution_policy::{ExecutionPolicyBuilder, Retry};
use failsafe::{CircuitBreaker as _, backoff, failure_policy::consecutive_failures};
use recloser::Recloser;
use resilience_benches::{Budget, Comparison, Contender};
use resilience_runtime::CircuitBreaker;
use tower::{
    Service, ServiceBuilder, ServiceExt,
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget as _, TpsBudget},
    },
    service_fn,
    util::rng::HasherRng,
};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use crate::{
    body::{Plain, pending, ready, work},
    ours::{self, LIMIT},
};

pub(crate) const OPEN: Duration = Duration::from_secs(30);

pub(crate) fn comparisons() -> Vec<Comparison> {
    vec![breaker(), breaker_with_latencies(), breaker_of_futures(), retry(), timeout(), timeout_pending()]
}

pub(crate) fn circuit() -> CircuitBreaker {
    CircuitBreaker::builder("bench").build().unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn through(circuit: &CircuitBreaker, id: u64) -> Result<u64, Plain> {
    let Ok(permit) = circuit.try_acquire() else {
        return Err(Plain::Refused);
    };
    let result = work(id);
    match &result {
        Ok(_) => permit.success(),
        Err(_) => permit.failure(),
    }
    result
}

pub(crate) fn failsafe() -> Contender {
    let circuit =
        failsafe::Config::new().failure_policy(consecutive_failures(5, backoff::constant(OPEN))).build();
    Contender::call("failsafe 1.3, consecutive", move || {
        let circuit = circuit.clone();
        move |id| circuit.call(|| work::<Plain>(id))
    })
}

fn failsafe_default() -> Contender {
    let circuit = failsafe::Config::new().build();
    Contender::call("failsafe 1.3, default", move || {
        let circuit = circuit.clone();
        move |id| circuit.call(|| work::<Plain>(id))
    })
}

pub(crate) fn recloser() -> Contender {
    let circuit = Arc::new(Recloser::custom().error_rate(0.5).closed_len(100).open_wait(OPEN).build());
    Contender::call("recloser 1.4", move || {
        let circuit = circuit.clone();
        move |id| circuit.call(|| work::<Plain>(id))
    })
}

fn breaker() -> Comparison {
    let ours = Contender::call("", || {
        let circuit = circuit();
        move |id| through(&circuit, id)
    });
    Comparison::new("breaker", ours)
        .against(failsafe(), Budget::Times(0.35))
        .against(failsafe_default(), Budget::Times(0.35))
        .against(recloser(), Budget::Times(0.35))
}

fn breaker_with_latencies() -> Comparison {
    let ours = Contender::call("", || {
        let circuit = CircuitBreaker::builder("bench").latency(true).build();
        let circuit = circuit.unwrap_or_else(|error| panic!("{error}"));
        move |id| through(&circuit, id)
    });
    Comparison::new("breaker, latencies kept", ours)
        .against(failsafe(), Budget::Times(1.0))
        .against(recloser(), Budget::Times(1.0))
}

fn breaker_of_futures() -> Comparison {
    Comparison::new("breaker of futures (attribute)", Contender::future("", || ours::broken))
        .against(
            Contender::future("execution-policy 0.0.6", || {
                let policy = ExecutionPolicyBuilder::<u64, Plain>::new()
                    .circuit_breaker(
                        execution_policy::CircuitBreaker::failure_ratio()
                            .ratio(0.5)
                            .minimum_throughput(10)
                            .open_for(OPEN),
                    )
                    .build();
                async move |id| policy.run(async || ready(id).await).await
            }),
            Budget::None,
        )
        .against(
            Contender::future("tower-resilience 0.14", || {
                let layer =
                    CircuitBreakerLayer::builder().sliding_window_size(100).minimum_number_of_calls(10);
                let mut service = ServiceBuilder::new()
                    .layer(layer.build().unwrap_or_else(|error| panic!("{error}")))
                    .service_fn(ready::<Plain>);
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
}

fn retry() -> Comparison {
    Comparison::new("retry", Contender::future("", || ours::retried))
        .against(
            Contender::future("backon 1.6", || {
                async |id| {
                    let policy = ExponentialBuilder::default().with_jitter().with_max_times(3);
                    (|| ready::<Plain>(id)).retry(policy).await
                }
            }),
            Budget::None,
        )
        .against(
            Contender::future("tokio-retry 0.3", || {
                async |id| {
                    let policy = tokio_retry::strategy::ExponentialBackoff::from_millis(100)
                        .map(tokio_retry::strategy::jitter)
                        .take(3);
                    tokio_retry::Retry::start(policy, || ready::<Plain>(id)).await
                }
            }),
            Budget::None,
        )
        .against(
            Contender::future("tower 0.5, with budget", || {
                let mut service =
                    ServiceBuilder::new().retry(Attempts::new(3)).service(service_fn(ready::<Plain>));
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
        .against(
            Contender::future("execution-policy 0.0.6", || {
                let policy = ExecutionPolicyBuilder::<u64, Plain>::new()
                    .retry(Retry::exponential().max_attempts(4))
                    .build();
                async move |id| policy.run(async || ready(id).await).await
            }),
            Budget::None,
        )
}

/// Tower leaves the policy to its user; this is the one its documentation shows, with its own budget and backoff.
#[derive(Clone)]
struct Attempts {
    left: usize,
    budget: Arc<TpsBudget>,
    backoff: ExponentialBackoffMaker<HasherRng>,
}

impl Attempts {
    fn new(left: usize) -> Self {
        let backoff = ExponentialBackoffMaker::new(
            Duration::from_millis(100),
            Duration::from_secs(10),
            1.0,
            HasherRng::default(),
        );
        Self { left, budget: Arc::default(), backoff: backoff.unwrap_or_else(|error| panic!("{error}")) }
    }
}

impl Policy<u64, u64, Plain> for Attempts {
    type Future = tokio::time::Sleep;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, Plain>) -> Option<Self::Future> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.budget.withdraw().then(|| self.backoff.make_backoff().next_backoff())
    }

    fn clone_request(&mut self, id: &u64) -> Option<u64> {
        Some(*id)
    }
}

fn timeout() -> Comparison {
    Comparison::new("timeout", Contender::future("", || ours::timed))
        .against(
            Contender::future("tokio 1", || async |id| tokio::time::timeout(LIMIT, ready::<Plain>(id)).await),
            Budget::None,
        )
        .against(
            Contender::future("tower 0.5", || {
                let mut service = ServiceBuilder::new().timeout(LIMIT).service(service_fn(ready::<Plain>));
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
}

fn timeout_pending() -> Comparison {
    Comparison::new("timeout, body pending once", Contender::future("", || ours::timed_pending))
        .against(
            Contender::future("tokio 1", || {
                async |id| tokio::time::timeout(LIMIT, pending::<Plain>(id)).await
            }),
            Budget::None,
        )
        .against(
            Contender::future("tower 0.5", || {
                let mut service = ServiceBuilder::new().timeout(LIMIT).service(service_fn(pending::<Plain>));
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
}
