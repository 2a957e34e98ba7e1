//! Sliding windows of outcomes, as a circuit judges them.
//!
//! A window belongs to one generation of a circuit's state: an outcome of another generation is not counted. It is
//! emptied for a new generation *before* that generation is announced, so whoever is let through by it finds the
//! window empty, and whoever still reports to the old one finds that it is gone.

mod count;
#[cfg(all(test, resilience_loom))]
mod models;
mod time;

use std::sync::OnceLock;

pub(crate) use self::count::Kind;
use self::{count::CountWindow, time::TimeWindow};
use crate::{
    clock::{Instant, nanos},
    settings::WindowShape,
    sync::atomic::{AtomicU64, Ordering},
};

/// The sums of a window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Sums {
    pub(crate) calls: u32,
    pub(crate) failures: u32,
    pub(crate) slow: u32,
}

/// A count window or a time window; which of them may change at run time.
#[derive(Debug)]
pub(crate) struct Window {
    /// Nanoseconds of a bucket of the time window, or zero for the count window.
    bucket: AtomicU64,
    /// From when the time window's buckets are counted: from its first outcome, so that it does not matter when the
    /// clock began. Nanoseconds, or zero before that.
    origin: AtomicU64,
    count: CountWindow,
    time: OnceLock<Box<TimeWindow>>,
}

impl Window {
    pub(crate) fn new(shape: WindowShape) -> Self {
        let window = Self {
            bucket: AtomicU64::new(0),
            origin: AtomicU64::new(0),
            count: CountWindow::new(),
            time: OnceLock::new(),
        };
        window.reshape(shape, 0);
        window
    }

    /// Gives the window another shape and empties it for a new generation. Only one thread does that at a time.
    pub(crate) fn reshape(&self, shape: WindowShape, generation: u32) {
        let bucket = match shape {
            WindowShape::Count(_) => 0,
            WindowShape::Time(length) => {
                self.time.get_or_init(Box::default);
                (nanos(length) / time::BUCKETS).max(1)
            }
        };
        // Emptied first: an outcome of the old generation that meets the new shape must not be counted in it.
        self.clear(generation);
        if let WindowShape::Count(calls) = shape {
            self.count.resize(u32::try_from(calls).unwrap_or(u32::MAX));
        }
        self.bucket.store(bucket, Ordering::Release);
    }

    /// Empties the window for a new generation, before that generation is announced. Only one thread does that at a
    /// time.
    pub(crate) fn clear(&self, generation: u32) {
        self.count.clear(generation);
        if let Some(time) = self.time.get() {
            time.clear(generation);
            self.origin.store(0, Ordering::Release);
        }
    }

    /// Records an outcome and returns the sums with it; `None` if the generation is over.
    #[inline]
    pub(crate) fn record(&self, generation: u32, kind: Kind, now: impl FnOnce() -> Instant) -> Option<Sums> {
        match self.time() {
            None => self.count.record(generation, kind),
            Some((time, bucket)) => {
                let now = now();
                time.record(generation, kind, now.nanos_since(self.begun(now)) / bucket)
            }
        }
    }

    /// Whether a quick success changes nothing: the window is full of such.
    #[inline]
    pub(crate) fn is_clean(&self, generation: u32) -> bool {
        self.bucket.load(Ordering::Acquire) == 0 && self.count.is_clean(generation)
    }

    /// The sums of the generation the window belongs to.
    pub(crate) fn sums(&self, now: Instant) -> Sums {
        match self.time() {
            None => self.count.sums(),
            Some((time, bucket)) => {
                let origin = self.origin.load(Ordering::Acquire);
                time.sums(if origin == 0 { 0 } else { now.as_nanos().saturating_sub(origin) / bucket })
            }
        }
    }

    /// The outcomes in the window, oldest first; a time window keeps only their number.
    pub(crate) fn log(&self) -> Vec<Kind> {
        match self.time() {
            None => self.count.log(),
            Some(_) => Vec::new(),
        }
    }

    /// Makes room for what would make it at its first failure.
    pub(crate) fn make_slots(&self) {
        self.count.make_slots();
    }

    /// Slots that were made.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.count.slots()
    }

    /// From when buckets are counted, which is `now` if this is the first outcome.
    fn begun(&self, now: Instant) -> Instant {
        let mut origin = self.origin.load(Ordering::Acquire);
        if origin == 0 {
            let first = now.as_nanos().max(1);
            let set = self.origin.compare_exchange(0, first, Ordering::AcqRel, Ordering::Acquire);
            origin = set.map_or_else(|others| others, |_| first);
        }
        Instant::from_nanos(origin)
    }

    #[inline]
    fn time(&self) -> Option<(&TimeWindow, u64)> {
        match self.bucket.load(Ordering::Acquire) {
            0 => None,
            bucket => self.time.get().map(|time| (&**time, bucket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAILURE: Kind = Kind { failure: true, slow: false };
    const ONE: Sums = Sums { calls: 1, failures: 1, slow: 0 };

    const fn seconds(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_window_of_another_shape_starts_empty_and_slides_in_its_own_units() {
        let time = |millis| WindowShape::Time(Duration::from_millis(millis));
        let window = Window::new(WindowShape::Count(3));
        let shapes = [time(10), time(100_000), WindowShape::Count(9), time(1), time(10_000)];
        for (generation, shape) in (1..).zip(shapes) {
            let now = seconds(u64::from(generation) * 1_000);
            window.reshape(shape, generation);
            assert_eq!(window.sums(now), Sums::default(), "{shape:?}");
            assert_eq!(window.record(generation - 1, FAILURE, || now), None, "{shape:?}");
            assert_eq!(window.record(generation, FAILURE, || now), Some(ONE), "{shape:?}");
            if let WindowShape::Time(length) = shape {
                assert_eq!(window.sums(now.saturating_add(length)), Sums::default(), "{shape:?}");
            }
        }
    }

    #[test]
    fn buckets_are_counted_from_the_first_outcome_whenever_the_clock_began() {
        for phase in [0, 1, 333_333_333, 999_999_999] {
            let window = Window::new(WindowShape::Time(Duration::from_secs(10)));
            let after = |millis| {
                seconds(1_000).saturating_add(Duration::from_nanos(phase) + Duration::from_millis(millis))
            };
            window.record(0, FAILURE, || after(0));
            window.record(0, FAILURE, || after(1_000));
            let calls =
                [0, 1_500, 9_999, 10_000, 10_999, 11_000].map(|millis| window.sums(after(millis)).calls);
            assert_eq!(calls, [2, 2, 2, 1, 1, 0], "{phase}");
        }
    }

    #[test]
    fn a_window_stays_readable_until_it_is_cleared() {
        let window = Window::new(WindowShape::Count(3));
        window.record(0, FAILURE, || seconds(1));
        assert_eq!((window.sums(seconds(1)), window.log()), (ONE, vec![FAILURE]));
        window.clear(1);
        assert_eq!((window.sums(seconds(2)), window.log()), (Sums::default(), vec![]));
    }
}
