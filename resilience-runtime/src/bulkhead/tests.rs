//! What cannot be seen from outside: locks that are not taken, stripes, the steps that other futures are built from.

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    Bulkhead,
    permits::{Entry, Permits},
    stripes::Stripes,
};
use crate::{
    BulkheadSettings,
    clock::{self, Instant},
    sync::stripe::{self, Stripe},
};

const SECOND: Duration = Duration::from_secs(1);

fn bulkhead(max: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder("db").max(max).queue(queue).wait(SECOND).build().unwrap()
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The lock is held here, so whoever wanted it would wait for ever.
#[test]
fn a_refusal_is_a_few_atomic_loads() {
    let bulkhead = bulkhead(2, 1);
    let _permits = (bulkhead.try_acquire().unwrap(), bulkhead.try_acquire().unwrap());
    let none_waits = bulkhead.permits.lock();
    assert!(bulkhead.try_acquire().is_err());
    drop(none_waits);

    let place = &mut bulkhead.enter(clock::now).unwrap();
    let one_waits = bulkhead.permits.lock();
    assert!(bulkhead.try_acquire().is_err());
    assert!(bulkhead.enter(clock::now).is_err());
    drop(one_waits);
    bulkhead.leave(place);

    bulkhead.close();
    let closed = bulkhead.permits.lock();
    assert!(bulkhead.try_acquire().is_err());
    assert!(bulkhead.enter(clock::now).is_err());
    drop(closed);
}

/// The same proof for the way in and out.
#[test]
fn a_permit_is_taken_and_given_back_without_a_lock() {
    let bulkhead = bulkhead(2, 1);
    let _lock = bulkhead.permits.lock();
    for _ in 0..10 {
        let _permits = (bulkhead.try_acquire().unwrap(), bulkhead.try_acquire().unwrap());
    }
}

#[test]
fn every_permit_is_found_from_every_stripe() {
    for stripes in 1..=4 {
        for from in (0..stripes).map(Stripe) {
            for lies in (0..stripes).map(Stripe) {
                let permits = Permits::new(1, stripes, 0);
                assert!(permits.try_take(from));
                permits.put_back(lies);
                assert!(permits.try_take(from), "from {from:?}, lies in {lies:?} of {stripes}");
                assert!(!permits.try_take(from));
            }
        }
    }
}

#[test]
fn a_stripe_beyond_the_last_is_the_last() {
    let permits = Permits::new(1, 1, 0);
    assert!(permits.try_take(Stripe(7)));
    assert!(!permits.try_take(Stripe(0)));
    permits.put_back(Stripe(3));
    assert!(permits.try_take(Stripe(0)));
}

#[test]
fn permits_are_spread_withdrawn_and_counted() {
    for (permits, stripes) in [(0, 1), (1, 3), (5, 3), (6, 3), (100, 7)] {
        let pile = Stripes::new(stripes, permits);
        assert_eq!(pile.free(), permits);
        assert_eq!((pile.withdraw(4), pile.free()), (permits.min(4), permits.saturating_sub(4)));
        assert_eq!((pile.withdraw(1_000), pile.free()), (permits.saturating_sub(4), 0));
    }
}

/// The heart of a truthful refusal: an empty look at all stripes says nothing if a permit moved meanwhile.
#[test]
fn two_empty_sweeps_agree_only_if_no_permit_was_put_back_between_them() {
    let stripes = Stripes::new(3, 0);
    let first = stripes.sweep(Stripe(0)).unwrap_err();
    assert_eq!(stripes.sweep(Stripe(2)), Err(first));
    stripes.put(Stripe(1));
    assert_eq!(stripes.sweep(Stripe(2)), Ok(()));
    assert_ne!(stripes.sweep(Stripe(0)), Err(first));
}

#[test]
fn whoever_enters_when_a_permit_came_back_gets_it() {
    let permits = Permits::new(1, 2, 0);
    assert!(matches!(permits.enter(Stripe(0), 1), Entry::Taken));
    assert!(matches!(permits.enter(Stripe(0), 0), Entry::Full));
    let Entry::Queued(ticket) = permits.enter(Stripe(0), 1) else { panic!("not queued") };
    assert!(matches!(permits.enter(Stripe(0), 1), Entry::Full));
    permits.put_back(Stripe(0));
    assert_eq!(permits.poll(&mut Some(ticket), Waker::noop().clone()), Poll::Ready(true));
}

#[test]
fn a_permit_found_on_the_way_into_the_queue_is_answered_or_given_back() {
    let bulkhead = bulkhead(1, 1);
    let mut place = bulkhead.enter(clock::now).unwrap();
    assert_eq!(bulkhead.in_flight(), 1);
    assert_eq!(bulkhead.poll_place(&mut place, &context()), Poll::Ready(Ok(())));
    bulkhead.leave(&mut place);
    assert_eq!((bulkhead.in_flight(), bulkhead.snapshot().cancelled), (1, 0));
    bulkhead.put_back(stripe::current());

    let mut place = bulkhead.enter(clock::now).unwrap();
    bulkhead.leave(&mut place);
    assert_eq!((bulkhead.in_flight(), bulkhead.snapshot().cancelled), (0, 1));
}

#[test]
fn a_place_that_expires_says_how_long_it_waited() {
    let bulkhead = bulkhead(1, 1);
    assert!(bulkhead.try_take(stripe::current()));
    let start = Instant::from_nanos(1_000);
    let mut place = bulkhead.enter(|| start).unwrap();
    assert_eq!(place.deadline(), start.saturating_add(SECOND));
    assert_eq!(bulkhead.poll_place(&mut place, &context()), Poll::Pending);
    let error = bulkhead.expire(&mut place, start.saturating_add(SECOND * 3 / 2));
    assert_eq!(
        bulkhead.refusal(error).to_string(),
        "bulkhead `db` is full with 1 running after waiting 1.5 s"
    );
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.waiting, snapshot.refused, snapshot.cancelled), (0, 1, 0));
}

