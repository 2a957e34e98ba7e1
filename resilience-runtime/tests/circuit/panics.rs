//! Panics of the user's code.

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use resilience_runtime::{CallError, ErrorClass, TripPolicy, WindowTotals};
use tokio_test::{assert_pending, task::spawn};

use super::*;

/// Cancelled, panicked, failed.
fn counts(circuit: &CircuitBreaker) -> (u64, u64, u64) {
    let snapshot = circuit.snapshot();
    (snapshot.cancelled, snapshot.panicked, snapshot.failed)
}

#[test]
fn a_panic_in_the_body_is_a_failure_and_goes_on() {
    let circuit = builder().build().unwrap();
    for panics in 1..=2 {
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let body = poll_fn(|_| -> Poll<Result<(), ()>> { panic!("body") });
            let _ = spawn(circuit.run(body)).poll();
        }));
        assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"body"));
        assert_eq!(counts(&circuit), (0, panics, 0));
    }
    let reason = tripped(TripReason::ConsecutiveFailures { count: 2 });
    assert_last(&circuit, CircuitState::Closed, CircuitState::Open, reason);
}

/// Guarantee 4: dropped while being polled, not dropped while some panic passes by.
#[test]
fn a_neighbours_panic_that_merely_drops_the_future_is_a_cancellation() {
    let circuit = circuit();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut run = spawn(circuit.run(endless()));
        assert_pending!(run.poll());
        panic!("neighbour");
    }));
    assert!(unwound.is_err());
    assert_eq!(counts(&circuit), (1, 0, 0));
}

/// The same the other way round: a task that panics is dropped by the executor after the panic was caught.
#[tokio::test]
async fn a_panicking_task_is_a_failure_however_late_it_is_dropped() {
    let circuit = Arc::new(circuit());
    let of_task = Arc::clone(&circuit);
    let task = tokio::spawn(async move {
        let body = async { if true { panic!("task") } else { Ok::<(), ()>(()) } };
        of_task.run(body).await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(counts(&circuit), (0, 1, 0));
}

#[test]
fn a_neighbours_panic_drops_a_permit_as_a_cancellation() {
    let circuit = circuit();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _permit = permit(&circuit);
        panic!("neighbour");
    }));
    assert!(unwound.is_err());
    assert_eq!(counts(&circuit), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panicking_probe_is_a_failed_probe() {
    let circuit = half_open(builder().probes(1)).await;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let body = poll_fn(|_| -> Poll<Result<(), ()>> { panic!("probe") });
        let _ = spawn(circuit.run(body)).poll();
    }));
    assert!(unwound.is_err());
    let reason = tripped(TripReason::ProbeFailed);
    assert_last(&circuit, CircuitState::HalfOpen, CircuitState::Open, reason);
}

#[test]
fn a_panicking_classifier_is_a_failure() {
    let circuit = circuit();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let run = circuit.run(async { Err::<(), _>("no") });
        let _ = spawn(run.classify(|_: &&str| -> ErrorClass { panic!("classifier") })).poll();
    }));
    assert!(unwound.is_err());
    assert_eq!(counts(&circuit), (0, 1, 0));
}

/// The caller's own mistake says nothing about the dependency.
#[test]
fn a_run_that_is_polled_after_it_has_answered_panics_and_leaves_the_circuit_alone() {
    let circuit = circuit();
    for answer in [Ok(3), Err("no")] {
        let mut run = pin!(circuit.run(async { answer }));
        assert!(poll(run.as_mut()).is_ready());
        assert_eq!(panic_of(|| poll(run.as_mut())), "polled after it has answered");
    }
    assert_eq!(counts(&circuit), (0, 0, 1));
    assert_eq!((circuit.snapshot().succeeded, circuit.snapshot().window_calls), (1, 2));
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[test]
fn a_run_that_was_refused_never_runs_its_body() {
    let circuit = circuit();
    trip(&circuit);
    let mut run = pin!(circuit.run(async { if true { panic!("body") } else { Ok::<(), ()>(()) } }));
    assert!(matches!(poll(run.as_mut()), Poll::Ready(Err(CallError::Refused(_)))));
    circuit.reset();
    assert_eq!(panic_of(|| poll(run.as_mut())), "polled after it has answered");
    assert_eq!(counts(&circuit), (0, 0, 0));
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The text of the panic.
fn panic_of<T>(of: impl FnOnce() -> T) -> &'static str {
    let panic = catch_unwind(AssertUnwindSafe(of)).err().expect("a panic");
    panic.downcast_ref::<&str>().expect("a text")
}

/// The result that asked it is counted, also where it is reported by a destructor during another panic.
#[test]
fn a_panicking_trip_policy_is_passed_over() {
    #[derive(Debug)]
    struct Panics;
    impl TripPolicy for Panics {
        fn should_trip(&self, _: &WindowTotals) -> Option<TripReason> {
            panic!("policy")
        }
    }
    let circuit = CircuitBreaker::builder("api").trip_policy(Panics).build().unwrap();
    circuit.record_failure();
    permit(&circuit).success();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let body = poll_fn(|_| -> Poll<Result<(), ()>> { panic!("body") });
        let _ = spawn(circuit.run(body)).poll();
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"body"));
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, snapshot.window_calls, snapshot.succeeded), (CircuitState::Closed, 3, 1));
    assert_eq!(counts(&circuit), (0, 1, 1));
}

fn assert_unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe + Send + Sync + Debug>(_: &T) {}

/// A circuit may be shared with code that catches panics: it has no state that a panic could leave half done.
#[test]
fn circuits_may_cross_catch_unwind_and_threads() {
    assert_unwind_safe(&circuit());
}
