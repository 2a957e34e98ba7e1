//! The concurrent shell of the algorithm: one atomic word.

use std::{fmt, time::Duration};

use super::{
    gcra::{LATEST, Pace},
    quota::Quota,
};
use crate::{
    clock::Instant,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The TAT and the quota it is to be read with.
///
/// # Implementation details
///
/// The word's lower 62 bits are the TAT, its upper two the *edition* of the quota. A caller loads the word, reads
/// the three numbers of its edition, and moves the word on by compare-exchange; that is all on the fast path. A new
/// quota is written to the next edition's place, which nobody reads yet, and then the word is converted and its
/// edition advanced in one compare-exchange. A caller that read the old edition fails its own and starts over.
///
/// A caller that stalls between reading and exchanging while the quota changes four times may see its edition's
/// place half overwritten. The numbers are stored with release and read with acquire, so whoever has seen a new one
/// has also seen that the word moved on, and fails. Only if the word has meanwhile come back to the same nanosecond
/// in the same edition is that one call judged by numbers of two quotas.
pub(super) struct State {
    word: Alone,
    editions: [Edition; EDITIONS],
    /// The quota of the current edition. Locked by whoever changes it and by readers of the whole.
    quota: Mutex<Quota>,
}

const EDITIONS: usize = 4;

/// The word's upper bits are the edition.
const EDITION_SHIFT: u32 = LATEST.count_ones();

/// A place in the line that the limiter keeps.
///
/// To be given back if the call will not be made after all.
#[derive(Debug)]
#[must_use = "give a reservation back, or report that its call was made"]
pub(crate) struct Reservation {
    /// When the call may run.
    pub(crate) at: Instant,
    /// That is later than when it was reserved.
    pub(crate) waits: bool,
    before: u64,
    after: u64,
}

impl State {
    pub(super) fn new(quota: Quota) -> Self {
        let state = Self {
            // The clock starts later than this, so the bucket starts full.
            word: Alone(AtomicU64::new(0)),
            editions: std::array::from_fn(|_| Edition::new()),
            quota: Mutex::new(quota),
        };
        state.editions[0].store(Pace::of(quota));
        state
    }

    /// Takes the next slot if the wait for it is at most `most`, else tells the wait.
    #[inline]
    pub(super) fn reserve(&self, now: Instant, most: Duration) -> Result<Reservation, Duration> {
        let mut word = self.word.0.load(Ordering::Acquire);
        loop {
            let slot = self.pace(word).next(word & LATEST, now);
            let waits = slot.at > now;
            if waits && slot.wait(now) > most || slot.tat > LATEST {
                return Err(slot.wait(now));
            }
            let next = word & !LATEST | slot.tat;
            match self.word.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Reservation { at: slot.at, waits, before: word, after: next }),
                Err(current) => word = current,
            }
        }
    }

    /// Undoes a reservation if nobody reserved after it; otherwise it lapses.
    ///
    /// Those who reserved after it were told moments that count on it. Taking an interval off the TAT then would
    /// hand the next caller a slot that is promised already, and so break the rate.
    pub(super) fn give_back(&self, reservation: &Reservation) -> bool {
        let Reservation { before, after, .. } = *reservation;
        self.word.0.compare_exchange(after, before, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(super) fn free(&self, now: Instant) -> u32 {
        let word = self.word.0.load(Ordering::Acquire);
        self.pace(word).free(word & LATEST, now)
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.word.0.load(Ordering::Acquire) & LATEST <= now.as_nanos()
    }

    pub(super) fn quota(&self) -> Quota {
        *self.quota.lock()
    }

    /// Brings a new quota into force; [`Pace::convert`] says what becomes of the calls under the old one.
    pub(super) fn configure(&self, quota: Quota, now: Instant) {
        self.renew(Some(quota), |old, new, tat| old.convert(tat, new, now));
    }

    /// Fills the bucket. Reservations made before can no longer be given back.
    pub(super) fn fill(&self) {
        self.renew(None, |_, _, _| 0);
    }

    fn renew(&self, quota: Option<Quota>, tat: impl Fn(&Pace, &Pace, u64) -> u64) {
        // Held to the end: one change at a time.
        let mut current = self.quota.lock();
        *current = quota.unwrap_or(*current);
        let new = Pace::of(*current);
        let mut word = self.word.0.load(Ordering::Acquire);
        let edition = (word >> EDITION_SHIFT) + 1;
        self.editions[edition as usize % EDITIONS].store(new);
        loop {
            let next = edition << EDITION_SHIFT | tat(&self.pace(word), &new, word & LATEST).min(LATEST);
            match self.word.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    #[inline]
    fn pace(&self, word: u64) -> Pace {
        self.editions[(word >> EDITION_SHIFT) as usize % EDITIONS].load()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.quota()).finish()
    }
}

/// Two cache lines apart from what is only read, because processors fetch lines in pairs: with several callers at
/// once each compare-exchange takes the line away from the others.
#[repr(align(128))]
struct Alone(AtomicU64);

/// The numbers of one quota.
struct Edition {
    interval: AtomicU64,
    tolerance: AtomicU64,
    shortfall: AtomicU64,
}

impl Edition {
    fn new() -> Self {
        Self { interval: AtomicU64::new(1), tolerance: AtomicU64::new(0), shortfall: AtomicU64::new(0) }
    }

    fn store(&self, pace: Pace) {
        self.interval.store(pace.interval, Ordering::Release);
        self.tolerance.store(pace.tolerance, Ordering::Release);
        self.shortfall.store(pace.shortfall, Ordering::Release);
    }

    #[inline]
    fn load(&self) -> Pace {
        Pace {
            interval: self.interval.load(Ordering::Acquire),
            tolerance: self.tolerance.load(Ordering::Acquire),
            shortfall: self.shortfall.load(Ordering::Acquire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_is_that_which_still_fits_into_the_word() {
        let second = 1_000_000_000;
        let last = Instant::from_nanos(LATEST - second);
        let state = State::new(Quota::per_second(1));
        let reserved = state.reserve(last, Duration::ZERO).unwrap();
        assert_eq!((reserved.at, reserved.waits, reserved.after), (last, false, LATEST));
        let state = State::new(Quota::per_second(1));
        assert!(state.reserve(Instant::from_nanos(LATEST - second + 1), Duration::ZERO).is_err());
    }
}
