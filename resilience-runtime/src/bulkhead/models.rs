//! Every interleaving of two or three threads, explored by loom.
//!
//! Each model names the mutation it was seen to catch: a step left out of [`Permits`](super::permits) by hand.

use std::future::poll_fn;

use loom::{
    cell::UnsafeCell,
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use super::{
    permits::{Entry, Permits, Usage},
    stripes::Stripes,
};
use crate::{queue::Ticket, sync::stripe::Stripe};

fn permits(max: usize) -> Arc<Permits> {
    Arc::new(Permits::new(max, 2, 4))
}

/// Permits of which one is held.
fn held(max: usize) -> Arc<Permits> {
    let permits = permits(max);
    assert!(permits.try_take(Stripe(0)));
    permits
}

fn queued(permits: &Permits) -> Ticket {
    match permits.enter(Stripe(0), 4) {
        Entry::Queued(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn wait(permits: &Permits, ticket: Ticket) -> bool {
    let mut ticket = Some(ticket);
    block_on(poll_fn(|cx| permits.poll(&mut ticket, cx.waker().clone())))
}

fn spawn(permits: &Arc<Permits>, work: impl FnOnce(&Permits) + 'static) -> thread::JoinHandle<()> {
    let permits = Arc::clone(permits);
    thread::spawn(move || work(&permits))
}

#[track_caller]
fn assert_usage(permits: &Permits, in_flight: usize, available: usize) {
    assert_eq!(permits.usage(), Usage { in_flight, waiting: 0, available });
}

/// Mutation: a permit is put into its stripe, or taken from it, with a relaxed access.
#[test]
fn loom_what_was_done_under_a_permit_is_seen_under_it_later() {
    loom::model(|| {
        let stripes = Arc::new(Stripes::new(2, 1));
        let inside = Arc::new(UnsafeCell::new(()));
        let call = |stripe: Stripe| {
            let (stripes, inside) = (Arc::clone(&stripes), Arc::clone(&inside));
            move || {
                if stripes.sweep(stripe).is_ok() {
                    inside.with_mut(|_| ());
                    stripes.put(stripe);
                }
            }
        };
        let other = thread::spawn(call(Stripe(1)));
        call(Stripe(0))();
        other.join().unwrap();
        assert_eq!(stripes.free(), 1);
    });
}

/// Mutation: `enter` looks into the stripes before it announces its demand, or not at all.
#[test]
fn loom_never_more_than_max() {
    loom::model(|| {
        let permits = permits(1);
        let inside = Arc::new(AtomicUsize::new(0));
        let call = |stripe| {
            let inside = Arc::clone(&inside);
            move |permits: &Permits| {
                if permits.try_take(Stripe(stripe)) {
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    inside.fetch_sub(1, SeqCst);
                    permits.put_back(Stripe(stripe));
                }
            }
        };
        let others = [spawn(&permits, call(0)), spawn(&permits, call(1))];
        if let Entry::Queued(ticket) = permits.enter(Stripe(0), 1) {
            assert!(wait(&permits, ticket));
        }
        assert_eq!(inside.fetch_add(1, SeqCst), 0);
        inside.fetch_sub(1, SeqCst);
        permits.put_back(Stripe(0));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_usage(&permits, 0, 1);
    });
}

/// Mutation: no second look at `attention` after the permit was put into the stripe; or no total order before it.
#[test]
fn loom_a_release_and_a_waiter_do_not_miss_each_other() {
    loom::model(|| {
        let permits = held(1);
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        match permits.enter(Stripe(0), 1) {
            Entry::Queued(ticket) => assert!(wait(&permits, ticket)),
            other => assert!(matches!(other, Entry::Taken)),
        }
        holder.join().unwrap();
        assert_usage(&permits, 1, 0);
    });
}

/// Mutation: whoever collects a permit for a waiter does not wake it.
#[test]
fn loom_of_two_releases_one_serves_the_waiter_and_one_is_free() {
    loom::model(|| {
        let permits = held(2);
        assert!(permits.try_take(Stripe(0)));
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        let waiter = spawn(&permits, |permits| {
            if let Entry::Queued(ticket) = permits.enter(Stripe(0), 2) {
                assert!(wait(permits, ticket));
            }
        });
        permits.put_back(Stripe(0));
        holder.join().unwrap();
        waiter.join().unwrap();
        assert_usage(&permits, 1, 1);
    });
}

/// Mutation: a permit is kept without a look at `attention` after it was taken.
#[test]
fn loom_a_newcomer_does_not_overtake_a_waiter() {
    loom::model(|| {
        let permits = held(1);
        let queued = Arc::new(AtomicBool::new(false));
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        let newcomer = {
            let queued = Arc::clone(&queued);
            spawn(&permits, move |permits| {
                let late = queued.load(SeqCst);
                if permits.try_take(Stripe(1)) {
                    assert!(!late);
                    permits.put_back(Stripe(1));
                }
            })
        };
        if let Entry::Queued(ticket) = permits.enter(Stripe(0), 1) {
            queued.store(true, SeqCst);
            assert!(wait(&permits, ticket));
        }
        holder.join().unwrap();
        newcomer.join().unwrap();
        assert_usage(&permits, 1, 0);
    });
}

/// Mutation: the length of the queue is not asked again under the lock.
#[test]
fn loom_the_queue_is_never_longer_than_its_bound() {
    loom::model(|| {
        let permits = held(1);
        let enter = |permits: &Permits| drop(permits.enter(Stripe(0), 1));
        let other = spawn(&permits, enter);
        enter(&permits);
        other.join().unwrap();
        assert_eq!(permits.usage().waiting, 1);
    });
}

/// Mutation: `leave` drops a permit that had been handed over; or puts it into a stripe although others wait.
#[test]
fn loom_a_hand_over_to_a_waiter_that_leaves_reaches_the_next() {
    loom::model(|| {
        let permits = held(1);
        let (first, second) = (queued(&permits), queued(&permits));
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        let leaver = spawn(&permits, |permits| permits.leave(Stripe(0), first));
        assert!(wait(&permits, second));
        holder.join().unwrap();
        leaver.join().unwrap();
        assert_usage(&permits, 1, 0);
    });
}

/// Mutation: one empty sweep over the stripes is taken for the truth.
#[test]
fn loom_nobody_is_refused_while_a_permit_moves() {
    loom::model(|| {
        let permits = permits(2);
        assert!(permits.try_take(Stripe(0)));
        // One permit is held, the other lies in stripe 1. At no moment are both taken by the other thread.
        let mover = spawn(&permits, |permits| {
            permits.put_back(Stripe(0));
            assert!(permits.try_take(Stripe(1)));
        });
        assert!(permits.try_take(Stripe(0)));
        mover.join().unwrap();
        assert_usage(&permits, 2, 0);
    });
}

/// Mutation: a demand that is still looking for permits is taken for one that found none.
#[test]
fn loom_nobody_is_refused_while_another_enters() {
    loom::model(|| {
        let permits = permits(2);
        // Both permits lie in stripe 0, so that stripe 1 has to look elsewhere.
        assert!(permits.try_take(Stripe(1)));
        permits.put_back(Stripe(0));
        let newcomer = spawn(&permits, |permits| assert!(permits.try_take(Stripe(1))));
        assert!(matches!(permits.enter(Stripe(0), 1), Entry::Taken));
        newcomer.join().unwrap();
        assert_usage(&permits, 2, 0);
    });
}

/// Mutation: `resize` publishes a debt only after it looked for free permits, and keeps it although they came.
#[test]
fn loom_shrinking_against_releases_owes_nothing_in_the_end() {
    loom::model(|| {
        let permits = held(2);
        assert!(permits.try_take(Stripe(0)));
        let holder = spawn(&permits, |permits| {
            permits.put_back(Stripe(1));
            permits.put_back(Stripe(1));
        });
        permits.resize(1);
        holder.join().unwrap();
        assert_usage(&permits, 0, 1);
        assert!(permits.try_take(Stripe(0)));
        assert!(!permits.try_take(Stripe(1)));
    });
}

/// Mutation: a permit is kept without a look at `attention` after it was taken.
#[test]
fn loom_nobody_enters_beyond_a_smaller_max() {
    loom::model(|| {
        let permits = held(2);
        assert!(permits.try_take(Stripe(0)));
        let shrunk = Arc::new(AtomicBool::new(false));
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        let newcomer = {
            let shrunk = Arc::clone(&shrunk);
            spawn(&permits, move |permits| {
                let late = shrunk.load(SeqCst);
                if permits.try_take(Stripe(1)) {
                    assert!(!late);
                    permits.put_back(Stripe(1));
                }
            })
        };
        permits.resize(1);
        shrunk.store(true, SeqCst);
        holder.join().unwrap();
        newcomer.join().unwrap();
        assert_usage(&permits, 1, 0);
    });
}

/// Mutation: growing adds to the stripes without offering the permits to the waiters.
#[test]
fn loom_growing_against_a_waiter_that_leaves_loses_no_permit() {
    loom::model(|| {
        let permits = held(1);
        let (first, second) = (queued(&permits), queued(&permits));
        let leaver = spawn(&permits, |permits| permits.leave(Stripe(0), first));
        permits.resize(2);
        assert!(wait(&permits, second));
        leaver.join().unwrap();
        assert_usage(&permits, 2, 0);
    });
}

/// Mutation: a permit is kept without a look at `attention` after it was taken; or although that says closed; or no
/// total order between the two; or none between publishing and counting.
#[test]
fn loom_once_closed_and_empty_it_stays_empty() {
    loom::model(|| {
        let permits = permits(1);
        let drained = Arc::new(AtomicBool::new(false));
        let newcomer = {
            let drained = Arc::clone(&drained);
            spawn(&permits, move |permits| {
                if permits.try_take(Stripe(1)) {
                    assert!(!drained.load(SeqCst));
                    permits.put_back(Stripe(1));
                }
            })
        };
        permits.close();
        if permits.usage().in_flight == 0 {
            drained.store(true, SeqCst);
        }
        newcomer.join().unwrap();
        assert_usage(&permits, 0, 0);
    });
}

/// Mutation: `close` sends nobody away.
#[test]
fn loom_closing_against_a_release_answers_every_waiter() {
    loom::model(|| {
        let permits = held(1);
        let (first, second) = (queued(&permits), queued(&permits));
        let holder = spawn(&permits, |permits| permits.put_back(Stripe(1)));
        let closer = spawn(&permits, Permits::close);
        assert!(!wait(&permits, second));
        let served = wait(&permits, first);
        holder.join().unwrap();
        closer.join().unwrap();
        assert_usage(&permits, usize::from(served), 0);
    });
}
