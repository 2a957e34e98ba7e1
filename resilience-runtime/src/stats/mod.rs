//! Counters and latencies that cost a call about a nanosecond each.
//!
//! Every call of every site is counted and timed, always: the numbers are wanted exactly when nobody thought of
//! switching them on. So that this costs next to nothing they are striped by thread ([`crate::sync::stripe`]), and
//! only a reader pays, by adding the stripes up.

mod histogram;
mod timeout;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub(crate) use self::histogram::Sample;
use self::histogram::{Buckets, Resolution};
pub(crate) use self::timeout::{Directory, TimeoutOutcome, TimeoutStats, of_timeout};
pub use self::{histogram::Latency, timeout::TimeoutSnapshot};
use crate::sync::{
    Mutex,
    stripe::{self, Part, Stripe, Striped},
};

/// `N` counters and one latency histogram.
pub(crate) struct Stats<const N: usize> {
    shards: Striped<Shard<N>>,
    resolution: Resolution,
    /// What the counters stood at when they were last reset. Their owners store without locked instructions, so
    /// nobody else may write to them; a reset subtracts instead.
    baseline: Mutex<Option<Box<Totals<N>>>>,
}

/// Two cache lines apart, because processors fetch lines in pairs.
#[repr(align(128))]
struct Shard<const N: usize> {
    counts: [AtomicU64; N],
    /// Nanoseconds. Changed by locked instructions only, which is rare.
    max: AtomicU64,
    buckets: Buckets,
}

/// A reading of all counters, summed over the stripes.
#[derive(Clone, Debug)]
pub(crate) struct Totals<const N: usize> {
    counts: [u64; N],
    buckets: Vec<u64>,
}

impl<const N: usize> Stats<N> {
    /// One stripe a thread, latencies within 12.5 %.
    pub(crate) fn striped() -> Self {
        Self::new(stripe::count(), Resolution::FINE)
    }

    /// One stripe a thread, no latencies.
    pub(crate) fn counters() -> Self {
        Self::new(stripe::count(), Resolution::NONE)
    }

    /// One stripe for all threads, latencies within a factor of two: for things that exist by the thousand.
    pub(crate) fn compact() -> Self {
        Self::new(1, Resolution::COARSE)
    }

    /// One stripe for all threads, no latencies.
    pub(crate) fn compact_counters() -> Self {
        Self::new(1, Resolution::NONE)
    }

    /// One stripe for all threads, latencies within 12.5 %: for what happens rarely.
    pub(crate) fn shared() -> Self {
        Self::new(1, Resolution::FINE)
    }

    fn new(stripes: usize, resolution: Resolution) -> Self {
        let shards = Striped::new(stripes, || Shard {
            counts: [const { AtomicU64::new(0) }; N],
            max: AtomicU64::new(0),
            buckets: Buckets::new(resolution),
        });
        Self { shards, resolution, baseline: Mutex::new(None) }
    }

    /// Whether threads have parts of their own: not for what exists by the thousand.
    pub(crate) const fn is_striped(&self) -> bool {
        self.shards.len() > 1
    }

