//! A named pool of threads for work that blocks or computes.
//!
//! An async runtime stalls when a task blocks its thread, and tokio's own blocking pool takes everything that is
//! thrown at it: five hundred threads, then a queue without an end. Here the threads are few and named, the queue
//! is bounded, and what is refused is refused at once.

mod builder;
mod error;
mod job;
mod pool;
mod snapshot;
mod threads;

#[cfg(test)]
mod tests;

pub use self::{
    builder::WorkerPoolBuilder,
    error::{JobPanic, WorkerError},
    job::WorkerRun,
    pool::WorkerPool,
    snapshot::WorkerSnapshot,
};
