//! Every interleaving of two or three callers.

use std::{sync::Arc, time::Duration};

use loom::thread;

use super::{quota::Quota, state::State};
use crate::clock::Instant;

const NOW: Instant = Instant::from_nanos(1 << 60);

/// Seen to fail with: a load and a store in place of the compare-exchange in `State::reserve`.
#[test]
fn one_slot_goes_to_one_caller() {
    loom::model(|| {
        let state = Arc::new(State::new(Quota::per_second(1)));
        let other = Arc::clone(&state);
        let caller = thread::spawn(move || other.reserve(NOW, Duration::ZERO).is_ok());
        let mine = state.reserve(NOW, Duration::ZERO).is_ok();
        assert!(mine ^ caller.join().unwrap());
    });
}

/// Seen to fail with: `fetch_sub` of an interval in place of the compare-exchange in `State::give_back`.
#[test]
fn a_moment_given_back_is_never_promised_twice() {
    loom::model(|| {
        let state = Arc::new(State::new(Quota::per_second(10).burst(1)));
        let wait = Duration::from_secs(1);
        let other = Arc::clone(&state);
        let quitter = thread::spawn(move || {
            let reservation = other.reserve(NOW, wait).unwrap();
            other.give_back(&reservation)
        });
        let first = state.reserve(NOW, wait).unwrap().at;
        let returned = quitter.join().unwrap();
        let second = state.reserve(NOW, wait).unwrap().at;
        let apart = Duration::from_millis(100);
        assert!(second.saturating_since(first) >= apart, "{first:?} {second:?}");
        // A turn that was returned is there for the next caller: nothing is lost either.
        let latest = NOW.saturating_add(if returned { apart } else { apart * 2 });
        assert!(second <= latest, "{second:?}");
    });
}

/// Seen to fail with: the new edition stored after the exchange that advances to it; with an unconditional store of
/// the converted word; and with an edition that is not advanced.
#[test]
fn a_caller_during_a_change_falls_on_either_side_of_it() {
    loom::model(|| {
        let state = Arc::new(State::new(Quota::per_second(2).burst(1)));
        let other = Arc::clone(&state);
        let change = thread::spawn(move || other.configure(Quota::per_second(10).burst(1), NOW));
        assert!(state.reserve(NOW, Duration::ZERO).is_ok());
        change.join().unwrap();
        // One call was used, under whichever quota; under the new one it is back after a tenth of a second.
        let free = |millis| state.free(NOW.saturating_add(Duration::from_millis(millis)));
        assert_eq!((free(99), free(100)), (0, 1));
    });
}
