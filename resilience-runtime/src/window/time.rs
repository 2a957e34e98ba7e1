//! The outcomes of the last so long, in ten buckets.
//!
//! # Implementation Details
//!
//! Outcomes are counted at *positions*, which grow with the clock's ticks and never go back: position p is counted in
//! bucket p modulo ten, whose words say which lap around the buckets they count. A word of another lap counts as
//! zero and is taken over by the first outcome that needs it. Nothing has to run to expire a bucket, however long
//! the pause was.
//!
//! To empty the window is to go on ten positions further, where nothing was counted yet. The newest position shares
//! a word with a tag of the generation, so an outcome of an earlier generation finds that its time is over, and one
//! that is overtaken while it is being counted falls into a bucket that is out of the window.

use super::{Kind, Sums};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a window; the window slides by one of them at a time.
pub(super) const BUCKETS: u64 = 10;

/// Bits of a position: 890 years of the shortest buckets.
const POSITION_BITS: u32 = 48;

const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// Bits of a word that count. A window of an hour takes 700,000 calls a second.
const COUNT_BITS: u32 = 28;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

const LAP_MASK: u64 = u64::MAX >> COUNT_BITS;

#[derive(Debug, Default)]
pub(super) struct TimeWindow {
    buckets: [Bucket; BUCKETS as usize],
    /// Tag, and the newest position. An outcome whose clock was read before another's is counted with that one.
    head: AtomicU64,
    /// The position of this generation's first tick.
    start: AtomicU64,
}

/// Each word is a lap and a count.
#[derive(Debug, Default)]
struct Bucket {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
}

impl TimeWindow {
    /// Empties the window. One thread at a time; ticks begin at zero again, and may have another length.
    pub(super) fn clear(&self, generation: u32) {
        let mut head = self.head.load(Ordering::Acquire);
        let start = loop {
            let start = (head & POSITION_MASK) + BUCKETS;
            let next = tag(generation) | start & POSITION_MASK;
            match self.head.compare_exchange_weak(head, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break start,
                Err(now) => head = now,
            }
        };
        // After the head: an outcome of the old generation that reads this cannot move the head any more.
        self.start.store(start, Ordering::Release);
    }

    pub(super) fn record(&self, generation: u32, kind: Kind, tick: u64) -> Option<Sums> {
        let tag = tag(generation);
        let mut head = self.head.load(Ordering::Acquire);
        let position = loop {
            if head & !POSITION_MASK != tag {
                return None;
            }
            let position = self.position(head, tick);
            if position == head & POSITION_MASK {
                break position;
            }
            match self.head.compare_exchange_weak(head, tag | position, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break position,
                Err(now) => head = now,
            }
        };
        let (bucket, lap) = self.bucket(position);
        // A full bucket stops counting altogether: its rates stay.
        if add(&bucket.calls, lap) {
            if kind.failure {
                add(&bucket.failures, lap);
            }
            if kind.slow {
                add(&bucket.slow, lap);
            }
        }
        let head = self.head.load(Ordering::Acquire);
        (head & !POSITION_MASK == tag).then(|| self.sum(head & POSITION_MASK))
    }

    pub(super) fn sums(&self, tick: u64) -> Sums {
        self.sum(self.position(self.head.load(Ordering::Acquire), tick))
    }

    /// The position of a tick, or the newest one if that is later.
    fn position(&self, head: u64, tick: u64) -> u64 {
        let position = self.start.load(Ordering::Acquire).saturating_add(tick);
        position.min(POSITION_MASK).max(head & POSITION_MASK)
    }

    /// The sums of the window that ends at a position.
    fn sum(&self, position: u64) -> Sums {
        let mut sums = Sums::default();
        for position in position.saturating_sub(BUCKETS - 1)..=position {
            let (bucket, lap) = self.bucket(position);
            sums.calls = sums.calls.saturating_add(read(&bucket.calls, lap));
            sums.failures = sums.failures.saturating_add(read(&bucket.failures, lap));
            sums.slow = sums.slow.saturating_add(read(&bucket.slow, lap));
        }
        // A bucket's words are read one after another; a failure may be seen without its call.
        Sums { failures: sums.failures.min(sums.calls), slow: sums.slow.min(sums.calls), ..sums }
    }

    /// The bucket of a position, and its lap.
    fn bucket(&self, position: u64) -> (&Bucket, u64) {
        (&self.buckets[(position % BUCKETS) as usize], (position / BUCKETS) & LAP_MASK)
    }
}

const fn tag(generation: u32) -> u64 {
    (generation as u64) << POSITION_BITS
}

/// Adds one to a word of this lap, which starts at zero if it counted an earlier one; `false` if it is full or counts
/// a later one.
fn add(word: &AtomicU64, lap: u64) -> bool {
    let mut old = word.load(Ordering::Acquire);
    loop {
        let ahead = (old >> COUNT_BITS).wrapping_sub(lap) & LAP_MASK;
        let next = match old & COUNT_MASK {
            COUNT_MASK if ahead == 0 => return false,
            count if count > 0 && ahead == 0 => old + 1,
            // By less than half of the circle of laps: a bucket of the shortest window may lie idle for a year.
            count if count > 0 && ahead < LAP_MASK / 2 => return false,
            _ => lap << COUNT_BITS | 1,
        };
        match word.compare_exchange_weak(old, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return true,
            Err(now) => old = now,
        }
    }
}

