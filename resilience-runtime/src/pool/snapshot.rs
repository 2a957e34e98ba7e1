//! What a connection pool tells about itself.

use super::{
    CloseReason, Manager,
    shared::{Shared, count},
    state::{Phase, Usage},
};
use crate::{name::Name, stats::Latency};

/// A connection pool at one moment. The sizes are of one moment; the counters may be a few calls ahead of them.
///
/// The counters begin with the pool, or with its last [`reset`](super::ConnectionPool::reset). At rest, every call is
/// counted once in `acquired`, `refused`, `failed` or `cancelled`, and in a pool that was never reset `created` is
/// `idle + active + closed.total()`.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The pool's name.
    pub name: Name,
    /// Connections that may exist.
    pub max_size: usize,
    /// Connections that lie ready.
    pub idle: usize,
    /// Connections in use or being checked.
    pub active: usize,
    /// Connections that are being created.
    pub creating: usize,
    /// Callers that wait.
    pub waiting: usize,
    /// `active` as a share of `max_size`. Above 1 only while the pool shrinks.
    pub utilisation: f64,
    /// The pool lets nobody in any more.
    pub closed_down: bool,
    /// Calls that got a connection.
    pub acquired: u64,
    /// Calls that were refused: the pool exhausted, closed or too slow, its circuit open.
    pub refused: u64,
    /// Calls that ended with the manager's error or in its panic.
    pub failed: u64,
    /// Calls whose caller gave up.
    pub cancelled: u64,
    /// Connections that were created.
    pub created: u64,
    /// Creations that failed, panicked or took too long.
    pub creations_failed: u64,
    /// Creations whose caller gave up.
    pub creations_cancelled: u64,
    /// Connections that were given up, by reason.
    pub closed: ClosedConnections,
    /// How long callers waited for a connection, in all.
    pub wait: Option<Latency>,
    /// How long connections were in use.
    #[cfg_attr(feature = "serde", serde(rename = "use"))]
    pub in_use: Option<Latency>,
}

impl PoolSnapshot {
    /// Connections that exist.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.idle + self.active
    }
}

/// How many connections were given up for each [`CloseReason`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ClosedConnections([u64; CloseReason::COUNT]);

impl ClosedConnections {
    /// Connections given up for `reason`.
    #[must_use]
    pub const fn of(&self, reason: CloseReason) -> u64 {
        self.0[reason as usize]
    }

    /// All connections given up.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons there were, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (CloseReason, u64)> + '_ {
        CloseReason::ALL.into_iter().map(|reason| (reason, self.of(reason))).filter(|(_, count)| *count > 0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ClosedConnections {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<M: Manager> Shared<M> {
    pub(super) fn snapshot(&self) -> PoolSnapshot {
        let Usage { max_size, idle, active, creating, waiting, phase } = self.state.lock().usage();
        PoolSnapshot {
            name: self.name.clone(),
            max_size,
            idle,
            active,
            creating,
            waiting,
            utilisation: active as f64 / max_size as f64,
            closed_down: phase != Phase::Open,
            acquired: self.calls.get(count::ACQUIRED),
            refused: self.calls.get(count::REFUSED),
            failed: self.calls.get(count::FAILED),
            cancelled: self.calls.get(count::CANCELLED),
            created: self.calls.get(count::CREATED),
            creations_failed: self.calls.get(count::CREATIONS_FAILED),
            creations_cancelled: self.calls.get(count::CREATIONS_CANCELLED),
            closed: ClosedConnections(self.closed.counts()),
            wait: self.calls.latency(),
            in_use: self.closed.latency(),
        }
    }
}
