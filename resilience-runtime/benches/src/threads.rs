//! How much more two threads do than one.

use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Instant,
};

use crate::contender::{Contender, calls_per_round, now, time};

/// Calls of one thread alone, and of two at once.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// A call's time while one thread makes calls.
    pub alone: f64,
    /// A call's time while two threads make calls at once, of all calls together: half of what each thread sees.
    pub together: f64,
}

impl Scaling {
    /// Throughput of two threads over that of one.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.alone / self.together
    }
}

/// Measures one thread and two in turns. A round of two begins when the first of them begins and ends when the last
/// is done; a thread that is kept from its core meanwhile can only make a round longer.
#[must_use]
pub fn scaling(contender: &Contender, rounds: usize) -> Scaling {
    let mut here = contender.make();
    let calls = calls_per_round(&mut here);
    let (meeting, begun) = (AtomicUsize::new(0), now());
    let span = Span::new();
    let mut fastest = [f64::INFINITY; 2];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut there = contender.make();
            for round in 0..rounds {
                meet(&meeting, 2 * round);
                span.record(begun, || there(calls));
                meet(&meeting, 2 * round + 1);
            }
        });
        for round in 0..rounds {
            let alone = time(&mut here, calls).as_nanos() as f64 / calls as f64;
            fastest[0] = fastest[0].min(alone);
            span.clear();
            meet(&meeting, 2 * round);
            span.record(begun, || here(calls));
            meet(&meeting, 2 * round + 1);
            fastest[1] = fastest[1].min(span.nanos() as f64 / (2 * calls) as f64);
        }
    });
    Scaling { alone: fastest[0], together: fastest[1] }
}

/// From the first beginning to the last end.
struct Span {
    start: AtomicU64,
    end: AtomicU64,
}

impl Span {
    const fn new() -> Self {
        Self { start: AtomicU64::new(u64::MAX), end: AtomicU64::new(0) }
    }

    fn clear(&self) {
        self.start.store(u64::MAX, Ordering::Relaxed);
        self.end.store(0, Ordering::Relaxed);
    }

    fn record(&self, begun: Instant, run: impl FnOnce() -> usize) {
        let start = (now() - begun).as_nanos() as u64;
        run();
        let end = (now() - begun).as_nanos() as u64;
        self.start.fetch_min(start, Ordering::Relaxed);
        self.end.fetch_max(end, Ordering::Relaxed);
    }

    fn nanos(&self) -> u64 {
        self.end.load(Ordering::Relaxed) - self.start.load(Ordering::Relaxed)
    }
}

/// Waits until both threads have come to their meeting of this number.
fn meet(meeting: &AtomicUsize, number: usize) {
    meeting.fetch_add(1, Ordering::AcqRel);
    while meeting.load(Ordering::Acquire) < 2 * (number + 1) {
        spin_loop();
    }
}
