//! What the windows hold.

use proptest::{collection::vec, prelude::*};
use resilience_runtime::circuit::LoggedOutcome;

use super::*;

fn log(circuit: &CircuitBreaker) -> Vec<bool> {
    circuit.execution_log().iter().map(|outcome| outcome.failure).collect()
}

fn record(circuit: &CircuitBreaker, failure: bool) {
    if failure { circuit.record_failure() } else { circuit.record_success() }
}

/// The bug this keeps out: a window that is one longer than said.
#[test]
fn a_window_of_three_takes_three() {
    let circuit = CircuitBreaker::builder("api").window(3).failure_rate(1.0).build().unwrap();
    circuit.record_success();
    circuit.record_failure();
    circuit.record_failure();
    assert!(circuit.is_closed());
    circuit.record_failure();
    let reason = tripped(TripReason::FailureRate { rate: 1.0, calls: 3 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

/// The bug this keeps out: an average over the whole life that needs 2,000 failures after 2,000 successes.
#[test]
fn ten_failures_trip_a_window_of_ten_however_long_all_went_well() {
    let circuit = CircuitBreaker::builder("api").window(10).failure_rate(1.0).build().unwrap();
    for _ in 0..2_000 {
        circuit.record_success();
    }
    for _ in 0..9 {
        circuit.record_failure();
    }
    assert!(circuit.is_closed());
    circuit.record_failure();
    assert!(circuit.is_open());
}

#[test]
fn the_log_holds_the_last_outcomes_oldest_first_also_after_the_trip() {
    let circuit = CircuitBreaker::builder("api").window(3).failure_rate(1.0).min_calls(3).build().unwrap();
    for failure in [true, true, false, true, true] {
        record(&circuit, failure);
    }
    assert_eq!(log(&circuit), [false, true, true]);
    circuit.record_failure();
    assert!(circuit.is_open());
    assert_eq!((log(&circuit), circuit.snapshot().failure_rate), (vec![true; 3], Some(1.0)));
    circuit.close();
    assert_eq!((log(&circuit), circuit.snapshot().failure_rate), (vec![], None));
}

#[tokio::test(start_paused = true)]
async fn the_log_tells_slow_from_failed() {
    let circuit = CircuitBreaker::builder("api").slow_call(SECOND).build().unwrap();
    let slow = permit(&circuit);
    advance(2 * SECOND).await;
    slow.failure();
    permit(&circuit).success();
    let log: Vec<_> =
        circuit.execution_log().iter().map(|&LoggedOutcome { failure, slow, .. }| (failure, slow)).collect();
    assert_eq!(log, [(true, true), (false, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_forgets_after_its_length() {
    let circuit = CircuitBreaker::builder("api")
        .window_time(10 * SECOND)
        .min_calls(3)
        .failure_rate(1.0)
        .build()
        .unwrap();
    circuit.record_failure();
    circuit.record_failure();
    assert_eq!((circuit.snapshot().window_calls, circuit.execution_log()), (2, vec![]));
    advance(10 * SECOND).await;
    assert_eq!(circuit.snapshot().window_calls, 0);
    circuit.record_failure();
    assert_eq!((circuit.snapshot().window_calls, circuit.is_closed()), (1, true));
    advance(SECOND).await;
    circuit.record_failure();
    circuit.record_failure();
    let reason = tripped(TripReason::FailureRate { rate: 1.0, calls: 3 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

/// The bug this keeps out: buckets that were not cleared while nobody called.
#[tokio::test(start_paused = true)]
async fn a_pause_of_a_thousand_windows_leaves_nothing() {
    let circuit = CircuitBreaker::builder("api").window_time(SECOND).min_calls(20).build().unwrap();
    for _ in 0..10 {
        circuit.record_failure();
        advance(SECOND / 10).await;
    }
    advance(1_000 * SECOND).await;
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.window_calls, snapshot.window_failures), (0, 0));
    for _ in 0..10 {
        circuit.record_failure();
        circuit.record_success();
        advance(SECOND / 100).await;
    }
    assert!(circuit.is_open());
}

/// Two hundred quick changes of state within one window: no earlier failure comes back.
#[tokio::test(start_paused = true)]
async fn a_window_of_time_is_empty_after_every_close() {
    let circuit = CircuitBreaker::builder("api").window_time(100 * SECOND).min_calls(2).build().unwrap();
    circuit.record_failure();
    for _ in 0..600 {
        circuit.close();
        assert_eq!(circuit.snapshot().window_calls, 0);
    }
    circuit.record_failure();
    assert_eq!((circuit.snapshot().window_calls, circuit.is_closed()), (1, true));
}

proptest! {
    #[test]
    fn after_n_further_outcomes_old_ones_do_not_matter(
        before in vec(any::<bool>(), 0..60), after in vec(any::<bool>(), 20..21),
    ) {
        let circuit = || CircuitBreaker::builder("api").window(20).build().unwrap();
        let (old, fresh) = (circuit(), circuit());
        old.metrics_only();
        fresh.metrics_only();
        for &failure in before.iter().chain(&after) {
            record(&old, failure);
        }
        for &failure in &after {
            record(&fresh, failure);
        }
        prop_assert_eq!(log(&old), after);
        prop_assert_eq!(old.snapshot().failure_rate, fresh.snapshot().failure_rate);
    }
}