fn read(word: &AtomicU64, lap: u64) -> u32 {
    let word = word.load(Ordering::Acquire);
    if word >> COUNT_BITS == lap { (word & COUNT_MASK) as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILURE: Kind = Kind { failure: true, slow: false };
    const ONE: Sums = Sums { calls: 1, failures: 1, slow: 0 };

    #[test]
    fn a_pause_of_a_thousand_windows_leaves_nothing() {
        let window = TimeWindow::default();
        for tick in 0..BUCKETS {
            window.record(0, FAILURE, tick);
        }
        let half_of_all_laps = BUCKETS * (LAP_MASK / 2 + 1);
        for later in [BUCKETS * 2, BUCKETS * 1_000, half_of_all_laps, 1 << 40] {
            assert_eq!(window.sums(later), Sums::default(), "{later}");
        }
        assert_eq!(window.record(0, FAILURE, BUCKETS * 1_000), Some(ONE));
    }

    #[test]
    fn a_clock_read_earlier_counts_with_the_newest() {
        let window = TimeWindow::default();
        window.record(0, FAILURE, 100);
        assert_eq!(window.record(0, FAILURE, 42), Some(Sums { calls: 2, failures: 2, slow: 0 }));
    }

    #[test]
    fn an_outcome_of_another_generation_changes_nothing() {
        let window = TimeWindow::default();
        window.record(0, FAILURE, 100);
        window.clear(1);
        assert_eq!((window.record(0, FAILURE, 500), window.sums(0)), (None, Sums::default()));
        assert_eq!(window.record(1, FAILURE, 1), Some(ONE));
    }

    #[test]
    fn a_window_is_empty_after_it_was_cleared_whenever_one_looks() {
        let window = TimeWindow::default();
        window.record(0, FAILURE, 1_000);
        window.clear(1);
        assert_eq!((window.sums(3), window.sums(1_000)), (Sums::default(), Sums::default()));
        assert_eq!((window.record(1, FAILURE, 1), window.record(1, FAILURE, 13)), (Some(ONE), Some(ONE)));
    }

    #[test]
    fn a_full_bucket_keeps_its_rates() {
        let window = TimeWindow::default();
        window.buckets[0].calls.store(COUNT_MASK, Ordering::Relaxed);
        let full = Sums { calls: COUNT_MASK as u32, failures: 0, slow: 0 };
        assert_eq!(window.record(0, FAILURE, 0), Some(full));
        assert_eq!(window.record(0, FAILURE, BUCKETS), Some(ONE));
    }

    #[test]
    fn a_failure_seen_before_its_call_does_not_count_yet() {
        let window = TimeWindow::default();
        window.buckets[0].failures.store(1, Ordering::Relaxed);
        window.buckets[1].slow.store(1, Ordering::Relaxed);
        assert_eq!(window.sums(1), Sums::default());
    }

    #[test]
    fn a_word_of_a_later_lap_takes_nothing_and_one_of_an_earlier_lap_starts_anew() {
        let half = LAP_MASK / 2;
        for (of, lap, taken) in
            [(4, 5, true), (5, 4, false), (half - 1, 0, false), (half, 0, true), (LAP_MASK, 0, true)]
        {
            let word = AtomicU64::new(of << COUNT_BITS | 3);
            assert_eq!(add(&word, lap), taken, "lap {lap} in one of {of}");
            assert_eq!((read(&word, lap), read(&word, of)), if taken { (1, 0) } else { (0, 3) });
        }
    }

    #[test]
    fn sums_are_exact_once_all_threads_are_done() {
        let window = TimeWindow::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for call in 0..5_000 {
                        window.record(0, FAILURE, call / 1_000);
                    }
                });
            }
        });
        assert_eq!(window.sums(5), Sums { calls: 20_000, failures: 20_000, slow: 0 });
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_last_ten_ticks(
            steps in proptest::collection::vec((0..15u64, any::<bool>(), any::<bool>(), 0..20u32), 1..200),
        ) {
            let (window, mut log, mut now, mut generation) = (TimeWindow::default(), Vec::new(), 0, 0);
            for (pause, failure, slow, clear) in steps {
                now += pause;
                if clear == 0 {
                    generation += 1;
                    window.clear(generation);
                    log.clear();
                    now = 0;
                }
                log.push((now, Kind { failure, slow }));
                let recent: Vec<Kind> =
                    log.iter().filter(|(tick, _)| tick + BUCKETS > now).map(|(_, kind)| *kind).collect();
                let expected = Sums {
                    calls: recent.len() as u32,
                    failures: recent.iter().filter(|kind| kind.failure).count() as u32,
                    slow: recent.iter().filter(|kind| kind.slow).count() as u32,
                };
                prop_assert_eq!(window.record(generation, Kind { failure, slow }, now), Some(expected));
                prop_assert_eq!(window.sums(now), expected);
            }
        }
    }
}
