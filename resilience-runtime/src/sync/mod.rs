//! Locks that ignore poisoning, atomics that loom can replace, and the per-thread stripes of hot counters.
//!
//! No user code ever runs under a lock of this library, so a poisoned lock can only mean that a thread was torn
//! down mid-way through plain arithmetic; refusing every later call because of it would turn one fault into many.

mod lock;
pub(crate) mod stripe;

pub(crate) use self::lock::{Condvar, Mutex, RwLock};

#[cfg(not(resilience_loom))]
pub(crate) use std::sync::atomic;

#[cfg(resilience_loom)]
pub(crate) use loom::sync::atomic;
