//! Closing: nobody enters, waiters are told, running calls end in peace.

use resilience_runtime::ErrorKind;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task::spawn};

use super::*;

#[tokio::test(start_paused = true)]
async fn closing_refuses_newcomers_and_waiters() {
    let bulkhead = bulkhead(1, 2);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiters = [waiter(&bulkhead), waiter(&bulkhead)];
    bulkhead.close();
    for waiter in &mut waiters {
        assert!(waiter.is_woken());
        assert_eq!(assert_ready_err!(waiter.poll()).to_string(), "`db` is shut down");
    }
    assert_usage(&bulkhead, 1, 0, 0);
    drop(holder);
    assert_usage(&bulkhead, 0, 0, 0);
    assert_eq!(bulkhead.try_acquire().unwrap_err().kind(), ErrorKind::ShutDown);
    assert_eq!(assert_ready_err!(spawn(bulkhead.acquire()).poll()).kind(), ErrorKind::ShutDown);
    assert_counts(&bulkhead, 1, 4, 0);
}

#[tokio::test(start_paused = true)]
async fn closing_leaves_what_was_handed_over() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    drop(holder);
    bulkhead.close();
    let permit = assert_ready_ok!(waiter.poll());
    assert_usage(&bulkhead, 1, 0, 0);
    drop(permit);
    assert_usage(&bulkhead, 0, 0, 0);
}

#[tokio::test]
async fn closing_lets_running_calls_end() {
    let bulkhead = bulkhead(1, 0);
    let (end, ended) = tokio::sync::oneshot::channel::<u32>();
    let mut call = spawn(bulkhead.run(ended));
    assert_pending!(call.poll());
    bulkhead.close();
    end.send(7).unwrap();
    assert_eq!(assert_ready_ok!(call.poll()), 7);
    assert_usage(&bulkhead, 0, 0, 0);
}

#[test]
fn a_closed_bulkhead_can_be_resized_and_stays_closed() {
    let bulkhead = bulkhead(3, 0);
    let permit = bulkhead.try_acquire().unwrap();
    bulkhead.close();
    bulkhead.resize(1).unwrap();
    bulkhead.resize(5).unwrap();
    assert_usage(&bulkhead, 1, 0, 0);
    drop(permit);
    assert_usage(&bulkhead, 0, 0, 0);
    assert!(bulkhead.try_acquire().is_err());
}
