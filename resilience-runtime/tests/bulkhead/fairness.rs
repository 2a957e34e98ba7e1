//! First come, first served; nobody overtakes; nobody spins.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake},
};

use resilience_runtime::ResilienceError;
use tokio_test::{assert_pending, assert_ready_ok, task::spawn};

use super::*;

#[tokio::test(start_paused = true)]
async fn permits_are_handed_out_in_the_order_of_arrival() {
    let bulkhead = bulkhead(2, 10);
    let mut holders = vec![bulkhead.try_acquire().unwrap(), bulkhead.try_acquire().unwrap()];
    let mut waiters: Vec<_> = (0..10).map(|_| waiter(&bulkhead)).collect();
    for next in 0..10 {
        drop(holders.remove(0));
        let woken: Vec<_> = (0..10).filter(|&waiter| waiters[waiter].is_woken()).collect();
        assert_eq!(woken, [next]);
        assert!(waiters[next + 1..].iter_mut().all(|later| later.poll().is_pending()));
        holders.push(assert_ready_ok!(waiters[next].poll()));
        assert_usage(&bulkhead, 2, 9 - next, 0);
    }
}

/// Between the hand-over and the waiter's next poll the slot is neither free nor anybody else's.
#[tokio::test(start_paused = true)]
async fn a_newcomer_cannot_steal_what_was_handed_over() {
    let bulkhead = bulkhead(1, 2);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = waiter(&bulkhead);
    drop(holder);
    assert!(bulkhead.try_acquire().is_err());
    let mut newcomer = spawn(bulkhead.acquire());
    assert_pending!(newcomer.poll());
    assert_usage(&bulkhead, 1, 1, 0);
    let permit = assert_ready_ok!(waiter.poll());
    assert_pending!(newcomer.poll());
    drop(permit);
    drop(assert_ready_ok!(newcomer.poll()));
}

/// Also while a permit is free for a moment: after growing, what waiters do not need is free, and only that.
#[tokio::test(start_paused = true)]
async fn a_newcomer_queues_behind_waiters() {
    let bulkhead = bulkhead(1, 2);
    let holder = bulkhead.try_acquire().unwrap();
    let mut first = waiter(&bulkhead);
    assert!(bulkhead.try_acquire().is_err());
    let mut second = waiter(&bulkhead);
    drop(holder);
    assert_pending!(second.poll());
    let permit = assert_ready_ok!(first.poll());
    assert!(bulkhead.try_acquire().is_err());
    drop(permit);
    drop(assert_ready_ok!(second.poll()));
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let bulkhead = bulkhead(1, 1);
    let holder = bulkhead.try_acquire().unwrap();
    let mut waiter = pin!(bulkhead.acquire());
    let (old, new) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    for wakes in [&old, &new] {
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&Arc::clone(wakes).into())).is_pending());
    }
    drop(holder);
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
}

/// One poll to enter the queue, one to pick the permit up, none in between.
#[tokio::test(start_paused = true)]
async fn waiters_do_not_spin() {
    let bulkhead = bulkhead(1, 1);
    let polls = Cell::new(0);
    let holder = bulkhead.try_acquire().unwrap();
    let mut acquire = pin!(bulkhead.acquire());
    let counted = poll_fn(|cx| {
        polls.set(polls.get() + 1);
        acquire.as_mut().poll(cx)
    });
    let (permit, ()) = tokio::join!(counted, async {
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!(polls.get(), 1);
        drop(holder);
    });
    assert!(permit.is_ok());
    assert_eq!(polls.get(), 2);
}

/// One poll to enter the queue, one when the time is over.
#[tokio::test(start_paused = true)]
async fn waiters_in_vain_do_not_spin_either() {
    let bulkhead = bulkhead(1, 1);
    let _holder = bulkhead.try_acquire().unwrap();
    let (mut polls, mut acquire) = (0, pin!(bulkhead.acquire()));
    let result: Result<_, ResilienceError> = poll_fn(|cx| {
        polls += 1;
        match acquire.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map(drop)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    assert!(result.is_err());
    assert_eq!(polls, 2);
}
