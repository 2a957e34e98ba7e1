//! A latency histogram with logarithmic buckets.
//!
//! Each power of two is split into equally wide buckets, as in Gil Tene's HdrHistogram: constant relative error,
//! constant memory, one increment to record.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::nanos;

/// Shorter latencies fall into the first bucket: 2^6 ns.
const LOWEST: u32 = 6;

/// Longer ones fall into the last: 2^38 ns, four and a half minutes.
const HIGHEST: u32 = 38;

/// How finely latencies are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Resolution {
    /// Smallest power of two that has buckets of its own.
    lowest: u32,
    /// Two to this power is the number of buckets in each power of two.
    sub_bits: u32,
    kept: bool,
}

impl Resolution {
    /// Within 12.5 %: 257 buckets.
    pub(super) const FINE: Self = Self { lowest: LOWEST, sub_bits: 3, kept: true };
    /// Within a factor of two, from 16 microseconds up: 25 buckets.
    pub(super) const COARSE: Self = Self { lowest: 14, sub_bits: 0, kept: true };
    /// Not at all.
    pub(super) const NONE: Self = Self { kept: false, ..Self::FINE };

    pub(super) const fn buckets(self) -> usize {
        if self.kept { 1 + (((HIGHEST - self.lowest) as usize) << self.sub_bits) } else { 0 }
    }

    /// The bucket of a latency.
    #[inline]
    pub(super) const fn index(self, nanos: u64) -> usize {
        // One below the lowest bucket of its own, to the last of the highest.
        let (least, most) = ((1 << self.lowest) - 1, (1 << HIGHEST) - 1);
        let nanos = if nanos < least {
            least
        } else if nanos > most {
            most
        } else {
            nanos
        };
        self.place(nanos) - self.place(least)
    }

    /// The power of two and the bits below its leading one, as a number that grows by one from bucket to bucket.
    #[inline]
    const fn place(self, nanos: u64) -> usize {
        let shift = nanos.ilog2() - self.sub_bits;
        ((shift as usize) << self.sub_bits) + (nanos >> shift) as usize
    }

    /// The largest latency that falls into a bucket.
    const fn upper(self, index: usize) -> u64 {
        if index == 0 {
            return (1 << self.lowest) - 1;
        }
        let power = self.lowest + ((index - 1) >> self.sub_bits) as u32;
        let sub = ((index - 1) & ((1 << self.sub_bits) - 1)) as u64;
        (1 << power) + ((sub + 1) << (power - self.sub_bits)) - 1
    }

    /// The percentiles, each the upper end of its bucket and never above `max`.
    pub(super) fn latency(self, buckets: &[u64], max: Duration) -> Option<Latency> {
        let count: u64 = buckets.iter().sum();
        if count == 0 {
            return None;
        }
        let percentile = |percent: u64| {
            let rank = (u128::from(count) * u128::from(percent)).div_ceil(100) as u64;
            let mut seen = 0;
            let index = buckets.iter().position(|&bucket| {
                seen += bucket;
                seen >= rank
            });
            match index {
                Some(index) if index + 1 < buckets.len() => Duration::from_nanos(self.upper(index)).min(max),
                _ => max,
            }
        };
        Some(Latency { count, p50: percentile(50), p95: percentile(95), p99: percentile(99), max })
    }
}

/// A latency on its way into a histogram, or into several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(super) nanos: u64,
    /// Its bucket where latencies are kept finely, as nearly everywhere.
    pub(super) fine: usize,
}

impl Sample {
    #[inline]
    pub(crate) const fn new(nanos: u64) -> Self {
        Self { nanos, fine: Resolution::FINE.index(nanos) }
    }

    pub(crate) fn of(duration: Duration) -> Self {
        Self::new(nanos(duration))
    }

    /// The latency in nanoseconds.
    #[inline]
    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }

    pub(crate) const fn duration(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }
}

/// The counts of one stripe.
pub(super) struct Buckets(Box<[AtomicU64]>);

impl Buckets {
    pub(super) fn new(resolution: Resolution) -> Self {
        Self((0..resolution.buckets()).map(|_| AtomicU64::new(0)).collect())
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&AtomicU64> {
        self.0.get(index)
    }

    pub(super) fn add_to(&self, sums: &mut [u64]) {
        sums.iter_mut().zip(&self.0).for_each(|(sum, bucket)| *sum += bucket.load(Ordering::Relaxed));
    }
}

/// Latency percentiles. Each is an upper bound, at most one histogram bucket (12.5 %, a factor of two for dynamic
/// names) above the true value and never above the maximum, which is exact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Latency {
    /// Latencies recorded.
    pub count: u64,
    /// Half of the calls took at most this long.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "p50_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub p50: Duration,
    /// 95 % of the calls took at most this long.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "p95_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub p95: Duration,
    /// 99 % of the calls took at most this long.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "p99_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub p99: Duration,
    /// The longest call.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "max_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_in_its_bucket_and_buckets_are_narrow() {
        for (resolution, percent) in [(Resolution::FINE, 13), (Resolution::COARSE, 100)] {
            let mut below = None;
            for index in 0..resolution.buckets() - 1 {
                let upper = resolution.upper(index);
                assert_eq!(resolution.index(upper), index);
                if let Some(below) = below {
                    assert_eq!(resolution.index(below + 1), index);
                    assert!((upper - below - 1) * 100 <= (below + 1) * percent, "bucket {index} is too wide");
                }
                below = Some(upper);
            }
            assert_eq!(resolution.index(u64::MAX), resolution.buckets() - 1);
        }
    }

    #[test]
    fn percentiles_are_the_upper_ends_of_their_buckets() {
        let resolution = Resolution::FINE;
        let mut buckets = vec![0; resolution.buckets()];
        (1..=100u64).for_each(|millis| buckets[resolution.index(millis * 1_000_000)] += 1);
        let latency = resolution.latency(&buckets, Duration::from_millis(100)).unwrap();
        let longest = Duration::from_millis(100);
        let median = Duration::from_nanos(resolution.upper(resolution.index(50_000_000)));
        assert_eq!((latency.count, latency.p50, latency.p95), (100, median, longest));
        assert_eq!((latency.p99, latency.max), (longest, longest));
    }

    #[test]
    fn a_histogram_has_as_many_buckets_as_its_resolution_says() {
        let buckets = [Resolution::FINE, Resolution::COARSE, Resolution::NONE].map(Resolution::buckets);
        assert_eq!(buckets, [257, 25, 0]);
    }

    #[test]
    fn the_last_bucket_has_no_upper_end() {
        let resolution = Resolution::FINE;
        let mut buckets = vec![0; resolution.buckets()];
        buckets[resolution.index(u64::MAX)] = 1;
        let latency = resolution.latency(&buckets, Duration::from_nanos(u64::MAX)).unwrap();
        assert_eq!((latency.p50, latency.p99), (latency.max, latency.max));
    }
}