    /// Bytes that stand elsewhere.
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        self.shards.len() * (size_of::<Shard<N>>() + self.resolution.buckets() * size_of::<AtomicU64>())
    }

    /// Counts one event.
    #[inline]
    pub(crate) fn count(&self, which: usize) {
        self.count_in(stripe::current(), which);
    }

    /// The same for a caller that knows its stripe already.
    #[inline]
    pub(crate) fn count_in(&self, stripe: Stripe, which: usize) {
        match self.shards.part(stripe) {
            Part::Own(shard) => add(&shard.counts[which]),
            Part::Shared(shard) => add_shared(&shard.counts[which]),
        }
    }

    /// Keeps a latency.
    pub(crate) fn time(&self, duration: Duration) {
        self.keep(Sample::of(duration));
    }

    pub(crate) fn keep(&self, sample: Sample) {
        self.keep_in(stripe::current(), sample);
    }

    /// The same for a caller that knows its stripe already.
    #[inline(always)]
    pub(crate) fn keep_in(&self, stripe: Stripe, sample: Sample) {
        match self.shards.part(stripe) {
            Part::Own(shard) => shard.time(sample),
            Part::Shared(shard) => self.time_shared(shard, sample),
        }
    }

    /// Counts one event and keeps its latency.
    #[inline]
    pub(crate) fn count_timed(&self, stripe: Stripe, which: usize, sample: Sample) {
        match self.shards.part(stripe) {
            Part::Own(shard) => {
                add(&shard.counts[which]);
                shard.time(sample);
            }
            Part::Shared(shard) => {
                add_shared(&shard.counts[which]);
                self.time_shared(shard, sample);
            }
        }
    }

    #[inline(never)]
    fn time_shared(&self, shard: &Shard<N>, sample: Sample) {
        if let Some(bucket) = shard.buckets.get(self.resolution.index(sample.nanos)) {
            add_shared(bucket);
        }
        shard.reach(sample.nanos);
    }

    /// One counter, summed.
    pub(crate) fn get(&self, which: usize) -> u64 {
        let sum = self.sum(which);
        sum.saturating_sub(self.baseline.lock().as_ref().map_or(0, |baseline| baseline.counts[which]))
    }

    /// All counters, summed.
    pub(crate) fn counts(&self) -> [u64; N] {
        let mut counts = self.sums();
        if let Some(baseline) = &*self.baseline.lock() {
            subtract(&mut counts, &baseline.counts);
        }
        counts
    }

    /// The latencies so far, or `None` before the first.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let mut buckets = self.buckets();
        if let Some(baseline) = &*self.baseline.lock() {
            subtract(&mut buckets, &baseline.buckets);
        }
        let max = self.shards.iter().map(|shard| shard.max.load(Ordering::Relaxed)).max().unwrap_or(0);
        self.resolution.latency(&buckets, Duration::from_nanos(max))
    }

    /// Starts all counters and latencies at zero again. Events that are being counted at this moment may fall on
    /// either side.
    pub(crate) fn reset(&self) {
        self.reset_but(|_| {});
    }

    /// The same, except for what `keep` takes out of the counts that are forgotten.
    pub(crate) fn reset_but(&self, keep: impl FnOnce(&mut [u64; N])) {
        let mut baseline = self.baseline.lock();
        // Before the buckets: a latency must not be counted from now on that its largest one did not raise.
        self.shards.iter().for_each(|shard| shard.max.store(0, Ordering::Release));
        let mut counts = self.sums();
        keep(&mut counts);
        *baseline = Some(Box::new(Totals { counts, buckets: self.buckets() }));
    }

    fn sums(&self) -> [u64; N] {
        let mut sums = [0; N];
        for (which, sum) in sums.iter_mut().enumerate() {
            *sum = self.sum(which);
        }
        sums
    }

    fn sum(&self, which: usize) -> u64 {
        self.shards.iter().map(|shard| shard.counts[which].load(Ordering::Relaxed)).sum()
    }

    fn buckets(&self) -> Vec<u64> {
        let mut sums = vec![0; self.resolution.buckets()];
        for shard in self.shards.iter() {
            shard.buckets.add_to(&mut sums);
        }
        sums
    }
}

fn subtract(now: &mut [u64], then: &[u64]) {
    for (now, then) in now.iter_mut().zip(then) {
        *now = now.saturating_sub(*then);
    }
}

impl<const N: usize> fmt::Debug for Stats<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl<const N: usize> Shard<N> {
    /// Keeps a latency in the thread's own shard; those are fine, or keep none.
    #[inline]
    fn time(&self, sample: Sample) {
        if let Some(bucket) = self.buckets.get(sample.fine) {
            add(bucket);
        }
        self.reach(sample.nanos);
    }

    #[inline]
    fn reach(&self, nanos: u64) {
        if nanos > self.max.load(Ordering::Relaxed) {
            self.raise(nanos);
        }
    }

    #[cold]
    fn raise(&self, nanos: u64) {
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }
}

/// Adds one. The owner of a stripe needs no locked instruction, because nobody else writes to it.
#[inline]
fn add(own: &AtomicU64) {
    own.store(own.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[inline]
fn add_shared(cell: &AtomicU64) {
    cell.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        for stats in [Stats::<2>::striped(), Stats::counters(), Stats::compact()] {
            std::thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| (0..1_000).for_each(|_| stats.count(1)));
                }
            });
            assert_eq!(stats.counts(), [0, 12_000]);
        }
    }

    #[test]
    fn a_reset_starts_at_zero_again() {
        let stats = Stats::<1>::striped();
        let record = |millis| {
            stats.count(0);
            stats.time(Duration::from_millis(millis));
        };
        record(900);
        stats.reset();
        assert_eq!((stats.get(0), stats.latency()), (0, None));
        record(3);
        let latency = stats.latency().unwrap();
        assert_eq!((stats.get(0), latency.count, latency.max), (1, 1, Duration::from_millis(3)));
    }
}
