//! When a closed circuit trips.

use resilience_runtime::{CircuitSettings, TripPolicy, WindowTotals};

use super::*;

fn rate(circuit: &CircuitBreaker) -> Option<f64> {
    circuit.snapshot().failure_rate
}

#[test]
fn the_defaults_trip_at_half_of_ten_calls() {
    let circuit = CircuitBreaker::builder("api").build().unwrap();
    for _ in 0..5 {
        circuit.record_success();
    }
    for failures in 1..=4 {
        circuit.record_failure();
        assert!(circuit.is_closed(), "{failures}");
    }
    circuit.record_failure();
    let reason = tripped(TripReason::FailureRate { rate: 0.5, calls: 10 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

#[test]
fn a_verdict_falls_at_min_calls_and_the_rate_below_is_none() {
    let circuit = CircuitBreaker::builder("api").window(100).min_calls(4).build().unwrap();
    for _ in 0..3 {
        circuit.record_failure();
        assert_eq!((rate(&circuit), circuit.is_closed()), (None, true));
    }
    circuit.record_failure();
    assert_eq!((rate(&circuit), circuit.is_open()), (Some(1.0), true));
}

/// The verdict falls on every outcome: this one is completed by a success.
#[test]
fn a_success_that_completes_min_calls_can_trip() {
    let circuit = CircuitBreaker::builder("api").min_calls(4).build().unwrap();
    for _ in 0..2 {
        circuit.record_failure();
    }
    permit(&circuit).success();
    assert!(circuit.is_closed());
    permit(&circuit).success();
    let reason = tripped(TripReason::FailureRate { rate: 0.5, calls: 4 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

#[test]
fn failures_in_a_row_trip_and_a_success_between_them_does_not() {
    let circuit = CircuitBreaker::builder("api").failure_threshold(3).build().unwrap();
    for _ in 0..50 {
        circuit.record_failure();
        circuit.record_failure();
        circuit.record_success();
    }
    assert_eq!((circuit.is_closed(), circuit.snapshot().consecutive_failures), (true, 0));
    for _ in 0..3 {
        circuit.record_failure();
    }
    let reason = tripped(TripReason::ConsecutiveFailures { count: 3 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_failures_is_forgotten_after_a_pause() {
    let circuit = builder().failure_reset(SECOND).build().unwrap();
    circuit.record_failure();
    advance(SECOND - Duration::from_nanos(1)).await;
    assert_eq!(circuit.snapshot().consecutive_failures, 1);
    advance(Duration::from_nanos(1)).await;
    assert_eq!(circuit.snapshot().consecutive_failures, 0);
    circuit.record_failure();
    assert!(circuit.is_closed());
    advance(SECOND / 2).await;
    circuit.record_failure();
    assert!(circuit.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_call_is_slow_above_the_limit_and_not_at_it() {
    let circuit =
        CircuitBreaker::builder("api").min_calls(2).slow_call(SECOND).slow_call_rate(1.0).build().unwrap();
    let (at, above) = (permit(&circuit), permit(&circuit));
    advance(SECOND).await;
    at.success();
    advance(Duration::from_nanos(1)).await;
    above.success();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.window_slow, snapshot.slow, snapshot.slow_call_rate), (1, 1, Some(0.5)));
    assert!(circuit.is_closed());
}

#[tokio::test(start_paused = true)]
async fn slow_calls_trip_though_they_succeed() {
    let circuit =
        CircuitBreaker::builder("api").min_calls(2).slow_call(SECOND).slow_call_rate(0.5).build().unwrap();
    permit(&circuit).success();
    let slow = permit(&circuit);
    advance(2 * SECOND).await;
    slow.success();
    let reason = tripped(TripReason::SlowCallRate { rate: 0.5, calls: 2 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
    assert_eq!(circuit.snapshot().succeeded, 2);
}

#[tokio::test(start_paused = true)]
async fn a_quick_success_that_completes_min_calls_can_trip_for_slow_ones() {
    let circuit =
        CircuitBreaker::builder("api").min_calls(2).slow_call(SECOND).slow_call_rate(0.5).build().unwrap();
    let slow = permit(&circuit);
    advance(2 * SECOND).await;
    slow.success();
    assert!(circuit.is_closed());
    permit(&circuit).success();
    let reason = tripped(TripReason::SlowCallRate { rate: 0.5, calls: 2 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

#[test]
fn neither_cancelled_nor_ignored_calls_count() {
    let circuit = CircuitBreaker::builder("api").min_calls(1).window(1).build().unwrap();
    permit(&circuit).ignore();
    drop(permit(&circuit));
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.window_calls, snapshot.ignored, snapshot.cancelled), (0, 1, 1));
    assert!(circuit.is_closed());
}

/// Says what it was asked.
#[derive(Clone, Debug, Default)]
struct Asked(Arc<Mutex<Vec<WindowTotals>>>);

impl TripPolicy for Asked {
    fn should_trip(&self, totals: &WindowTotals) -> Option<TripReason> {
        self.0.lock().unwrap().push(*totals);
        (totals.calls == 4).then_some(TripReason::Custom("four calls"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_ones_own_replaces_all_others_and_sees_every_outcome() {
    let asked = Asked::default();
    let settings = CircuitSettings::new().failure_threshold(1).slow_call_ms(1_000);
    let circuit =
        CircuitBreaker::builder("api").settings(settings).trip_policy(asked.clone()).build().unwrap();
    let slow = permit(&circuit);
    advance(2 * SECOND).await;
    slow.success();
    circuit.record_failure();
    circuit.record_failure();
    circuit.record_success();
    let totals: Vec<_> = asked.0.lock().unwrap().iter().map(|t| (t.calls, t.failures, t.slow)).collect();
    assert_eq!(totals, [(1, 0, 1), (2, 1, 1), (3, 2, 1), (4, 2, 1)]);
    let runs: Vec<_> = asked.0.lock().unwrap().iter().map(|totals| totals.consecutive_failures).collect();
    assert_eq!(runs, [0, 1, 2, 0]);
    let reason = tripped(TripReason::Custom("four calls"));
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}
