//! Locks that ignore poisoning, atomics that loom can replace, and the per-thread stripes of hot counters.
//!
//! No user code ever runs under a lock of this library, so a poisoned lock can only mean that a thread was torn
//! down mid-way through plain arithmetic; refusing every later call because of it would turn one fault into many.

mod lock;
pub(crate) mod stripe;

pub(crate) use self::lock::{Condvar, Mutex};

#[cfg(not(resilience_loom))]
pub(crate) use std::sync::atomic;

#[cfg(resilience_loom)]
pub(crate) use loom::sync::atomic;

/// What the single total order of sequentially consistent accesses promises, said in the way loom understands it:
/// loom knows that order between fences only. Stands between a write and a read of another word that a counterpart
/// makes the other way round; a real build needs nothing here, the accesses themselves are sequentially consistent.
#[inline]
pub(crate) fn total_order() {
    #[cfg(resilience_loom)]
    atomic::fence(atomic::Ordering::SeqCst);
}
