//! The open state.

use std::cell::Cell;

use resilience_runtime::CallError;

use super::*;

#[tokio::test(start_paused = true)]
async fn open_turns_half_open_by_time_alone_to_the_nanosecond() {
    let circuit = circuit();
    let heard = Heard::on(&circuit);
    trip(&circuit);
    advance(OPEN - Duration::from_nanos(1)).await;
    assert_eq!(circuit.state(), CircuitState::Open);
    assert_eq!(refusal(&circuit).retry_after(), Some(Duration::from_nanos(1)));
    advance(Duration::from_nanos(1)).await;
    assert_eq!((circuit.state(), circuit.is_half_open()), (CircuitState::HalfOpen, true));
    assert_eq!(circuit.snapshot().state, CircuitState::HalfOpen);
    assert_eq!(heard.lock().len(), 1, "no call has come to commit it");
}

/// The first admission commits it, and the event carries the time it was due.
#[tokio::test(start_paused = true)]
async fn the_event_of_a_lapse_carries_the_due_time() {
    let circuit = circuit();
    let heard = Heard::on(&circuit);
    trip(&circuit);
    advance(100 * OPEN).await;
    drop(permit(&circuit));
    drop(permit(&circuit));
    let heard = heard.lock();
    assert_eq!(heard.len(), 2);
    assert_eq!((heard[1].from, heard[1].to), (CircuitState::Open, CircuitState::HalfOpen));
    assert_eq!(heard[1].reason, TransitionReason::OpenTimeElapsed);
    assert_eq!(heard[1].at.saturating_since(heard[0].at), OPEN);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_runs_no_body() {
    let circuit = circuit();
    trip(&circuit);
    let bodies = Cell::new(0);
    for _ in 0..10 {
        let result = circuit
            .run(async {
                bodies.set(bodies.get() + 1);
                Ok::<_, &str>(())
            })
            .await;
        assert!(matches!(result, Err(CallError::Refused(ResilienceError::CircuitOpen { .. }))));
    }
    assert_eq!((bodies.get(), circuit.snapshot().refused), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let circuit = circuit();
    trip(&circuit);
    advance(10 * SECOND).await;
    let refusal = refusal(&circuit);
    assert_eq!(refusal.to_string(), "circuit `api` is open, 20.0 s until the next probe");
    assert_eq!((refusal.retry_after(), refusal.name()), (Some(20 * SECOND), "api"));
    circuit.force_open();
    assert_eq!(super::refusal(&circuit).retry_after(), None);
}

/// Results of calls that were under way when the circuit tripped.
#[tokio::test(start_paused = true)]
async fn late_results_change_nothing_but_their_counter() {
    let circuit = circuit();
    let permits: Vec<_> = (0..4).map(|_| permit(&circuit)).collect();
    trip(&circuit);
    let mut permits = permits.into_iter();
    let mut next = || permits.next().unwrap();
    next().success();
    next().failure();
    assert_eq!(circuit.state(), CircuitState::Open);
    advance(OPEN).await;
    next().success();
    assert_eq!((circuit.state(), circuit.snapshot().probes_admitted), (CircuitState::HalfOpen, 0));
    next().failure();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.late_results), (CircuitState::HalfOpen, 4));
    assert_eq!((snapshot.succeeded, snapshot.failed, snapshot.cancelled), (0, 2, 0));
}

/// A call of the first closed period neither helps nor harms the second.
#[tokio::test(start_paused = true)]
async fn a_late_result_does_not_reach_a_later_closed_period() {
    let circuit = builder().min_calls(1).window(10).build().unwrap();
    let late = permit(&circuit);
    trip(&circuit);
    circuit.close();
    circuit.record_failure();
    late.failure();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.window_calls, snapshot.late_results), (CircuitState::Closed, 1, 1));
    assert_eq!(snapshot.consecutive_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn the_open_time_doubles_with_every_failed_period_and_starts_again_after_a_close() {
    let circuit = builder().open_max(5 * OPEN).probes(1).jitter_seed(7).build().unwrap();
    let wait = || circuit.snapshot().next_probe_in.unwrap();
    trip(&circuit);
    assert_eq!(wait(), OPEN);
    for longest in [2 * OPEN, 4 * OPEN, 5 * OPEN, 5 * OPEN] {
        advance(wait()).await;
        permit(&circuit).failure();
        assert_eq!(circuit.state(), CircuitState::Open);
        assert!((longest * 9 / 10..=longest).contains(&wait()), "{:?} of {longest:?}", wait());
    }
    advance(wait()).await;
    permit(&circuit).success();
    assert_eq!(circuit.state(), CircuitState::Closed);
    trip(&circuit);
    assert_eq!(wait(), OPEN);
}

/// What readers compute before any call commits it is what is committed then.
#[tokio::test(start_paused = true)]
async fn readers_and_the_committing_call_agree_on_the_grown_open_time() {
    let circuit = half_open(builder().open_max(5 * OPEN).half_open_max(SECOND).jitter_seed(3)).await;
    let hung = permit(&circuit);
    advance(SECOND).await;
    let (read, state) = (circuit.snapshot().next_probe_in, circuit.state());
    let committed = refusal(&circuit).retry_after();
    assert_eq!((state, read, circuit.snapshot().next_probe_in), (CircuitState::Open, committed, committed));
    assert!(committed.unwrap() > OPEN);
    drop(hung);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_draws_the_same_open_times() {
    let times = |seed| async move {
        let circuit = builder().open_max(100 * OPEN).probes(1).jitter_seed(seed).build().unwrap();
        trip(&circuit);
        let mut times = Vec::new();
        for _ in 0..4 {
            advance(circuit.snapshot().next_probe_in.unwrap()).await;
            permit(&circuit).failure();
            times.push(circuit.snapshot().next_probe_in.unwrap());
        }
        times
    };
    assert_eq!(times(1).await, times(1).await);
    assert_ne!(times(1).await, times(2).await);
}
