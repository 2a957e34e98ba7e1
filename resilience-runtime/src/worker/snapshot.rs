//! What a worker pool tells about itself.

use crate::{name::Name, stats::Latency};

/// A worker pool at one moment. The first numbers are of one moment; the counters may be a few jobs ahead of them.
///
/// Every job that came is `refused`, `cancelled`, `completed`, `panicked`, `queued` or `running`; the counters among
/// these begin with the pool, or with its last [`reset`](super::WorkerPool::reset).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerSnapshot {
    /// The pool's name.
    pub name: Name,
    /// Jobs that may run at once.
    pub threads: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// Jobs that run, abandoned ones included.
    pub running: usize,
    /// Jobs that wait.
    pub queued: usize,
    /// Running jobs whose caller gave up. Each holds its thread until it ends by itself.
    pub abandoned: usize,
    /// Further jobs that would be taken at this moment.
    pub available: usize,
    /// The pool takes no jobs any more.
    pub shut_down: bool,
    /// Jobs that ended with a result, whether or not somebody still wanted it.
    pub completed: u64,
    /// Jobs that panicked.
    pub panicked: u64,
    /// Jobs that were never taken, or thrown out of the queue by a shutdown.
    pub refused: u64,
    /// Jobs whose caller gave up before they started; they never ran.
    pub cancelled: u64,
    /// How long jobs waited for a thread.
    pub wait: Option<Latency>,
    /// How long jobs ran.
    pub run: Option<Latency>,
}

impl WorkerSnapshot {
    /// The share of threads that are busy, from 0 to 1.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.running as f64 / self.threads as f64
    }
}
