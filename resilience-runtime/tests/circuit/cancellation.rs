//! Futures dropped after each poll.

use std::{
    future::{Future, poll_fn},
    task::Poll,
};

use resilience_runtime::{CallError, ErrorClass};
use tokio_test::{assert_pending, assert_ready_eq, task::spawn};

use super::*;

/// Answers at the poll after `pending` others.
fn after(
    mut pending: usize,
    answer: Result<(), &'static str>,
) -> impl Future<Output = Result<(), &'static str>> {
    poll_fn(move |cx| {
        if pending == 0 {
            return Poll::Ready(answer);
        }
        pending -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Succeeded, failed, cancelled, ignored, panicked, refused.
fn counts(circuit: &CircuitBreaker) -> [u64; 6] {
    let s = circuit.snapshot();
    [s.succeeded, s.failed, s.cancelled, s.ignored, s.panicked, s.refused]
}

/// Guarantee 3.
#[tokio::test(start_paused = true)]
async fn dropping_a_run_after_any_poll_changes_no_counter_but_cancelled() {
    for polls in 0..4 {
        for probing in [false, true] {
            let circuit = if probing { half_open(builder().probes(1)).await } else { circuit() };
            let before = counts(&circuit);
            let mut run = spawn(circuit.run(after(3, Err("late"))));
            for _ in 0..polls {
                assert_pending!(run.poll());
            }
            drop(run);
            let mut expected = before;
            expected[2] += u64::from(polls > 0);
            assert_eq!(counts(&circuit), expected, "after {polls} polls");
            let snapshot = circuit.snapshot();
            assert_eq!(
                (snapshot.window_failures, snapshot.probes_admitted),
                (if probing { 2 } else { 0 }, 0)
            );
            drop(permit(&circuit));
        }
    }
}

#[test]
fn a_run_asks_at_its_first_poll_and_settles_at_its_last() {
    let circuit = circuit();
    let (mut before, mut after_trip) =
        (spawn(circuit.run(after(1, Ok(())))), spawn(circuit.run(after(0, Ok(())))));
    assert_pending!(before.poll());
    assert_eq!(counts(&circuit), [0; 6]);
    assert_ready_eq!(before.poll(), Ok(()));
    assert_eq!(counts(&circuit)[0], 1);
    trip(&circuit);
    assert!(matches!(after_trip.poll(), Poll::Ready(Err(CallError::Refused(_)))));
}

#[tokio::test]
async fn a_run_counts_errors_by_their_class() {
    let circuit = CircuitBreaker::builder("api").build().unwrap();
    let classes = [
        (ErrorClass::Transient, [0, 1, 0]),
        (ErrorClass::Fatal, [0, 1, 0]),
        (ErrorClass::RetryAfter(SECOND), [0, 1, 0]),
        (ErrorClass::Permanent, [1, 0, 0]),
        (ErrorClass::Ignored, [0, 0, 1]),
    ];
    for (class, expected) in classes {
        circuit.reset();
        let result = circuit.run(async { Err::<(), _>("no") }).classify(move |_: &&str| class).await;
        assert_eq!(result, Err(CallError::Failed("no")));
        let [succeeded, failed, _, ignored, ..] = counts(&circuit);
        assert_eq!([succeeded, failed, ignored], expected, "{class:?}");
    }
}

/// The user's future goes first: what it holds is free before its slot is.
#[tokio::test(start_paused = true)]
async fn a_dropped_run_drops_the_body_before_it_gives_the_slot_back() {
    struct Body<'a>(&'a CircuitBreaker);
    impl Drop for Body<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.snapshot().probes_admitted, 1);
        }
    }
    let circuit = half_open(builder().probes(1)).await;
    let body = Body(&circuit);
    let mut run = spawn(circuit.run(async move {
        let _body = body;
        endless().await
    }));
    assert_pending!(run.poll());
    drop(run);
    assert_eq!(circuit.snapshot().probes_admitted, 0);
}
