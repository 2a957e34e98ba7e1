//! The handle.

use std::{pin::pin, sync::Arc, time::Duration};

use super::{
    WorkerPoolBuilder, WorkerRun, WorkerSnapshot,
    threads::{CANCELLED, COMPLETED, PANICKED, Phase, REFUSED, Shared},
};
use crate::{clock, name::Name, settings::WorkerSettings};

/// Named threads with a bounded queue, for work that blocks or computes.
///
/// A job holds its thread until it ends, whether or not its caller still waits: a thread cannot be stopped from
/// outside, and a pool that counted the slot as free would start more than it has threads. Such jobs are counted
/// as [`abandoned`](WorkerSnapshot::abandoned). A job whose caller gives up while it is queued never starts.
///
/// Dropping the pool ends it: queued jobs are refused, running ones come to their end and their callers get the
/// results, and each thread goes once it is idle. The drop itself does not block.
///
/// # Examples
///
/// ```
/// use resilience_runtime::WorkerPool;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = WorkerPool::builder("cpu").threads(2).queue(10).build()?;
/// let sum = pool.run(|| (1..=1_000u64).sum::<u64>()).await?;
/// assert_eq!(sum, 500_500);
/// assert_eq!((pool.available_capacity(), pool.stats().completed), (12, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WorkerPool(pub(super) Arc<Shared>);

impl WorkerPool {
    /// Settings of a worker pool named `name`. Its threads are called `name-0`, `name-1` and so on.
    pub fn builder(name: impl Into<Name>) -> WorkerPoolBuilder {
        WorkerPoolBuilder::new(name.into())
    }

    /// A pool that an attribute declares: each thread starts when a job finds no other free.
    pub(crate) fn declared(name: Name, settings: WorkerSettings) -> Self {
        Self(Shared::new(name, settings))
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `work` on one of the pool's threads. It is queued when the future is first polled.
    ///
    /// The future does not need a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`WorkerError::Refused`](crate::WorkerError::Refused) with `WorkersBusy` if every thread is busy and the
    /// queue is full, with `ShutDown` if the pool takes no jobs any more;
    /// [`WorkerError::Panicked`](crate::WorkerError::Panicked) if `work` panicked, which concerns this caller only.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while the job is queued, the job is dropped and never starts. Once it runs it runs
    /// to its end, and its result is dropped on the thread.
    ///
    /// # Panics
    ///
    /// If the future is polled again after it has given its answer.
    pub fn run<F, T>(&self, work: F) -> WorkerRun<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        WorkerRun::new(Arc::clone(&self.0), work)
    }

    /// How many further jobs would be taken at this moment: free threads and free places in the queue.
    #[must_use]
    pub fn available_capacity(&self) -> usize {
        self.snapshot_of_queue().available
    }

    /// The pool at this moment.
    #[must_use]
    pub fn stats(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            completed: self.0.waits.get(COMPLETED),
            panicked: self.0.waits.get(PANICKED),
            refused: self.0.waits.get(REFUSED),
            cancelled: self.0.waits.get(CANCELLED),
            wait: self.0.waits.latency(),
            run: self.0.runs.latency(),
            ..self.snapshot_of_queue()
        }
    }

    /// Starts all counters and latencies at zero again. Jobs are not touched.
    pub fn reset(&self) {
        self.0.waits.reset();
        self.0.runs.reset();
    }

    /// Takes no new jobs, and waits at most `wait` for those it has. What is still queued then is refused, and
    /// what still runs is left alone. Answers how many jobs that are; 0 means that all of them ended.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the pool goes on draining: it takes no new jobs and finishes those it has.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if there are jobs to wait for.
    pub async fn shutdown(&self, wait: Duration) -> usize {
        self.0.drain();
        let until = clock::now().saturating_add(wait);
        loop {
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if self.0.state.lock().has_ended() || clock::now() >= until {
                break;
            }
            // Too late is no mistake here: what is left is counted below.
            let _ = tokio::time::timeout_at(clock::timer(until), ended).await;
        }
        self.0.close();
        self.0.state.lock().running
    }

    fn snapshot_of_queue(&self) -> WorkerSnapshot {
        let Shared { threads, queue, .. } = *self.0;
        let state = self.0.state.lock();
        let (running, queued, abandoned) = (state.running, state.queued.len(), state.abandoned);
        let open = state.phase == Phase::Open;
        drop(state);
        WorkerSnapshot {
            name: self.0.name.clone(),
            threads,
            queue,
            running,
            queued,
            abandoned,
            available: if open { (threads + queue).saturating_sub(running + queued) } else { 0 },
            shut_down: !open,
            completed: 0,
            panicked: 0,
            refused: 0,
            cancelled: 0,
            wait: None,
            run: None,
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.0.close();
    }
}
