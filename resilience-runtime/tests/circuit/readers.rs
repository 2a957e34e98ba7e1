//! What can be read of a circuit.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_everything() {
    let circuit = builder().failure_rate(0.5).min_calls(4).critical(true).latency(true).build().unwrap();
    let timed = permit(&circuit);
    advance(SECOND).await;
    timed.success();
    circuit.record_failure();
    permit(&circuit).ignore();
    drop(permit(&circuit));
    let snapshot = circuit.snapshot();
    assert_eq!(
        (snapshot.name.as_str(), snapshot.state, snapshot.critical),
        ("api", CircuitState::Closed, true)
    );
    assert_eq!((snapshot.window_calls, snapshot.window_failures, snapshot.window_slow), (2, 1, 0));
    assert_eq!((snapshot.failure_rate, snapshot.slow_call_rate), (None, None));
    assert_eq!(
        (snapshot.consecutive_failures, snapshot.probes_admitted, snapshot.next_probe_in),
        (1, 0, None)
    );
    assert_eq!((snapshot.succeeded, snapshot.failed, snapshot.ignored, snapshot.cancelled), (1, 1, 1, 1));
    assert_eq!((snapshot.timed_out, snapshot.panicked, snapshot.refused), (0, 0, 0));
    assert_eq!((snapshot.last_transition, snapshot.last_cause), (None, None));
    let latency = snapshot.latency.unwrap();
    assert_eq!((latency.count, latency.max), (1, SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_last_transition_tells_how_long_ago_it_was() {
    let circuit = circuit();
    trip(&circuit);
    advance(7 * SECOND).await;
    let last = circuit.snapshot().last_transition.unwrap();
    assert_eq!((last.from, last.to, last.ago), (CircuitState::Closed, CircuitState::Open, 7 * SECOND));
    assert_eq!(last.reason, tripped(TripReason::ConsecutiveFailures { count: 2 }));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_what_time_alone_has_brought_about_as_the_call_that_commits_it_does() {
    let circuit = half_open(builder().half_open_max(5 * SECOND)).await;
    let heard = Heard::on(&circuit);
    let last = || circuit.snapshot().last_transition.unwrap();
    advance(SECOND).await;
    let half_open = last();
    assert_eq!((half_open.from, half_open.to), (CircuitState::Open, CircuitState::HalfOpen));
    assert_eq!((half_open.reason, half_open.ago), (TransitionReason::OpenTimeElapsed, SECOND));
    assert!(heard.changes().is_empty());
    let hung = permit(&circuit);
    assert_eq!((last(), heard.changes().len()), (half_open, 1));

    advance(6 * SECOND).await;
    let open = last();
    assert_eq!((open.from, open.to), (CircuitState::HalfOpen, CircuitState::Open));
    assert_eq!((open.reason, open.ago), (tripped(TripReason::ProbeTimedOut), SECOND));
    let text = "circuit `api` is open: the probes gave no verdict in time, next probe in 29.0 s";
    assert_eq!((circuit.snapshot().to_string().as_str(), heard.changes().len()), (text, 1));
    refusal(&circuit);
    assert_eq!((last(), heard.changes().len()), (open, 2));
    drop(hung);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_after_two_changes_by_time_alone_tells_the_second() {
    let circuit = half_open(builder().half_open_max(SECOND)).await;
    let hung = permit(&circuit);
    advance(SECOND + OPEN + 3 * SECOND).await;
    let last = circuit.snapshot().last_transition.unwrap();
    assert_eq!((last.from, last.to, last.ago), (CircuitState::Open, CircuitState::HalfOpen, 3 * SECOND));
    assert_eq!(last.reason, TransitionReason::OpenTimeElapsed);
    drop(hung);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_reads_as_a_sentence() {
    let circuit = CircuitBreaker::builder("api").min_calls(8).failure_rate(0.62).open(OPEN).build().unwrap();
    let text = || circuit.snapshot().to_string();
    assert_eq!(text(), "circuit `api` is closed");
    for call in 0..8 {
        if call < 3 { circuit.record_success() } else { circuit.record_failure() }
    }
    advance(Duration::from_millis(11_800)).await;
    let open = "circuit `api` is open: failure rate 62 % over 8 calls, next probe in 18.2 s";
    // Five of eight, rounded half to even.
    assert_eq!(text(), open);
    advance(OPEN).await;
    assert_eq!(text(), "circuit `api` is half-open: the open time has passed");
    circuit.force_open();
    assert_eq!(text(), "circuit `api` is forced open: by hand");
}

#[test]
fn a_bare_circuit_keeps_no_latencies() {
    let circuit = circuit();
    permit(&circuit).success();
    assert_eq!(circuit.snapshot().latency, None);
}

#[test]
fn debug_output_names_circuit_and_state() {
    let circuit = circuit();
    circuit.force_open();
    assert_eq!(format!("{circuit:?}"), "CircuitBreaker { name: \"api\", state: ForcedOpen, .. }");
    circuit.close();
    assert!(format!("{:?}", permit(&circuit)).starts_with("Permit { circuit: CircuitBreaker"));
}

#[tokio::test]
async fn an_owned_permit_goes_anywhere() {
    let circuit = Arc::new(circuit());
    let permit = circuit.try_acquire_owned().unwrap();
    tokio::spawn(async move { permit.success() }).await.unwrap();
    assert_eq!(circuit.snapshot().succeeded, 1);
}
