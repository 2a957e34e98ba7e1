//! What a bulkhead counts.

use std::time::Duration;

use super::{Bulkhead, permits::Usage};
use crate::{
    name::Name,
    stats::{Latency, Stats},
    sync::stripe::Stripe,
};

/// How a bulkhead is and was used.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Which bulkhead.
    pub name: Name,
    /// How many calls may run at once.
    pub max: usize,
    /// How many calls may wait.
    pub queue: usize,
    /// How long they wait at most.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "wait_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub wait: Duration,
    /// Calls that run.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that could start at once.
    pub available: usize,
    /// Calls that got a permit.
    pub accepted: u64,
    /// Calls that were refused: at once, after waiting, or because the bulkhead was closed.
    pub refused: u64,
    /// Calls that went away while they waited.
    pub cancelled: u64,
    /// How long calls waited that got their permit from the queue; `None` before the first.
    pub waits: Option<Latency>,
}

impl BulkheadSnapshot {
    pub(super) fn of(bulkhead: &Bulkhead) -> Self {
        let Usage { in_flight, waiting, available } = bulkhead.permits.usage();
        let [accepted, refused, cancelled] = bulkhead.record.calls.counts();
        Self {
            name: bulkhead.label().clone(),
            max: bulkhead.max(),
            queue: bulkhead.queue(),
            wait: bulkhead.wait(),
            in_flight,
            waiting,
            available,
            accepted,
            refused,
            cancelled,
            waits: bulkhead.record.waits.latency(),
        }
    }
}

/// The counters. Every call counts, so these are striped; only who waits is timed, which needs no stripes.
pub(super) struct Record {
    calls: Stats<3>,
    waits: Stats<0>,
}

const ACCEPTED: usize = 0;
const REFUSED: usize = 1;
const CANCELLED: usize = 2;

impl Record {
    pub(super) fn striped() -> Self {
        Self { calls: Stats::counters(), waits: Stats::shared() }
    }

    pub(super) fn compact() -> Self {
        Self { calls: Stats::compact_counters(), waits: Stats::compact() }
    }

    #[inline]
    pub(super) fn accepted(&self, stripe: Stripe) {
        self.calls.count_in(stripe, ACCEPTED);
    }

    pub(super) fn refused(&self) {
        self.calls.count(REFUSED);
    }

    pub(super) fn cancelled(&self) {
        self.calls.count(CANCELLED);
    }

    pub(super) fn waited(&self, time: Duration) {
        self.waits.time(time);
    }

    pub(super) fn reset(&self) {
        self.calls.reset();
        self.waits.reset();
    }
}
