//! A circuit in the hands of its operators.

use super::*;

#[tokio::test(start_paused = true)]
async fn forced_open_is_pinned() {
    let circuit = circuit();
    circuit.force_open();
    advance(1_000 * OPEN).await;
    assert_eq!((circuit.state(), circuit.is_open()), (CircuitState::ForcedOpen, true));
    refusal(&circuit);
    circuit.close();
    assert_last(&circuit, CircuitState::ForcedOpen, CircuitState::Closed, TransitionReason::ByHand);
    drop(permit(&circuit));
}

#[test]
fn closing_empties_the_window_and_forgets_the_run() {
    let circuit = builder().failure_rate(1.0).min_calls(3).build().unwrap();
    for _ in 0..10 {
        circuit.record_failure();
        circuit.close();
        let snapshot = circuit.snapshot();
        assert_eq!((snapshot.window_calls, snapshot.consecutive_failures), (0, 0));
    }
    assert!(circuit.is_closed());
    assert_eq!((circuit.snapshot().failed, circuit.snapshot().last_transition), (10, None));
}

#[test]
fn a_disabled_circuit_lets_everything_through_and_counts_nothing() {
    let circuit = circuit();
    circuit.disable();
    for _ in 0..10 {
        permit(&circuit).failure();
        permit(&circuit).success();
        drop(permit(&circuit));
        circuit.record_failure();
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.window_calls), (CircuitState::Disabled, 0));
    assert_eq!(
        (snapshot.failed, snapshot.succeeded, snapshot.cancelled, snapshot.late_results),
        (0, 0, 0, 0)
    );
}

#[test]
fn a_metrics_only_circuit_counts_and_never_refuses() {
    let circuit = CircuitBreaker::builder("api").min_calls(1).build().unwrap();
    circuit.metrics_only();
    for _ in 0..20 {
        permit(&circuit).failure();
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.failure_rate), (CircuitState::MetricsOnly, Some(1.0)));
    assert_eq!((snapshot.failed, snapshot.consecutive_failures), (20, 20));
    circuit.close();
    assert_eq!(circuit.snapshot().window_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn results_by_hand_count_in_closed_and_never_in_open() {
    let circuit = circuit();
    circuit.record_success();
    circuit.record_failure();
    assert_eq!((circuit.snapshot().succeeded, circuit.snapshot().failed), (1, 1));
    circuit.record_failure();
    assert!(circuit.is_open());
    circuit.record_success();
    circuit.record_failure();
    circuit.force_open();
    circuit.record_failure();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.succeeded, snapshot.failed, snapshot.late_results), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_and_starts_at_zero() {
    let circuit = builder().latency(true).build().unwrap();
    permit(&circuit).success();
    trip(&circuit);
    refusal(&circuit);
    circuit.reset();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.last_transition), (CircuitState::Closed, None));
    assert_eq!((snapshot.succeeded, snapshot.failed, snapshot.refused, snapshot.latency), (0, 0, 0, None));
    circuit.record_failure();
    assert!(circuit.is_closed());
}

/// Every state can be entered by hand from every other; each change is told once, none is told of itself.
#[tokio::test(start_paused = true)]
async fn every_state_is_left_by_hand() {
    type Enter = fn(&CircuitBreaker);
    let enter: [(Enter, CircuitState); 4] = [
        (CircuitBreaker::close, CircuitState::Closed),
        (CircuitBreaker::disable, CircuitState::Disabled),
        (CircuitBreaker::force_open, CircuitState::ForcedOpen),
        (CircuitBreaker::metrics_only, CircuitState::MetricsOnly),
    ];
    for (to, state) in enter {
        for (from, before) in enter {
            let circuit = circuit();
            from(&circuit);
            let heard = Heard::on(&circuit);
            to(&circuit);
            to(&circuit);
            assert_eq!(circuit.state(), state);
            let expected = if before == state { vec![] } else { vec![(before, state)] };
            assert_eq!(heard.changes(), expected);
        }
        let open = circuit();
        trip(&open);
        to(&open);
        assert_eq!(open.state(), state);
        let probing = half_open(builder()).await;
        let probe = permit(&probing);
        to(&probing);
        probe.success();
        assert_eq!((probing.state(), probing.snapshot().late_results), (state, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_is_in_one_state_at_a_time() {
    let is = |circuit: &CircuitBreaker| (circuit.is_closed(), circuit.is_open(), circuit.is_half_open());
    let (closed, open, half_open) = (circuit(), circuit(), half_open(builder()).await);
    trip(&open);
    assert_eq!(
        [&closed, &open, &half_open].map(is),
        [(true, false, false), (false, true, false), (false, false, true)]
    );
    closed.force_open();
    open.disable();
    half_open.metrics_only();
    assert_eq!(
        [&closed, &open, &half_open].map(is),
        [(false, true, false), (false, false, false), (false, false, false)]
    );
}

/// A probe of before `close` and `force_open` decides nothing after them.
#[tokio::test(start_paused = true)]
async fn a_probes_verdict_does_not_undo_what_was_done_by_hand() {
    let circuit = half_open(builder().probes(1)).await;
    let probe = permit(&circuit);
    circuit.force_open();
    probe.success();
    assert_eq!(circuit.state(), CircuitState::ForcedOpen);
}
