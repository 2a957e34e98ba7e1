//! The outcomes of the last so long, in ten buckets.
//!
//! Each bucket's words say which tick of which generation they count; a word of another tick counts as zero and is
//! taken over by the first outcome that needs it. Nothing has to run to expire a bucket, however long the pause was.

use super::{Kind, Sums};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a window; the window slides by one of them at a time.
pub(super) const BUCKETS: usize = 10;

/// Bits of a word that count; a bucket's counts stop at sixteen million.
const COUNT_BITS: u32 = 24;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug, Default)]
pub(super) struct TimeWindow {
    buckets: [Bucket; BUCKETS],
    /// The newest tick seen. An outcome whose clock was read before another's is counted with that one.
    newest: AtomicU64,
}

/// Each word is a tag (8 bits of the generation, 32 of the tick) and a count.
#[derive(Debug, Default)]
struct Bucket {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
}

impl TimeWindow {
    pub(super) fn record(&self, generation: u32, kind: Kind, tick: u64) -> Sums {
        let mut newest = self.newest.load(Ordering::Acquire);
        if newest < tick {
            newest = self.newest.fetch_max(tick, Ordering::AcqRel);
        }
        let tick = newest.max(tick);
        let bucket = &self.buckets[(tick % BUCKETS as u64) as usize];
        let tag = tag(generation, tick);
        add(&bucket.calls, tag);
        if kind.failure {
            add(&bucket.failures, tag);
        }
        if kind.slow {
            add(&bucket.slow, tag);
        }
        self.sums(generation, tick)
    }

    pub(super) fn sums(&self, generation: u32, tick: u64) -> Sums {
        let tick = self.newest.load(Ordering::Acquire).max(tick);
        let mut sums = Sums::default();
        for tick in tick.saturating_sub(BUCKETS as u64 - 1)..=tick {
            let bucket = &self.buckets[(tick % BUCKETS as u64) as usize];
            let tag = tag(generation, tick);
            sums.calls += read(&bucket.calls, tag);
            sums.failures += read(&bucket.failures, tag);
            sums.slow += read(&bucket.slow, tag);
        }
        // A bucket's words are read one after another; a call may be seen without its failure but not the reverse.
        Sums { failures: sums.failures.min(sums.calls), slow: sums.slow.min(sums.calls), ..sums }
    }
}

const fn tag(generation: u32, tick: u64) -> u64 {
    (generation as u64) << 56 | (tick & 0xffff_ffff) << COUNT_BITS
}

/// Adds one to a word of this tag, which starts at zero if it counted something else.
fn add(word: &AtomicU64, tag: u64) {
    let mut old = word.load(Ordering::Acquire);
    loop {
        let count = if old & !COUNT_MASK == tag { old & COUNT_MASK } else { 0 };
        let new = tag | (count + 1).min(COUNT_MASK);
        match word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(now) => old = now,
        }
    }
}

fn read(word: &AtomicU64, tag: u64) -> u32 {
    let word = word.load(Ordering::Acquire);
    if word & !COUNT_MASK == tag { (word & COUNT_MASK) as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILURE: Kind = Kind { failure: true, slow: false };

    #[test]
    fn a_pause_of_a_thousand_windows_leaves_nothing() {
        let window = TimeWindow::default();
        (0..BUCKETS as u64).for_each(|tick| drop(window.record(0, FAILURE, tick)));
        for later in [BUCKETS as u64 * 2, BUCKETS as u64 * 1_000, 1 << 40] {
            assert_eq!(window.sums(0, later), Sums::default(), "{later}");
        }
        let one = Sums { calls: 1, failures: 1, slow: 0 };
        assert_eq!(window.record(0, FAILURE, BUCKETS as u64 * 1_000), one);
    }

    #[test]
    fn a_clock_read_earlier_counts_with_the_newest() {
        let window = TimeWindow::default();
        window.record(0, FAILURE, 100);
        assert_eq!(window.record(0, FAILURE, 42), Sums { calls: 2, failures: 2, slow: 0 });
    }

    proptest! {
        #[test]
        fn the_sums_are_those_of_the_last_ten_ticks(
            steps in proptest::collection::vec((0..15u64, any::<bool>(), any::<bool>(), 0..20u32), 1..200),
        ) {
            let (window, mut log, mut now, mut generation) = (TimeWindow::default(), Vec::new(), 1_000, 7);
            for (pause, failure, slow, clear) in steps {
                now += pause;
                if clear == 0 {
                    generation += 1;
                    log.clear();
                }
                log.push((now, Kind { failure, slow }));
                let recent: Vec<Kind> =
                    log.iter().filter(|(tick, _)| tick + BUCKETS as u64 > now).map(|(_, kind)| *kind).collect();
                let expected = Sums {
                    calls: recent.len() as u32,
                    failures: recent.iter().filter(|kind| kind.failure).count() as u32,
                    slow: recent.iter().filter(|kind| kind.slow).count() as u32,
                };
                prop_assert_eq!(window.record(generation, Kind { failure, slow }, now), expected);
            }
        }
    }
}
