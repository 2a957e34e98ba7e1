//! Settings of a worker pool.

use crate::{
    error::InvalidSettings,
    name::Name,
    settings::reason,
    worker::{WorkerPool, threads},
};

/// Builds a [`WorkerPool`].
///
/// # Default
///
/// As many threads as there are processors; a queue of 100.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct WorkerPoolBuilder {
    name: Name,
    threads: usize,
    queue: usize,
}

/// Each thread costs a stack; a larger number is a mistake.
const MOST_THREADS: usize = 4_096;

impl WorkerPoolBuilder {
    pub(super) fn new(name: Name) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { name, threads, queue: 100 }
    }

    /// How many jobs run at once, each on a thread of its own; at least 1. Default: one for each processor.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How many more jobs may wait for a thread. With 0 a job is taken only if a thread is free. Default 100.
    pub const fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if a value is out of its range, or if the operating system starts no further thread.
    pub fn build(self) -> Result<WorkerPool, InvalidSettings> {
        if self.threads == 0 {
            return Err(InvalidSettings::new("threads", reason::AT_LEAST_ONE));
        }
        if self.threads > MOST_THREADS {
            return Err(InvalidSettings::new("threads", "must be at most 4,096"));
        }
        if self.queue > usize::MAX - MOST_THREADS {
            return Err(InvalidSettings::new("queue", "is larger than memory"));
        }
        threads::start(self.name, self.threads, self.queue)
            .map(WorkerPool)
            .map_err(|_| InvalidSettings::new("threads", "could not all be started by the operating system"))
    }
}
