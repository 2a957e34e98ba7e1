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

use self::histogram::{Buckets, Resolution};
pub(crate) use self::timeout::{Directory, TimeoutOutcome, TimeoutStats, of_timeout};
pub use self::{histogram::Latency, timeout::TimeoutSnapshot};
use crate::{
    clock::nanos,
    sync::{
        Mutex,
        stripe::{self, Stripe},
    },
};

/// `N` counters and one latency histogram.
pub(crate) struct Stats<const N: usize> {
    shards: Box<[Shard<N>]>,
    resolution: Resolution,
    /// What the counters stood at when they were last reset. Their owners store without locked instructions, so
    /// nobody else may write to them; a reset subtracts instead.
    baseline: Mutex<Option<Box<Totals<N>>>>,
    /// Counts resets; a largest latency of an older epoch does not count.
    epoch: AtomicU64,
}

/// Two cache lines apart, because processors fetch lines in pairs.
#[repr(align(128))]
struct Shard<const N: usize> {
    counts: [AtomicU64; N],
    /// Epoch in the upper 16 bits, nanoseconds below: a newer epoch wins every comparison.
    max: AtomicU64,
    buckets: Buckets,
}

/// A reading of all counters, summed over the stripes.
#[derive(Clone, Debug)]
pub(crate) struct Totals<const N: usize> {
    counts: [u64; N],
    buckets: Vec<u64>,
}

/// Bits of a stored maximum that hold nanoseconds: three days.
const MAX_BITS: u32 = 48;

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

    fn new(shards: usize, resolution: Resolution) -> Self {
        let shard = |_| Shard {
            counts: [const { AtomicU64::new(0) }; N],
            max: AtomicU64::new(0),
            buckets: Buckets::new(resolution),
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            resolution,
            baseline: Mutex::new(None),
            epoch: AtomicU64::new(0),
        }
    }

    /// Counts one event.
    #[inline]
    pub(crate) fn count(&self, which: usize) {
        self.recorder().count(which);
    }

    /// The current thread's stripe, looked up once for several events of one call.
    #[inline]
    pub(crate) fn recorder(&self) -> Recorder<'_, N> {
        self.recorder_of(stripe::current())
    }

    /// The same for a caller that knows its stripe already.
    #[inline]
    pub(crate) fn recorder_of(&self, Stripe { index, exclusive }: Stripe) -> Recorder<'_, N> {
        match &*self.shards {
            // A single stripe is everybody's, also the owner's of stripe 0.
            [shard] => Recorder { stats: self, shard, exclusive: false },
            shards => Recorder { stats: self, shard: &shards[index], exclusive },
        }
    }

    /// One counter, summed.
    pub(crate) fn get(&self, which: usize) -> u64 {
        let sum = self.sum(which);
        sum.saturating_sub(self.baseline.lock().as_ref().map_or(0, |baseline| baseline.counts[which]))
    }

    /// All counters, summed.
    pub(crate) fn counts(&self) -> [u64; N] {
        std::array::from_fn(|which| self.get(which))
    }

    /// The latencies so far, or `None` before the first.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let mut buckets = self.buckets();
        if let Some(baseline) = &*self.baseline.lock() {
            buckets
                .iter_mut()
                .zip(&baseline.buckets)
                .for_each(|(now, then)| *now = now.saturating_sub(*then));
        }
        let epoch = self.epoch.load(Ordering::Acquire) << MAX_BITS;
        let max = self.shards.iter().map(|shard| shard.max.load(Ordering::Relaxed)).max().unwrap_or(0);
        self.resolution.latency(&buckets, Duration::from_nanos(max.saturating_sub(epoch)))
    }

    /// Starts all counters and latencies at zero again. Events that are being counted at this moment may fall on
    /// either side.
    pub(crate) fn reset(&self) {
        let mut baseline = self.baseline.lock();
        *baseline = Some(Box::new(Totals {
            counts: std::array::from_fn(|which| self.sum(which)),
            buckets: self.buckets(),
        }));
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch.store((epoch + 1) & (u64::MAX >> MAX_BITS), Ordering::Release);
    }

    fn sum(&self, which: usize) -> u64 {
        self.shards.iter().map(|shard| shard.counts[which].load(Ordering::Relaxed)).sum()
    }

    fn buckets(&self) -> Vec<u64> {
        let mut sums = vec![0; self.resolution.buckets()];
        for shard in &self.shards {
            shard.buckets.add_to(&mut sums);
        }
        sums
    }
}

impl<const N: usize> fmt::Debug for Stats<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// The current thread's stripe of a [`Stats`].
#[derive(Clone, Copy)]
pub(crate) struct Recorder<'a, const N: usize> {
    stats: &'a Stats<N>,
    shard: &'a Shard<N>,
    exclusive: bool,
}

impl<const N: usize> Recorder<'_, N> {
    /// Counts one event.
    #[inline]
    pub(crate) fn count(&self, which: usize) {
        add(&self.shard.counts[which], self.exclusive);
    }

    /// Counts one event that took `duration`.
    #[inline]
    pub(crate) fn time(&self, duration: Duration) {
        self.time_nanos(nanos(duration));
    }

    /// Counts one event that took so many nanoseconds.
    #[inline]
    pub(crate) fn time_nanos(&self, nanos: u64) {
        let nanos = nanos.min((1 << MAX_BITS) - 1);
        self.shard.buckets.record(self.stats.resolution, nanos, self.exclusive);
        let max = self.stats.epoch.load(Ordering::Relaxed) << MAX_BITS | nanos;
        if max > self.shard.max.load(Ordering::Relaxed) {
            self.raise(max);
        }
    }
}

impl<const N: usize> Recorder<'_, N> {
    #[cold]
    fn raise(&self, max: u64) {
        self.shard.max.fetch_max(max, Ordering::Relaxed);
    }
}

/// Adds one. The owner of a stripe needs no locked instruction, because nobody else writes to it.
#[inline]
fn add(cell: &AtomicU64, exclusive: bool) {
    if exclusive {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    } else {
        cell.fetch_add(1, Ordering::Relaxed);
    }
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
            stats.recorder().time(Duration::from_millis(millis));
        };
        record(900);
        stats.reset();
        assert_eq!((stats.get(0), stats.latency()), (0, None));
        record(3);
        let latency = stats.latency().unwrap();
        assert_eq!((stats.get(0), latency.count, latency.max), (1, 1, Duration::from_millis(3)));
    }
}
