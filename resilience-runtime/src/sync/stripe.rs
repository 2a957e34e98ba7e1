//! Which stripe of a striped structure the current thread uses.
//!
//! A counter that every call writes becomes the bottleneck of the whole library once two cores share its cache
//! line. Hot counters are therefore split into stripes. The first few threads own a stripe each and need not even
//! a locked instruction to count in it; all further threads share the last one. A thread's stripe returns to the
//! pool when the thread ends; the bitmap's acquire and release order the old owner's stores before the new one's.

use std::{
    cell::Cell,
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// At most this many threads own a stripe: a static circuit's memory is bounded by it.
const MOST: usize = 8;

/// Not asked yet.
const UNKNOWN: u8 = u8::MAX;

/// Stripes that have an owner, one bit each.
static TAKEN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The thread's stripe. It has no destructor, so it can be read while the thread is torn down.
    static INDEX: Cell<u8> = const { Cell::new(UNKNOWN) };
    /// Gives the stripe back when the thread ends.
    static OWNED: Cell<Option<Owned>> = const { Cell::new(None) };
}

/// The stripe of the current thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stripe {
    /// Below [`count`].
    pub(crate) index: usize,
    /// No other thread writes to this stripe.
    pub(crate) exclusive: bool,
}

/// How many stripes there are, the shared last one included: one a core, two for a thread that blocks on the
/// runtime and one that drives it, and the shared one.
pub(crate) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        (cores + 2).min(MOST) + 1
    })
}

/// The current thread's stripe.
#[inline]
pub(crate) fn current() -> Stripe {
    let index = INDEX.get();
    if index & SHARED == 0 {
        return Stripe { index: usize::from(index), exclusive: true };
    }
    if index == UNKNOWN {
        return claim();
    }
    Stripe { index: usize::from(index & !SHARED), exclusive: false }
}

/// Marks the index of the stripe that has no owner.
const SHARED: u8 = 0x80;

#[cold]
#[inline(never)]
fn claim() -> Stripe {
    let shared = count() - 1;
    let mut taken = TAKEN.load(Ordering::Relaxed);
    let index = loop {
        let free = taken.trailing_ones();
        if free as usize >= shared {
            break shared as u8 | SHARED;
        }
        match TAKEN.compare_exchange_weak(taken, taken | 1 << free, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                let owned = Owned(free as u8);
                // A thread that is already being torn down drops `owned` here, and with it the claim.
                if OWNED.try_with(|cell| cell.set(Some(owned))).is_err() {
                    break shared as u8 | SHARED;
                }
                break free as u8;
            }
            Err(now) => taken = now,
        }
    };
    INDEX.set(index);
    current()
}

struct Owned(u8);

impl Drop for Owned {
    fn drop(&mut self) {
        INDEX.set((count() - 1) as u8 | SHARED);
        TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Barrier};

    use super::*;

    #[test]
    fn no_two_living_threads_own_one_stripe() {
        let barrier = Barrier::new(32);
        let stripes: Vec<Stripe> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32)
                .map(|_| {
                    scope.spawn(|| {
                        let stripe = current();
                        barrier.wait();
                        stripe
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let owned: Vec<_> = stripes.iter().filter(|s| s.exclusive).map(|s| s.index).collect();
        assert_eq!(owned.iter().collect::<HashSet<_>>().len(), owned.len());
        assert!(stripes.iter().all(|s| s.index < count() && s.exclusive == (s.index < count() - 1)));
    }
}