/// It expires at the moment it is handed its permit: the permit goes on to the next.
#[test]
fn a_place_that_expires_passes_its_permit_on() {
    let bulkhead = bulkhead(1, 2);
    assert!(bulkhead.try_take(stripe::current()));
    let mut places = [bulkhead.enter(clock::now).unwrap(), bulkhead.enter(clock::now).unwrap()];
    bulkhead.put_back(stripe::current());
    let _ = bulkhead.expire(&mut places[0], clock::now());
    assert_eq!(bulkhead.poll_place(&mut places[1], &context()), Poll::Ready(Ok(())));
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (1, 0));
}

#[test]
fn a_compact_bulkhead_behaves_the_same() {
    let bulkhead =
        Bulkhead::declared("tenant".into(), BulkheadSettings::new(2).queue(1).wait_ms(1_000), true);
    assert!(
        bulkhead.try_take(stripe::current())
            && bulkhead.try_take(stripe::current())
            && !bulkhead.try_take(stripe::current())
    );
    let mut place = bulkhead.enter(clock::now).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| bulkhead.put_back(stripe::current()));
    });
    assert_eq!(bulkhead.poll_place(&mut place, &context()), Poll::Ready(Ok(())));
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.accepted, snapshot.in_flight, snapshot.waits.unwrap().count), (3, 2, 1));
}

/// The budget of a call's future is 256 bytes for four policies; the place is this one's share.
#[test]
fn a_place_and_a_bulkhead_are_small() {
    assert!(size_of::<super::Place>() <= 24, "{} bytes", size_of::<super::Place>());
    // What a compact one keeps on the heap comes to five cache line pairs and a histogram of 200 bytes.
    assert!(size_of::<Bulkhead>() <= 256, "{} bytes", size_of::<Bulkhead>());
}
