//! Statistics of named timeouts.
//!
//! A named timeout is made wherever it is needed, often anew for each call, and is still to show up under its name in
//! health. So the counts live in the registry, which is on a higher floor, and are found through [`Directory`].

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Latency, Stats};
use crate::{clock::nanos, name::Name};

/// Where the statistics of named timeouts are kept: a higher floor submits one (`inventory::submit!`).
///
/// The function returns the entry of a name in the registry that is current on this thread, made when it is first
/// asked for. It is for the registry to bound the names, by an entry that further ones share.
pub(crate) struct Directory(pub(crate) fn(&str) -> Arc<TimeoutStats>);

inventory::collect!(Directory);

/// The statistics of the timeout `name`; of this one alone if nobody keeps a directory.
pub(crate) fn of_timeout(name: &str) -> Arc<TimeoutStats> {
    match inventory::iter::<Directory>.into_iter().next() {
        Some(Directory(find)) => find(name),
        None => Arc::new(TimeoutStats::new(name.into())),
    }
}

/// What the calls under one name came to.
pub(crate) struct TimeoutStats {
    name: Name,
    limit: AtomicU64,
    stats: Stats<3>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TimeoutOutcome {
    Cancelled,
    Completed,
    TimedOut,
}

impl TimeoutStats {
    pub(crate) fn new(name: Name) -> Self {
        Self { name, limit: AtomicU64::new(0), stats: Stats::compact() }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The limit shown is that of the timeout made last.
    pub(crate) fn show_limit(&self, limit: Duration) {
        self.limit.store(nanos(limit), Ordering::Relaxed);
    }

    pub(crate) fn record(&self, outcome: TimeoutOutcome, took: Duration) {
        self.stats.count(outcome as usize);
        if outcome != TimeoutOutcome::Cancelled {
            self.stats.time(took);
        }
    }

    pub(crate) fn snapshot(&self) -> TimeoutSnapshot {
        TimeoutSnapshot {
            name: self.name.clone(),
            limit: Duration::from_nanos(self.limit.load(Ordering::Relaxed)),
            completed: self.stats.get(TimeoutOutcome::Completed as usize),
            timed_out: self.stats.get(TimeoutOutcome::TimedOut as usize),
            cancelled: self.stats.get(TimeoutOutcome::Cancelled as usize),
            latency: self.stats.latency(),
        }
    }

    pub(crate) fn reset(&self) {
        self.stats.reset();
    }
}

impl fmt::Debug for TimeoutStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutStats").field("name", &self.name).finish_non_exhaustive()
    }
}

/// State and counters of a named timeout at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TimeoutSnapshot {
    /// Which timeout.
    pub name: Name,
    /// The limit; the last one, if several were given under this name.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "limit_ms", serialize_with = "crate::clock::serialize_millis")
    )]
    pub limit: Duration,
    /// Calls that ended within the limit, with whatever result.
    pub completed: u64,
    /// Calls stopped at the limit.
    pub timed_out: u64,
    /// Calls dropped before either.
    pub cancelled: u64,
    /// How long the calls took that were not cancelled; `None` before the first.
    pub latency: Option<Latency>,
}
