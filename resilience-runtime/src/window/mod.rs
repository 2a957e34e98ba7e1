//! Sliding windows of outcomes, as a circuit judges them.
//!
//! A window belongs to one generation of a circuit's state: what an older generation records is not counted, and
//! entering a new one empties the window by doing nothing but counting under another tag.

mod count;
mod time;

use std::sync::OnceLock;

pub(crate) use self::count::Kind;
use self::{count::CountWindow, time::TimeWindow};
use crate::{
    clock::{Instant, nanos},
    settings::WindowShape,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
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
    /// The generation counted last: an open circuit still shows what it tripped on.
    generation: AtomicU32,
    count: CountWindow,
    time: OnceLock<Box<TimeWindow>>,
}

impl Window {
    pub(crate) fn new(shape: WindowShape) -> Self {
        let window = Self {
            bucket: AtomicU64::new(0),
            generation: AtomicU32::new(0),
            count: CountWindow::new(),
            time: OnceLock::new(),
        };
        window.reshape(shape, 0);
        window
    }

    /// Gives the window another shape for a new generation. Only one thread does that at a time.
    pub(crate) fn reshape(&self, shape: WindowShape, generation: u32) {
        let bucket = match shape {
            WindowShape::Count(calls) => {
                self.count.resize(u32::try_from(calls).unwrap_or(u32::MAX));
                0
            }
            WindowShape::Time(length) => {
                self.time.get_or_init(Box::default);
                (nanos(length) / time::BUCKETS as u64).max(1)
            }
        };
        self.bucket.store(bucket, Ordering::Release);
        self.clear(generation);
    }

    /// Empties the window for a new generation, before that generation is announced.
    pub(crate) fn clear(&self, generation: u32) {
        self.generation.store(generation, Ordering::Release);
        self.count.clear(generation);
    }

    /// Records an outcome and returns the sums with it; `None` if the generation is over.
    #[inline]
    pub(crate) fn record(&self, generation: u32, kind: Kind, now: impl FnOnce() -> Instant) -> Option<Sums> {
        match self.time() {
            None => self.count.record(generation, kind),
            Some((time, bucket)) => Some(time.record(generation, kind, now().as_nanos() / bucket)),
        }
    }

    /// The sums as they are, or as they were when the last generation that was counted ended.
    pub(crate) fn sums(&self, now: Instant) -> Sums {
        let generation = self.generation.load(Ordering::Acquire);
        match self.time() {
            None => self.count.sums(generation),
            Some((time, bucket)) => time.sums(generation, now.as_nanos() / bucket),
        }
    }

    /// The outcomes in the window, oldest first; a time window keeps only their number.
    pub(crate) fn log(&self) -> Vec<Kind> {
        let generation = self.generation.load(Ordering::Acquire);
        match self.time() {
            None => self.count.log(generation),
            Some(_) => Vec::new(),
        }
    }

    #[inline]
    fn time(&self) -> Option<(&TimeWindow, u64)> {
        match self.bucket.load(Ordering::Acquire) {
            0 => None,
            bucket => self.time.get().map(|time| (&**time, bucket)),
        }
    }
}
