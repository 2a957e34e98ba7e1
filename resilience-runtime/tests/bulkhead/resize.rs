//! Changing the size while calls run and wait.

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};

use super::*;

#[tokio::test(start_paused = true)]
async fn growing_serves_the_waiters_first() {
    let bulkhead = bulkhead(1, 10);
    let _holder = bulkhead.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| waiter(&bulkhead)).collect();
    bulkhead.resize(3).unwrap();
    assert_eq!(waiters.iter().map(|waiter| waiter.is_woken()).collect::<Vec<_>>(), [true, true, false]);
    assert_usage(&bulkhead, 3, 1, 0);
    let _permits = (assert_ready_ok!(waiters[0].poll()), assert_ready_ok!(waiters[1].poll()));
    assert_pending!(waiters[2].poll());
    bulkhead.resize(10).unwrap();
    let _permit = assert_ready_ok!(waiters[2].poll());
    assert_usage(&bulkhead, 4, 0, 6);
}

#[test]
fn shrinking_takes_permits_back_as_they_return() {
    let bulkhead = bulkhead(5, 0);
    let mut permits: Vec<_> = (0..4).map(|_| bulkhead.try_acquire().unwrap()).collect();
    bulkhead.resize(2).unwrap();
    assert_eq!(bulkhead.max(), 2);
    for in_flight in [4, 3, 2] {
        assert_usage(&bulkhead, in_flight, 0, 0);
        assert!(bulkhead.try_acquire().is_err());
        permits.pop();
    }
    assert_usage(&bulkhead, 1, 0, 1);
    drop(permits);
    assert_usage(&bulkhead, 0, 0, 2);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_only_after_the_debt_is_paid() {
    let bulkhead = bulkhead(3, 1);
    let mut permits: Vec<_> = (0..3).map(|_| bulkhead.try_acquire().unwrap()).collect();
    let mut waiter = waiter(&bulkhead);
    bulkhead.resize(1).unwrap();
    permits.truncate(1);
    assert_pending!(waiter.poll());
    assert_usage(&bulkhead, 1, 1, 0);
    drop(permits);
    let _permit = assert_ready_ok!(waiter.poll());
    assert_usage(&bulkhead, 1, 0, 0);
}

#[test]
fn growing_again_forgives_the_debt() {
    let bulkhead = bulkhead(4, 0);
    let permits: Vec<_> = (0..4).map(|_| bulkhead.try_acquire().unwrap()).collect();
    bulkhead.resize(1).unwrap();
    bulkhead.resize(3).unwrap();
    assert_usage(&bulkhead, 4, 0, 0);
    bulkhead.resize(6).unwrap();
    assert_usage(&bulkhead, 4, 0, 2);
    drop(permits);
    assert_usage(&bulkhead, 0, 0, 6);
}

#[test]
fn shrinking_takes_free_permits_wherever_they_lie() {
    let bulkhead = bulkhead(1_000, 0);
    bulkhead.resize(1).unwrap();
    let _permit = bulkhead.try_acquire().unwrap();
    assert!(bulkhead.try_acquire().is_err());
    assert_usage(&bulkhead, 1, 0, 0);
}

#[test]
fn a_size_that_cannot_be_changes_nothing() {
    let bulkhead = bulkhead(2, 0);
    assert_eq!(bulkhead.resize(0).unwrap_err().to_string(), "`max` must be at least 1");
    assert_eq!(bulkhead.resize(usize::MAX).unwrap_err().key, "max");
    assert_usage(&bulkhead, 0, 0, 2);
}

#[tokio::test(start_paused = true)]
async fn settings_change_in_place() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut early = waiter(&bulkhead);
    bulkhead.configure(resilience_runtime::BulkheadSettings::new(1).queue(2).wait_ms(100)).unwrap();
    let mut late = waiter(&bulkhead);
    assert_ready_err!(spawn(bulkhead.acquire()).poll());

    // Each waits for the time that was set when it came.
    tokio::time::advance(SECOND / 10).await;
    assert_ready_err!(late.poll());
    assert_pending!(early.poll());
    drop(holder);
    drop(assert_ready_ok!(early.poll()));
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.max, snapshot.queue, snapshot.wait), (1, 2, SECOND / 10));
}
