//! What is refused, when exactly, and how it is counted.

use resilience_runtime::{Instant, ResilienceError};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};

use super::*;

#[test]
fn exactly_max_permits_are_given_out() {
    for max in [1, 2, 3, 10, 1_000] {
        let bulkhead = bulkhead(max, 0);
        let permits: Vec<_> = (0..max).map(|_| bulkhead.try_acquire().unwrap()).collect();
        assert_usage(&bulkhead, max, 0, 0);
        assert!(bulkhead.try_acquire().is_err());
        drop(permits);
        assert_usage(&bulkhead, 0, 0, max);
        assert_counts(&bulkhead, max as u64, 1, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_full_at_exactly_its_bound() {
    let bulkhead = bulkhead(1, 3);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| waiter(&bulkhead)).collect();
    let mut surplus = spawn(bulkhead.acquire());
    let error = assert_ready_err!(surplus.poll());
    assert_eq!(error.to_string(), "bulkhead `db` is full with 1 running");
    assert_usage(&bulkhead, 1, 3, 0);
    drop(holder);
    drop(assert_ready_ok!(waiters[0].poll()));
    assert_counts(&bulkhead, 2, 1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_refused_at_exactly_its_wait_time() {
    let bulkhead = bulkhead(1, 2);
    let holder = bulkhead.try_acquire().unwrap();
    let start = Instant::now();
    let mut early = waiter(&bulkhead);
    advance(SECOND / 2).await;
    let mut late = waiter(&bulkhead);

    advance(SECOND / 2 - Duration::from_millis(1)).await;
    assert_pending!(early.poll());
    advance(Duration::from_millis(1)).await;
    assert!(early.is_woken());
    let error = assert_ready_err!(early.poll());
    assert!(matches!(error, ResilienceError::BulkheadFull { max: 1, waited, .. } if waited == SECOND));
    assert_eq!(error.to_string(), "bulkhead `db` is full with 1 running after waiting 1.0 s");
    assert_usage(&bulkhead, 1, 1, 0);

    // The one behind it is next, and its own time is not over.
    drop(holder);
    drop(assert_ready_ok!(late.poll()));
    assert_eq!(Instant::now().saturating_since(start), SECOND);
    assert_counts(&bulkhead, 2, 1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_handed_over_before_the_poll_wins_against_the_timer() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    advance(SECOND * 2).await;
    drop(holder);
    drop(assert_ready_ok!(waiter.poll()));
}

#[tokio::test(start_paused = true)]
async fn the_time_waited_is_recorded() {
    let bulkhead = bulkhead(1, 1);
    drop(bulkhead.try_acquire());
    assert_eq!(bulkhead.snapshot().waits, None);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    advance(SECOND / 4).await;
    drop(holder);
    drop(assert_ready_ok!(waiter.poll()));
    let waits = bulkhead.snapshot().waits.unwrap();
    assert_eq!((waits.count, waits.p50, waits.max), (1, SECOND / 4, SECOND / 4));
}

/// Without a runtime, so that a timer would panic: nobody waits who cannot be served by waiting.
#[test]
fn no_queue_or_no_time_to_wait_means_refused_at_once() {
    let builder = || Bulkhead::builder("db").max(1);
    for bulkhead in [builder().build(), builder().queue(5).build(), builder().wait(SECOND).build()] {
        let bulkhead = bulkhead.unwrap();
        let _holder = bulkhead.try_acquire().unwrap();
        assert!(assert_ready_err!(spawn(bulkhead.acquire()).poll()).to_string().contains("full"));
        let mut call = spawn(bulkhead.run(endless()));
        assert_eq!(refusal(tokio_test::assert_ready!(call.poll())), "bulkhead `db` is full with 1 running");
        assert_counts(&bulkhead, 1, 2, 0);
    }
}

/// Without a runtime: a wait without end arms no timer.
#[test]
fn a_wait_for_ever_needs_no_timer() {
    let bulkhead = Bulkhead::builder("db").max(1).queue(1).wait(Duration::MAX).build().unwrap();
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    drop(holder);
    drop(assert_ready_ok!(waiter.poll()));
}

#[test]
fn a_refused_body_does_not_run() {
    let bulkhead = bulkhead(1, 0);
    let _holder = bulkhead.try_acquire().unwrap();
    let mut ran = false;
    let mut call = spawn(bulkhead.run(async {
        ran = true;
        Ok::<_, Infallible>(())
    }));
    assert_ready_err!(call.poll());
    drop(call);
    assert!(!ran);
}

/// A timer that outlived the waiting would wake the body for nothing.
#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_waiting() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut call = spawn(bulkhead.run(endless()));
    assert_pending!(call.poll());
    drop(holder);
    assert_pending!(call.poll());
    advance(SECOND * 2).await;
    assert!(!call.is_woken());
    assert_usage(&bulkhead, 1, 0, 0);
}

#[tokio::test(start_paused = true)]
async fn an_acquire_that_was_answered_can_be_asked_again() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    drop(holder);
    drop(assert_ready_ok!(waiter.poll()));
    let permit = assert_ready_ok!(waiter.poll());
    assert_usage(&bulkhead, 1, 0, 0);
    drop(permit);
    assert_counts(&bulkhead, 3, 0, 0);
}

#[test]
fn every_call_is_counted_once() {
    let bulkhead = bulkhead(2, 0);
    let (first, second) = (bulkhead.try_acquire(), bulkhead.try_acquire());
    assert!(bulkhead.try_acquire().is_err() && bulkhead.try_acquire().is_err());
    drop((first, second));
    drop(bulkhead.try_acquire());
    assert_counts(&bulkhead, 3, 2, 0);
    bulkhead.reset();
    assert_counts(&bulkhead, 0, 0, 0);
    assert_usage(&bulkhead, 0, 0, 2);
}
