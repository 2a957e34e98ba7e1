//! A named pool of connections.
//!
//! Pools leak where nobody looks: a caller that is cancelled while its connection is being checked, a `connect` that
//! panics, a waiter that is woken after it has left. Here every slot is owned by a value whose destructor gives it
//! back, a connection that comes back goes straight into the hands of whoever has waited longest, and one that was
//! caught in an unknown state is closed.
//!
//! # Implementation details
//!
//! All decisions are plain functions of (`State`, now) under one short lock, which is never held
//! across an await, a callback of the user's or a waker: those run on what a decision returned, after the lock is
//! released.

mod acquire;
#[cfg(any(feature = "bb8", feature = "deadpool"))]
mod adapters;
mod any;
mod builder;
mod connection_pool;
mod entry;
mod error;
mod guard;
mod hooks;
mod maintain;
mod manager;
mod pooled;
mod shared;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod wait;

#[cfg(feature = "bb8")]
pub use self::adapters::Bb8Manager;
#[cfg(feature = "deadpool")]
pub use self::adapters::{DeadpoolConnection, DeadpoolManager};
pub use self::{
    any::AnyPool,
    builder::{ConnectionPoolBuilder, HealthCheck},
    connection_pool::ConnectionPool,
    entry::{CloseReason, ConnectionInfo},
    error::PoolError,
    manager::{Manager, Poolable},
    pooled::Pooled,
    snapshot::{ClosedConnections, PoolSnapshot},
};
