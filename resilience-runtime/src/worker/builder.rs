//! Settings of a worker pool.

use crate::{
    error::InvalidSettings,
    name::Name,
    settings::WorkerSettings,
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
    settings: WorkerSettings,
}

impl WorkerPoolBuilder {
    pub(super) const fn new(name: Name) -> Self {
        Self { name, settings: WorkerSettings::new() }
    }

    /// How many jobs run at once, each on a thread of its own; at least 1. Default: one for each processor.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.settings = self.settings.threads(threads);
        self
    }

    /// How many more jobs may wait for a thread. With 0 a job is taken only if a thread is free. Default 100.
    pub const fn queue(mut self, queue: usize) -> Self {
        self.settings = self.settings.queue(queue);
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if a value is out of its range, or if the operating system starts no further thread.
    pub fn build(self) -> Result<WorkerPool, InvalidSettings> {
        if let Some(problem) = self.settings.problem() {
            return Err(problem);
        }
        threads::start(self.name, self.settings)
            .map(WorkerPool)
            .map_err(|_| InvalidSettings::new("threads", "could not all be started by the operating system"))
    }
}
