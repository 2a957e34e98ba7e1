//! Bulkheads: at most so many calls at once, a bounded queue for the rest.
//!
//! A dependency that slows down ties up whatever calls it: tasks, memory, connections. A bulkhead bounds what one
//! dependency can take with it. It is a counting semaphore with a short, honest queue: whoever cannot be served
//! soon is told so at once.
//!
//! * [`Bulkhead`] with [`try_acquire`](Bulkhead::try_acquire), [`acquire`](Bulkhead::acquire) and
//!   [`run`](Bulkhead::run);
//! * permits are returned when they are dropped: [`BulkheadPermit`], [`OwnedBulkheadPermit`];
//! * [`BulkheadSnapshot`] says how it is used.

mod acquire;
mod builder;
#[cfg(all(test, resilience_loom))]
mod models;
mod permit;
mod permits;
mod place;
mod run;
mod shell;
mod snapshot;
mod state;
mod stripes;
#[cfg(all(test, not(resilience_loom)))]
mod tests;

pub(crate) use self::place::{Place, Refused};
pub use self::{
    acquire::Acquire,
    builder::BulkheadBuilder,
    permit::{BulkheadPermit, OwnedBulkheadPermit},
    run::Run,
    shell::Bulkhead,
    snapshot::BulkheadSnapshot,
};
