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

/// The index of every thread that owns no stripe: above all others.
const SHARED: u8 = u8::MAX - 1;

/// Stripes that have an owner, one bit each.
static TAKEN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The thread's stripe. It has no destructor, so it can be read while the thread is torn down.
    static INDEX: Cell<u8> = const { Cell::new(UNKNOWN) };
    /// Gives the stripe back when the thread ends.
    static OWNED: Cell<Option<Owned>> = const { Cell::new(None) };
}

/// The stripe of the current thread; a number beyond all owned ones if it shares the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stripe(pub(crate) usize);

/// One `T` for each thread that owns a stripe, and one that all other threads share.
#[derive(Debug)]
pub(crate) struct Striped<T> {
    owned: Box<[T]>,
    shared: Box<T>,
}

/// A thread's part of something striped.
pub(crate) enum Part<'a, T> {
    /// No other thread writes to it.
    Own(&'a T),
    Shared(&'a T),
}

impl<T> Striped<T> {
    /// `stripes` of them: [`count`], or one alone for things that exist by the thousand or are rarely written to.
    pub(crate) fn new(stripes: usize, mut make: impl FnMut() -> T) -> Self {
        Self { owned: (1..stripes).map(|_| make()).collect(), shared: Box::new(make()) }
    }

    /// The part of a thread that has this stripe.
    #[inline]
    pub(crate) fn part(&self, stripe: Stripe) -> Part<'_, T> {
        match self.owned.get(stripe.0) {
            Some(own) => Part::Own(own),
            None => Part::Shared(&self.shared),
        }
    }

    /// The same for those who write in a way that does not care whose it is.
    #[inline]
    pub(crate) fn get(&self, stripe: Stripe) -> &T {
        self.owned.get(stripe.0).unwrap_or(&self.shared)
    }

    /// All parts, beginning with that of this stripe.
    pub(crate) fn iter_from(&self, stripe: Stripe) -> impl Iterator<Item = &T> {
        let (before, from) = self.owned.split_at(stripe.0.min(self.owned.len()));
        from.iter().chain([&*self.shared]).chain(before)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(Stripe(0))
    }

    pub(crate) const fn len(&self) -> usize {
        self.owned.len() + 1
    }
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
    match INDEX.get() {
        UNKNOWN => claim(),
        index => Stripe(usize::from(index)),
    }
}

#[cold]
#[inline(never)]
fn claim() -> Stripe {
    let owned = count() - 1;
    let mut taken = TAKEN.load(Ordering::Relaxed);
    let index = loop {
        let free = taken.trailing_ones();
        if free as usize >= owned {
            break SHARED;
        }
        match TAKEN.compare_exchange_weak(taken, taken | 1 << free, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                let owner = Owned(free as u8);
                // A thread that is already being torn down drops `owner` here, and with it the claim.
                break match OWNED.try_with(|cell| cell.set(Some(owner))) {
                    Ok(()) => free as u8,
                    Err(_) => SHARED,
                };
            }
            Err(now) => taken = now,
        }
    };
    INDEX.set(index);
    Stripe(usize::from(index))
}

struct Owned(u8);

impl Drop for Owned {
    fn drop(&mut self) {
        INDEX.set(SHARED);
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
        let striped = Striped::new(count(), || ());
        let owned: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32)
                .map(|_| {
                    scope.spawn(|| {
                        let stripe = current();
                        barrier.wait();
                        matches!(striped.part(stripe), Part::Own(())).then_some(stripe.0)
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(owned.iter().collect::<HashSet<_>>().len(), owned.len());
        assert!(owned.iter().all(|&index| index + 1 < count()));
    }

    #[test]
    fn a_thread_that_ends_leaves_its_own_stripe_to_the_next_and_no_other() {
        let own = || Some(current().0).filter(|&stripe| stripe != usize::from(SHARED));
        let mut heirs = 0;
        // Other tests' threads may own all stripes for a while.
        for _ in 0..10_000 {
            heirs += std::thread::spawn(move || {
                let held = own()?;
                let next = || std::thread::spawn(own).join().unwrap();
                let heirs: Vec<usize> = (0..count()).filter_map(|_| next()).collect();
                assert!(!heirs.contains(&held), "{held} of {heirs:?} is still owned");
                Some(heirs.len())
            })
            .join()
            .unwrap()
            .unwrap_or(0);
            if heirs > count() {
                return;
            }
        }
        panic!("{heirs} of {} stripes were ever owned", count());
    }

    #[test]
    fn the_last_part_is_shared_and_every_search_finds_all() {
        let mut number = 0;
        let striped = Striped::new(3, || {
            number += 1;
            number
        });
        let owned = [0, 1, 2, 7].map(|stripe| match striped.part(Stripe(stripe)) {
            Part::Own(part) => (*part, true),
            Part::Shared(part) => (*part, false),
        });
        assert_eq!(owned, [(1, true), (2, true), (3, false), (3, false)]);
        assert_eq!([0, 1, 7].map(|stripe| striped.iter_from(Stripe(stripe)).sum::<i32>()), [6; 3]);
        assert_eq!(striped.iter_from(Stripe(1)).copied().collect::<Vec<_>>(), [2, 3, 1]);
        assert!(matches!(Striped::new(1, || ()).part(Stripe(0)), Part::Shared(())));
    }
}
