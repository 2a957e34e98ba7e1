//! Failures in a row.

use std::time::Duration;

use super::word::Word;
use crate::{
    clock::Instant,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Failures since the last success, in the current generation.
#[derive(Debug)]
pub(super) struct FailureRun {
    /// Generation in the upper half, failures in the lower.
    failures: AtomicU64,
    /// The last failure, where a pause ends the run. Only failures lock it: two of them after a pause must agree on
    /// which of them begins the new run.
    last: Mutex<Instant>,
}

impl FailureRun {
    pub(super) fn new() -> Self {
        Self { failures: AtomicU64::new(0), last: Mutex::new(Instant::from_nanos(0)) }
    }

    /// Whether there is a run to end. A healthy circuit only reads.
    #[inline]
    pub(super) fn is_run(&self) -> bool {
        self.failures.load(Ordering::Relaxed) as u32 != 0
    }

    /// Ends the run.
    pub(super) fn success(&self, generation: u32) {
        let run = self.failures.load(Ordering::Relaxed);
        if run as u32 != 0 {
            self.end(run, generation);
        }
    }

    #[cold]
    fn end(&self, run: u64, generation: u32) {
        if run >> 32 == u64::from(generation) {
            // Whoever fails or succeeds at this very moment may come before or after; both orders are true.
            let ended = u64::from(generation) << 32;
            let _ = self.failures.compare_exchange(run, ended, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Adds a failure and returns the length of the run; `reset` is the pause after which an earlier one is forgotten.
    pub(super) fn failure(&self, generation: u32, reset: Option<Duration>, now: Instant) -> u32 {
        let Some(reset) = reset else {
            return self.add(generation, false);
        };
        let mut last = self.last.lock();
        let forgotten = now.saturating_since(*last) >= reset;
        *last = now.max(*last);
        self.add(generation, forgotten)
    }

    fn add(&self, generation: u32, forgotten: bool) -> u32 {
        let mut run = self.failures.load(Ordering::Relaxed);
        loop {
            let of = (run >> 32) as u32;
            if Word::is_later(of, generation) {
                return 0;
            }
            let length = if of == generation && !forgotten { (run as u32).saturating_add(1) } else { 1 };
            let next = u64::from(generation) << 32 | u64::from(length);
            match self.failures.compare_exchange_weak(run, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return length,
                Err(now) => run = now,
            }
        }
    }

    /// The length of the run at `now`.
    pub(super) fn len(&self, generation: u32, reset: Option<Duration>, now: Instant) -> u32 {
        let run = self.failures.load(Ordering::Relaxed);
        let forgotten = reset.is_some_and(|reset| now.saturating_since(*self.last.lock()) >= reset);
        if run >> 32 == u64::from(generation) && !forgotten { run as u32 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_run_ends_with_a_success_or_a_pause() {
        let (run, reset) = (FailureRun::new(), Some(Duration::from_millis(10)));
        assert_eq!([1, 2, 11, 21].map(|now| run.failure(0, reset, at(now))), [1, 2, 3, 1]);
        assert_eq!((run.len(0, reset, at(30)), run.len(0, reset, at(31))), (1, 0));
        run.success(0);
        assert_eq!(run.failure(0, reset, at(22)), 1);
    }

    #[test]
    fn a_clock_that_steps_back_neither_ends_nor_prolongs_a_run() {
        let (run, reset) = (FailureRun::new(), Some(Duration::from_millis(10)));
        assert_eq!([20, 5, 29, 39].map(|now| run.failure(0, reset, at(now))), [1, 2, 3, 1]);
    }

    #[test]
    fn a_run_belongs_to_its_generation() {
        let run = FailureRun::new();
        let fail = |generation| run.failure(generation, None, at(0));
        assert_eq!((fail(3), fail(3), fail(4)), (1, 2, 1));
        assert_eq!((run.len(3, None, at(0)), run.len(4, None, at(0))), (0, 1));
        run.success(3);
        assert_eq!((fail(3), fail(4)), (0, 2));
    }

    /// Were the generation lost with the run, one of the later half of their circle would look like the past.
    #[test]
    fn a_run_that_has_ended_keeps_its_generation() {
        let (run, late) = (FailureRun::new(), u32::MAX >> 1);
        run.failures.store(u64::from(late) << 32, Ordering::Relaxed);
        assert_eq!(run.failure(late, None, at(0)), 1);
        run.success(late);
        assert_eq!((run.failure(late, None, at(0)), run.len(late, None, at(0))), (1, 1));
    }
}
