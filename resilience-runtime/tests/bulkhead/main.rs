//! Bulkheads through their public interface.

mod cancellation;
mod concurrency;
mod fairness;
mod limits;
mod model;
mod resize;
mod settings;
mod shutdown;

use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Pending, pending},
    time::Duration,
};

use resilience_runtime::{Bulkhead, CallError, bulkhead::Acquire};
use tokio_test::task::{Spawn, spawn};

const SECOND: Duration = Duration::from_secs(1);

fn bulkhead(max: usize, queue: usize) -> Bulkhead {
    Bulkhead::builder("db").max(max).queue(queue).wait(SECOND).build().unwrap()
}

/// A caller that is in the queue.
#[track_caller]
fn waiter(bulkhead: &Bulkhead) -> Spawn<Acquire<'_>> {
    let mut waiter = spawn(bulkhead.acquire());
    assert!(waiter.poll().is_pending());
    waiter
}

/// In flight, waiting, available.
#[track_caller]
fn assert_usage(bulkhead: &Bulkhead, in_flight: usize, waiting: usize, available: usize) {
    let usage = (bulkhead.in_flight(), bulkhead.waiting(), bulkhead.available());
    assert_eq!(usage, (in_flight, waiting, available), "in flight, waiting, available");
}

/// Accepted, refused, cancelled.
#[track_caller]
fn assert_counts(bulkhead: &Bulkhead, accepted: u64, refused: u64, cancelled: u64) {
    let snapshot = bulkhead.snapshot();
    let counts = (snapshot.accepted, snapshot.refused, snapshot.cancelled);
    assert_eq!(counts, (accepted, refused, cancelled), "accepted, refused, cancelled");
}

/// A body that never ends.
fn endless() -> Pending<Result<(), Infallible>> {
    pending()
}

fn refusal<T: Debug>(result: Result<T, CallError<Infallible>>) -> String {
    match result.unwrap_err() {
        CallError::Refused(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}
