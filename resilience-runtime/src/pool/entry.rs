//! A connection with its dates.

use std::time::Duration;

use crate::clock::Instant;

/// A connection that the pool knows.
#[derive(Debug)]
pub(super) struct Entry<C> {
    pub(super) connection: C,
    pub(super) id: u64,
    /// When it was created. Nothing ever changes that.
    pub(super) created: Instant,
    /// When its life ends, jitter included.
    pub(super) expires: Instant,
    /// Since when it has been idle or in use.
    pub(super) since: Instant,
    pub(super) uses: u64,
}

impl<C> Entry<C> {
    pub(super) const fn info(&self, now: Instant) -> ConnectionInfo {
        ConnectionInfo { id: self.id, age: now.saturating_since(self.created), uses: self.uses }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires <= now
    }
}

/// What the pool knows of one connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Counts the pool's connections from 0 in the order of their creation.
    pub id: u64,
    /// The time since it was created.
    pub age: Duration,
    /// How often it has been handed out.
    pub uses: u64,
}

/// Why the pool gave up a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CloseReason {
    /// It came back beyond use: [`Manager::is_broken`](crate::Manager::is_broken) said so.
    Broken,
    /// Whoever was about to get it gave up while it was being checked.
    Cancelled,
    /// Its user took it out of the pool. It is the only reason for which `close` is not called.
    Detached,
    /// Its user said so, or left it while it was marked as suspect.
    Discarded,
    /// Its lifetime was over.
    Expired,
    /// It had been idle for too long.
    IdleTimeout,
    /// A callback panicked over it.
    Panicked,
    /// The pool was closed or drained.
    PoolClosed,
    /// A hook said no.
    Rejected,
    /// The pool had become smaller.
    Resized,
    /// Its check failed, or did not end in time.
    Unhealthy,
}

impl CloseReason {
    pub(super) const COUNT: usize = Self::ALL.len();

    /// In the order of their declaration.
    pub(super) const ALL: [Self; 11] = [
        Self::Broken,
        Self::Cancelled,
        Self::Detached,
        Self::Discarded,
        Self::Expired,
        Self::IdleTimeout,
        Self::Panicked,
        Self::PoolClosed,
        Self::Rejected,
        Self::Resized,
        Self::Unhealthy,
    ];
}
