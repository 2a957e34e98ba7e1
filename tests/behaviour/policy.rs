//! Policies composed by hand.

use std::{cell::Cell, sync::Arc, time::Duration};

use resilience_runtime::{
    Bulkhead, CallError, CircuitBreaker, CircuitState, InvalidSettings, Policy, ResilienceError,
    RetrySettings, policy::PolicyBuilder,
};

fn bulkhead(max: usize) -> Arc<Bulkhead> {
    Arc::new(Bulkhead::new("db", max).unwrap())
}

#[tokio::test]
async fn a_run_that_is_never_polled_has_called_nothing_and_holds_nothing() {
    let bulkhead = bulkhead(1);
    let policy = Policy::builder().bulkhead(bulkhead.clone()).build().unwrap();
    let idle = policy.run(async || Ok::<_, ()>(()));
    assert_eq!((bulkhead.in_flight(), policy.snapshot().calls), (0, 0));
    assert_eq!(policy.run(async || Ok::<_, ()>(7)).await, Ok(7), "the idle run does not stand in the way");
    drop(idle);
    let snapshot = policy.snapshot();
    assert_eq!((snapshot.calls, snapshot.succeeded, snapshot.cancelled), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_through_everything_the_policy_names() {
    let bulkhead = bulkhead(1);
    let circuit = Arc::new(
        CircuitBreaker::builder("api").failure_threshold(3).open(Duration::from_secs(9)).build().unwrap(),
    );
    let policy = Policy::builder()
        .name("by hand")
        .circuit(circuit.clone())
        .bulkhead(bulkhead.clone())
        .retry(RetrySettings::new(5))
        .build()
        .unwrap();
    let attempts = Cell::new(0);
    let answer = policy
        .run(async || {
            attempts.set(attempts.get() + 1);
            assert_eq!(bulkhead.in_flight(), 1);
            Err::<(), _>("reset")
        })
        .await;
    // The third failure trips the circuit, and a retry that it would refuse is not made.
    assert_eq!((answer, attempts.get()), (Err(CallError::Failed("reset")), 3));
    assert_eq!((circuit.state(), bulkhead.in_flight()), (CircuitState::Open, 0));
    let refused = policy.run(async || Ok::<_, &str>(())).await;
    let retry_after = Some(Duration::from_secs(9));
    assert_eq!(
        refused,
        Err(CallError::Refused(ResilienceError::CircuitOpen { circuit: "api".into(), retry_after }))
    );
    let snapshot = policy.snapshot();
    assert_eq!((snapshot.calls, snapshot.attempts, snapshot.retries), (2, 3, 2));
    assert_eq!((snapshot.failed, snapshot.refused_by_circuit), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn retries_are_exhausted_where_there_were_any() {
    let failing = async |max| {
        let policy = Policy::builder().retry(RetrySettings::new(max)).build().unwrap();
        policy.run(async || Err::<(), _>("reset")).await.unwrap_err()
    };
    assert_eq!(failing(0).await, CallError::Failed("reset"));
    assert_eq!(failing(2).await, CallError::RetriesExhausted { attempts: 3, last: "reset" });
}

#[tokio::test]
async fn a_policy_without_a_name_takes_that_of_its_circuit() {
    let circuit = Arc::new(CircuitBreaker::builder("api").build().unwrap());
    let name = |policy: PolicyBuilder| policy.build().unwrap().snapshot().name.to_string();
    assert_eq!(name(Policy::builder()), "policy");
    assert_eq!(name(Policy::builder().circuit(circuit.clone())), "api");
    assert_eq!(name(Policy::builder().name("fetch").circuit(circuit)), "fetch");
}

#[test]
fn invalid_settings_can_be_matched() {
    let error = Policy::builder().timeout(Duration::ZERO).build().unwrap_err();
    assert!(matches!(error, InvalidSettings { key: "timeout", reason: "must be longer than zero", .. }));
}

#[tokio::test]
#[should_panic(expected = "polled after it has answered")]
async fn a_run_answers_once() {
    let policy = Policy::builder().build().unwrap();
    let mut run = std::pin::pin!(policy.run(async || Ok::<_, ()>(())));
    assert_eq!(run.as_mut().await, Ok(()));
    let _ = run.await;
}
