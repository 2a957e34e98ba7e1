//! The half-open state: few probes, a verdict, and no way to get stuck.

use resilience_runtime::{CallError, CircuitSettings, ErrorClass};
use tokio_test::{assert_pending, task::spawn};

use super::*;

#[tokio::test(start_paused = true)]
async fn at_most_probes_are_let_through_and_the_surplus_is_refused() {
    let circuit = half_open(builder().probes(3)).await;
    let permits: Vec<_> = (0..3).map(|_| permit(&circuit)).collect();
    assert_eq!(refusal(&circuit).retry_after(), None);
    assert_eq!(circuit.snapshot().probes_admitted, 3);
    drop(permits);
    assert_eq!(circuit.snapshot().probes_admitted, 0);
}

/// A probe that has ended well is still one of the `probes` of its period.
#[tokio::test(start_paused = true)]
async fn a_decided_probe_gives_no_slot_back() {
    let circuit = half_open(builder().probes(2)).await;
    permit(&circuit).success();
    let second = permit(&circuit);
    refusal(&circuit);
    second.success();
    let reason = TransitionReason::Recovered;
    assert_last(&circuit, CircuitState::HalfOpen, CircuitState::Closed, reason);
}

#[tokio::test(start_paused = true)]
async fn it_closes_at_probe_successes_and_counts_what_is_left_as_late() {
    let circuit = half_open(builder().probes(3).probe_successes(2)).await;
    let [first, second, third] = [(); 3].map(|()| permit(&circuit));
    first.success();
    assert!(circuit.is_half_open());
    second.success();
    assert!(circuit.is_closed());
    third.failure();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.late_results, snapshot.window_calls), (CircuitState::Closed, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_opens_again_as_soon_as_the_successes_cannot_be_reached() {
    let circuit = half_open(builder().probes(3).probe_successes(2)).await;
    let [first, second, third] = [(); 3].map(|()| permit(&circuit));
    first.failure();
    assert!(circuit.is_half_open());
    second.failure();
    let reason = tripped(TripReason::ProbeFailed);
    assert_last(&circuit, CircuitState::HalfOpen, CircuitState::Open, reason);
    assert_eq!(circuit.snapshot().next_probe_in, Some(OPEN));
    third.success();
    assert_eq!(circuit.state(), CircuitState::Open);
}

/// The bug this keeps out: a cancelled probe after which the circuit refuses for ever.
#[tokio::test(start_paused = true)]
async fn dropping_a_permit_or_a_future_gives_the_probe_slot_back() {
    let circuit = half_open(builder().probes(1)).await;
    for _ in 0..10 {
        drop(permit(&circuit));
        permit(&circuit).ignore();
        let mut run = spawn(circuit.run(endless()));
        assert_pending!(run.poll());
        refusal(&circuit);
        drop(run);
        let run = circuit.run(async { Err::<(), _>("mine") }).classify(|_: &&str| ErrorClass::Ignored);
        assert_eq!(run.await, Err(CallError::Failed("mine")));
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.cancelled, snapshot.ignored, snapshot.probes_admitted), (20, 20, 0));
    permit(&circuit).success();
    assert!(circuit.is_closed());
}

/// The bug this keeps out: a probe that never ends holds half-open for ever.
#[tokio::test(start_paused = true)]
async fn a_hung_probe_opens_the_circuit_again() {
    let circuit = half_open(builder().probes(2).half_open_max(5 * SECOND)).await;
    let hung = permit(&circuit);
    advance(4 * SECOND).await;
    let other = permit(&circuit);
    advance(SECOND - Duration::from_nanos(1)).await;
    assert!(circuit.is_half_open());
    advance(Duration::from_nanos(1)).await;
    assert_eq!(circuit.state(), CircuitState::Open, "readers see it without a call");
    other.success();
    let reason = tripped(TripReason::ProbeTimedOut);
    assert_last(&circuit, CircuitState::HalfOpen, CircuitState::Open, reason);
    drop(hung);
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.late_results, snapshot.cancelled), (1, 1));
    assert_eq!(snapshot.next_probe_in, Some(OPEN), "from the moment it was due");
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_a_hung_probe_is_not_reissued_in_its_period() {
    let circuit = half_open(builder().probes(1)).await;
    let hung = permit(&circuit);
    refusal(&circuit);
    advance(OPEN).await;
    assert!(circuit.is_open());
    advance(OPEN).await;
    let probe = permit(&circuit);
    drop(hung);
    refusal(&circuit);
    probe.success();
    assert!(circuit.is_closed());
}

#[tokio::test(start_paused = true)]
async fn half_open_max_is_the_open_time_unless_given() {
    let circuit = half_open(builder()).await;
    let _hung = permit(&circuit);
    advance(OPEN - Duration::from_nanos(1)).await;
    assert!(circuit.is_half_open());
    advance(Duration::from_nanos(1)).await;
    assert!(circuit.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_idle_half_open_circuit_waits() {
    let circuit = half_open(builder()).await;
    advance(1_000 * OPEN).await;
    assert!(circuit.is_half_open());
    drop(permit(&circuit));
    advance(1_000 * OPEN).await;
    assert!(circuit.is_half_open());
}

/// The bug this keeps out: a circuit with less than one call in `half_open_max` never collects its successes.
#[tokio::test(start_paused = true)]
async fn little_traffic_closes_the_circuit_too() {
    let circuit = half_open(builder().probes(3)).await;
    for _ in 0..2 {
        let probe = permit(&circuit);
        advance(SECOND).await;
        probe.success();
        advance(10 * OPEN).await;
        assert!(circuit.is_half_open());
    }
    permit(&circuit).success();
    assert!(circuit.is_closed());
}

#[tokio::test(start_paused = true)]
async fn results_by_hand_count_as_probes() {
    let circuit = half_open(builder().probes(2)).await;
    let probe = permit(&circuit);
    circuit.record_success();
    refusal(&circuit);
    drop(probe);
    permit(&circuit).success();
    assert!(circuit.is_closed());

    let circuit = half_open(builder().probes(2)).await;
    circuit.record_failure();
    assert!(circuit.is_open());
}

#[tokio::test(start_paused = true)]
async fn new_settings_decide_what_they_make_decidable() {
    let settings = CircuitSettings::new().failure_threshold(2);
    let circuit = half_open(builder().probes(5)).await;
    permit(&circuit).success();
    circuit.configure(settings.probes(5).probe_successes(1)).unwrap();
    assert!(circuit.is_closed());

    let circuit = half_open(builder().probes(5).probe_successes(3)).await;
    permit(&circuit).failure();
    circuit.configure(settings.probes(1)).unwrap();
    assert!(circuit.is_open());
    let reason = tripped(TripReason::ProbeFailed);
    assert_last(&circuit, CircuitState::HalfOpen, CircuitState::Open, reason);
}

/// Guarantee 5, as a walk: whatever hangs, the circuit is never stuck.
#[tokio::test(start_paused = true)]
async fn a_circuit_always_leaves_open_and_half_open_by_time_alone() {
    let circuit = half_open(builder()).await;
    let mut hung = Vec::new();
    for _ in 0..20 {
        hung.push(permit(&circuit));
        advance(OPEN).await;
        assert_eq!(circuit.state(), CircuitState::Open);
        advance(OPEN).await;
        assert_eq!(circuit.state(), CircuitState::HalfOpen);
    }
    // Nobody called meanwhile: the whole sequence is told afterwards, each change at its time.
    drop(hung);
    permit(&circuit).success();
    permit(&circuit).success();
    assert!(circuit.is_closed());
}
