//! Dropping any future at any point, and panicking anywhere, leaks nothing.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use resilience_runtime::CallError;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task::spawn};

use super::*;

/// What happens to a call between two of its polls.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    /// The only permit is released, and so handed over to it.
    HandOver,
}

/// A call that waits, is handed a permit, runs and ends: dropped after each number of polls, before and after the
/// hand-over.
#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_any_poll_leaks_nothing() {
    use Between::{HandOver, Nothing};
    // Each row: what happens after each poll; the last is followed by the drop. Whether that counts as cancelled.
    let table: [(&[Between], u64); 7] = [
        (&[], 0),
        (&[Nothing], 1),
        (&[HandOver], 1),
        (&[Nothing, Nothing], 1),
        (&[Nothing, HandOver], 1),
        (&[HandOver, Nothing], 0),
        (&[HandOver, Nothing, Nothing], 0),
    ];
    for (history, cancelled) in table {
        let bulkhead = bulkhead(1, 2);
        let mut holder = Some(bulkhead.try_acquire().unwrap());
        let mut polls = 0;
        let mut call = spawn(bulkhead.run(poll_fn(|_| {
            polls += 1;
            if polls == 3 { Poll::Ready(Ok::<_, Infallible>(())) } else { Poll::Pending }
        })));
        for between in history {
            assert_pending!(call.poll(), "{history:?}");
            if let HandOver = between {
                holder = None;
            }
        }
        let mut next = waiter(&bulkhead);
        drop(call);
        drop(holder);
        let permit = assert_ready_ok!(next.poll(), "{history:?}");
        assert_usage(&bulkhead, 1, 0, 0);
        drop(permit);
        assert_usage(&bulkhead, 0, 0, 1);
        assert_eq!(bulkhead.snapshot().cancelled, cancelled, "{history:?}");
    }
}

/// Cancelled before the hand-over: whoever stands behind moves up.
#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_leaves_no_phantom_in_the_queue() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    for _ in 0..10 {
        drop(waiter(&bulkhead));
        assert_usage(&bulkhead, 1, 0, 0);
    }
    let mut last = waiter(&bulkhead);
    drop(holder);
    drop(assert_ready_ok!(last.poll()));
    assert_counts(&bulkhead, 2, 0, 10);
}

/// Cancelled after the hand-over: the next in line is woken and gets the slot.
#[tokio::test(start_paused = true)]
async fn a_waiter_cancelled_after_the_hand_over_passes_its_slot_on() {
    let bulkhead = bulkhead(1, 3);
    let holder = bulkhead.try_acquire().unwrap();
    let (first, second, mut third) = (waiter(&bulkhead), waiter(&bulkhead), waiter(&bulkhead));
    drop(holder);
    assert!(first.is_woken());
    drop(first);
    assert!(second.is_woken() && !third.is_woken());
    drop(second);
    assert!(third.is_woken());
    let permit = assert_ready_ok!(third.poll());
    assert_usage(&bulkhead, 1, 0, 0);
    drop(permit);
    assert_usage(&bulkhead, 0, 0, 1);
    assert_counts(&bulkhead, 2, 0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_slot_passed_on_to_nobody_is_free() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let only = waiter(&bulkhead);
    drop(holder);
    drop(only);
    assert_usage(&bulkhead, 0, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_was_never_polled_has_done_nothing() {
    let bulkhead = bulkhead(1, 1);
    drop(bulkhead.acquire());
    drop(bulkhead.run(endless()));
    assert_usage(&bulkhead, 0, 0, 1);
    assert_counts(&bulkhead, 0, 0, 0);
}

#[tokio::test]
async fn a_panic_inside_run_releases_the_permit() {
    let bulkhead = bulkhead(1, 0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut call = spawn(bulkhead.run(poll_fn(|_| -> Poll<Result<(), Infallible>> { panic!("body") })));
        let _ = call.poll();
    }));
    assert!(result.is_err());
    assert_usage(&bulkhead, 0, 0, 1);
}

/// Runs when the body is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[tokio::test]
async fn a_panic_in_the_destructor_of_the_body_releases_the_permit() {
    let bulkhead = bulkhead(1, 0);
    let guard = OnDrop(|| panic!("destructor"));
    let mut call = Box::pin(bulkhead.run(async move {
        let _guard = guard;
        endless().await
    }));
    assert_pending!(spawn(call.as_mut()).poll());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(call))).is_err());
    assert_usage(&bulkhead, 0, 0, 1);
}

#[tokio::test]
async fn the_body_is_gone_before_its_permit_is_free() {
    let bulkhead = Arc::new(bulkhead(1, 0));
    let seen_full = Arc::new(AtomicBool::new(false));
    let guard = || {
        let (bulkhead, seen_full) = (Arc::clone(&bulkhead), Arc::clone(&seen_full));
        OnDrop(move || seen_full.store(bulkhead.try_acquire().is_err(), Ordering::Relaxed))
    };

    let on_cancel = guard();
    let mut call = spawn(bulkhead.run(async move {
        let _guard = on_cancel;
        endless().await
    }));
    assert_pending!(call.poll());
    drop(call);
    assert!(seen_full.swap(false, Ordering::Relaxed));

    // This body keeps its guard beyond its last poll.
    let on_end = guard();
    let mut call = spawn(bulkhead.run(poll_fn(move |_| {
        let _ = &on_end;
        Poll::Ready(Err::<(), _>(7))
    })));
    assert_eq!(assert_ready!(call.poll()), Err(CallError::Failed(7)));
    assert!(seen_full.load(Ordering::Relaxed));
    assert_usage(&bulkhead, 0, 0, 1);
}

#[test]
fn a_refused_body_is_dropped_with_the_refusal() {
    let bulkhead = bulkhead(1, 0);
    let _holder = bulkhead.try_acquire().unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = {
        let dropped = Arc::clone(&dropped);
        OnDrop(move || dropped.store(true, Ordering::Relaxed))
    };
    let mut call = spawn(bulkhead.run(async move {
        let _guard = guard;
        endless().await
    }));
    assert!(refusal(assert_ready!(call.poll())).contains("full"));
    assert!(dropped.load(Ordering::Relaxed));
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn a_call_polled_after_its_end_says_so() {
    let bulkhead = bulkhead(1, 0);
    let mut call = spawn(bulkhead.run(async { Ok::<_, Infallible>(()) }));
    assert_ready_ok!(call.poll());
    let _ = call.poll();
}
