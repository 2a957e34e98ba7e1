//! Settings of a worker pool.

use super::{checked, reason};
use crate::error::InvalidSettings;

/// Settings of a worker pool, buildable in constants. The setters are named as the attribute's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "settings do nothing until they are given to a builder"]
pub struct WorkerSettings {
    /// `None`: one for each processor.
    pub(crate) threads: Option<usize>,
    pub(crate) queue: usize,
}

impl WorkerSettings {
    /// Each thread costs a stack; a larger number is a mistake.
    pub const MOST_THREADS: usize = 4_096;

    /// A thread for each processor, and a queue of 100.
    pub const fn new() -> Self {
        Self { threads: None, queue: 100 }
    }

    /// How many jobs run at once, each on a thread of its own. Default: one for each processor.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How many more jobs may wait for a thread. Default 100.
    pub const fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    checked!();

    /// The first thing wrong with these settings.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        if let Some(threads) = self.threads {
            if threads == 0 {
                return Some(InvalidSettings::new("threads", reason::AT_LEAST_ONE));
            }
            if threads > Self::MOST_THREADS {
                return Some(InvalidSettings::new("threads", "must be at most 4,096"));
            }
        }
        if self.queue > usize::MAX - Self::MOST_THREADS {
            return Some(InvalidSettings::new("queue", "is larger than memory"));
        }
        None
    }

    /// The number of threads on this machine.
    pub(crate) fn thread_count(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.unwrap_or_else(processors)
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self::new()
    }
}
