//! Every interleaving of two or three threads, explored by loom.
//!
//! Each model names the mutation it was seen to catch.

use loom::{sync::Arc, thread};

use super::{Kind, Sums, Window};
use crate::{clock::Instant, settings::WindowShape};

const OK: Kind = Kind { failure: false, slow: false };
const FAILURE: Kind = Kind { failure: true, slow: false };
const SLOW: Kind = Kind { failure: false, slow: true };

/// A tick of the time window.
const TICK: u64 = 100_000;

const MILLISECOND: WindowShape = WindowShape::Time(std::time::Duration::from_millis(1));

const fn tick(ticks: u64) -> Instant {
    Instant::from_nanos(ticks * TICK)
}

fn window(shape: WindowShape) -> Arc<Window> {
    Arc::new(Window::new(shape))
}

fn record(window: &Window, kind: Kind, ticks: u64) -> Option<Sums> {
    window.record(0, kind, || tick(ticks))
}

/// The sums are those of the slots, whichever outcomes lie in them.
fn assert_exact(window: &Window) {
    let log = window.log();
    let count = |which: fn(&Kind) -> bool| log.iter().filter(|kind| which(kind)).count() as u32;
    let calls = log.len() as u32;
    let expected = Sums { calls, failures: count(|kind| kind.failure), slow: count(|kind| kind.slow) };
    assert_eq!(window.sums(tick(0)), expected);
}

/// Mutation: the outcome is put into its slot by a load and a store.
#[test]
fn loom_sums_of_a_count_window_are_exact_when_quiescent() {
    loom::model(|| {
        let window = window(WindowShape::Count(1));
        record(&window, FAILURE, 0);
        let other = {
            let window = Arc::clone(&window);
            thread::spawn(move || {
                record(&window, SLOW, 0);
                record(&window, FAILURE, 0);
            })
        };
        record(&window, FAILURE, 0);
        record(&window, OK, 0);
        other.join().unwrap();
        assert_exact(&window);
    });
}

/// Mutation: an outcome is passed over as soon as the window is full, clean or not.
#[test]
fn loom_successes_push_a_failure_out() {
    loom::model(|| {
        let window = window(WindowShape::Count(2));
        record(&window, OK, 0);
        record(&window, OK, 0);
        let other = {
            let window = Arc::clone(&window);
            thread::spawn(move || record(&window, FAILURE, 0))
        };
        record(&window, OK, 0);
        other.join().unwrap();
        assert_exact(&window);
        record(&window, OK, 0);
        record(&window, OK, 0);
        assert_eq!(window.sums(tick(0)), Sums { calls: 2, failures: 0, slow: 0 });
    });
}

/// Mutation: a count is added by a load and a store.
#[test]
fn loom_sums_of_a_time_window_are_exact_when_quiescent() {
    loom::model(|| {
        let window = window(MILLISECOND);
        let other = {
            let window = Arc::clone(&window);
            thread::spawn(move || record(&window, FAILURE, 4))
        };
        record(&window, FAILURE, 3);
        other.join().unwrap();
        assert_eq!(window.sums(tick(4)), Sums { calls: 2, failures: 2, slow: 0 });
    });
}

/// One outcome is overtaken by a whole window: it does not take its bucket back.
///
/// Mutation: a word of a later lap is taken over.
#[test]
fn loom_an_overtaken_outcome_takes_nothing_from_its_bucket() {
    loom::model(|| {
        let window = window(MILLISECOND);
        let other = {
            let window = Arc::clone(&window);
            thread::spawn(move || record(&window, FAILURE, 3))
        };
        record(&window, FAILURE, 13);
        other.join().unwrap();
        let sums = window.sums(tick(13));
        assert!(sums.failures >= 1 && sums.calls >= sums.failures, "{sums:?}");
    });
}

/// Mutation: the shape is changed before the window is emptied.
#[test]
fn loom_an_outcome_meets_another_shape() {
    loom::model(|| {
        let window = window(MILLISECOND);
        record(&window, FAILURE, 3);
        let other = {
            let window = Arc::clone(&window);
            thread::spawn(move || record(&window, FAILURE, 4))
        };
        window.reshape(WindowShape::Count(2), 1);
        let alone = window.record(1, OK, || tick(4));
        let old = other.join().unwrap();
        assert!(old.is_none_or(|sums| sums.calls == 2), "{old:?}");
        let one = Sums { calls: 1, failures: 0, slow: 0 };
        assert_eq!((alone, window.sums(tick(4))), (Some(one), one));
    });
}
