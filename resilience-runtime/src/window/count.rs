//! The last n outcomes, exactly.
//!
//! # Implementation Details
//!
//! A ring of slots, a cursor that hands them out, and the sums of what is in them. All three carry the generation
//! they belong to. To record is to claim the next slot, to swap the outcome into it, and to add the difference
//! between the new outcome and the old one to the sums; the sums are therefore always those of the slots, but for
//! outcomes between the second step and the third. Such an outcome may even be taken out before it was added, so the
//! sums are kept with a bias and may be negative for a moment.
//!
//! **A full window of successes needs no write for another one**: all-success windows look the same wherever the
//! cursor stands. A failure makes the window dirty, and n successes clean it again. This is what makes a healthy
//! circuit free of shared writes.
//!
//! **A slot that holds nothing of its generation stands for a success**, if it was handed out. So the ring can wait for
//! the first outcome that is none: of circuits that exist by the thousand, those that never failed have no slots.

use std::sync::OnceLock;

use super::Sums;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bits of the generation kept as a tag. An outcome would have to be in flight for exactly a multiple of a million
/// transitions to be taken for a current one. Slots that no call needed for that long are wiped long before.
const TAG_BITS: u32 = 20;

/// The slots are wiped each time the generation has grown by two to this power: a quarter of the circle of tags, so
/// that of two tags the newer one is always known.
const WIPE_BITS: u32 = TAG_BITS - 2;

/// Bits of each sum: the longest window, its negative, and a sign.
const SUM_BITS: u32 = 22;

/// A sum of zero.
const BIAS: u64 = 1 << (SUM_BITS - 1);

const SUM_MASK: u64 = (1 << SUM_BITS) - 1;

const TAG_MASK: u32 = (1 << TAG_BITS) - 1;

/// Where the tag of a word begins.
const TAG_SHIFT: u32 = u64::BITS - TAG_BITS;

/// What a call came to, as the window sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Kind {
    pub(crate) failure: bool,
    pub(crate) slow: bool,
}

impl Kind {
    const fn is_success(self) -> bool {
        !self.failure && !self.slow
    }

    /// Two bits, and one that tells a recorded outcome from an empty slot.
    const fn bits(self) -> u32 {
        4 | (self.failure as u32) << 1 | self.slow as u32
    }

    const fn from_bits(bits: u32) -> Option<Self> {
        if bits & 4 == 0 { None } else { Some(Self { failure: bits & 2 != 0, slow: bits & 1 != 0 }) }
    }
}

#[derive(Debug)]
pub(super) struct CountWindow {
    /// How many slots are in use; the ring may have more.
    len: AtomicU32,
    /// Tag, and how many slots were handed out; beyond the length only its remainder matters.
    cursor: AtomicU64,
    /// Tag, failures, slow calls.
    sums: AtomicU64,
    /// When the slots were last wiped.
    wiped: AtomicU32,
    ring: NextRing,
}

/// A ring, once an outcome needs it.
type NextRing = OnceLock<Box<Ring>>;

/// Slots, and more of them if a longer window needs them later.
#[derive(Debug)]
struct Ring {
    slots: Box<[AtomicU32]>,
    longer: NextRing,
}

impl CountWindow {
    pub(super) fn new() -> Self {
        Self {
            len: AtomicU32::new(1),
            cursor: AtomicU64::new(0),
            sums: AtomicU64::new(clean(0)),
            wiped: AtomicU32::new(0),
            ring: OnceLock::new(),
        }
    }

    /// Uses `len` slots from now on, after the window was cleared for a new generation.
    pub(super) fn resize(&self, len: u32) {
        self.len.store(len, Ordering::Release);
    }

    pub(super) fn clear(&self, generation: u32) {
        let tag = generation & TAG_MASK;
        // Swapped, not stored: among exchanges a word has one order, which also loom knows.
        self.sums.swap(clean(tag), Ordering::AcqRel);
        self.cursor.swap(u64::from(tag) << TAG_SHIFT, Ordering::AcqRel);
        if self.wiped.swap(generation >> WIPE_BITS, Ordering::AcqRel) != generation >> WIPE_BITS {
            let mut next = &self.ring;
            while let Some(ring) = next.get() {
                ring.slots.iter().for_each(|slot| slot.store(0, Ordering::Release));
                next = &ring.longer;
            }
        }
    }

    /// Whether the window is full of quick successes, so that one more changes nothing.
    #[inline]
    pub(super) fn is_clean(&self, generation: u32) -> bool {
        let tag = generation & TAG_MASK;
        let cursor = self.cursor.load(Ordering::Acquire);
        let len = self.len.load(Ordering::Acquire);
        claimed(cursor, tag).is_some_and(|claimed| claimed >= len)
            && self.sums.load(Ordering::Acquire) == clean(tag)
    }

    #[inline]
    pub(super) fn record(&self, generation: u32, kind: Kind) -> Option<Sums> {
        if kind.is_success() && self.is_clean(generation) {
            return Some(Sums { calls: self.len.load(Ordering::Acquire), failures: 0, slow: 0 });
        }
        let tag = generation & TAG_MASK;
        self.write(tag, self.len.load(Ordering::Acquire), kind, self.cursor.load(Ordering::Acquire))
    }

    #[cold]
    fn write(&self, tag: u32, len: u32, kind: Kind, mut cursor: u64) -> Option<Sums> {
        // Claim a slot.
        let index = loop {
            let claimed = claimed(cursor, tag)?;
            // From one length to two, so that "full" and the remainder both stay readable.
            let next = if claimed + 1 >= 2 * len { len } else { claimed + 1 };
            let next = u64::from(tag) << TAG_SHIFT | u64::from(next);
            match self.cursor.compare_exchange_weak(cursor, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break claimed % len,
                Err(now) => cursor = now,
            }
        };
        // Swap the outcome in. A success needs no slot where nobody needed one yet.
        let slot = if kind.is_success() { self.slot(index, len) } else { self.needed_slot(index, len) };
        let Some(slot) = slot else {
            return self.read(tag, self.sums.load(Ordering::Acquire));
        };
        let mut old = slot.load(Ordering::Acquire);
        let new = tag << (u32::BITS - TAG_BITS) | kind.bits();
        loop {
            // Whoever claimed it in a later generation keeps it.
            if Kind::from_bits(old).is_some() && is_newer(old >> (u32::BITS - TAG_BITS), tag) {
                return None;
            }
            match slot.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => old = now,
            }
        }
        // Add the difference.
        let old = outcome(old, tag).unwrap_or_default();
        let difference = (i64::from(kind.failure) - i64::from(old.failure)) * (1 << SUM_BITS)
            + (i64::from(kind.slow) - i64::from(old.slow));
        let mut sums = self.sums.load(Ordering::Acquire);
        loop {
            if (sums >> TAG_SHIFT) as u32 != tag {
                return None;
            }
            let next = sums.wrapping_add_signed(difference);
            match self.sums.compare_exchange_weak(sums, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return self.read(tag, next),
                Err(now) => sums = now,
            }
        }
    }

    pub(super) fn sums(&self) -> Sums {
        let sums = self.sums.load(Ordering::Acquire);
        self.read((sums >> TAG_SHIFT) as u32, sums).unwrap_or_default()
    }

    pub(super) fn log(&self) -> Vec<Kind> {
        let (cursor, len) = (self.cursor.load(Ordering::Acquire), self.len.load(Ordering::Acquire));
        let (tag, claimed) = ((cursor >> TAG_SHIFT) as u32, cursor as u32);
        let recorded = |index| outcome(self.slot(index % len, len)?.load(Ordering::Acquire), tag);
        (claimed.saturating_sub(len)..claimed).map(|index| recorded(index).unwrap_or_default()).collect()
    }

    fn read(&self, tag: u32, sums: u64) -> Option<Sums> {
        let len = self.len.load(Ordering::Acquire);
        let calls = claimed(self.cursor.load(Ordering::Acquire), tag)?.min(len);
        let sum = |shift: u32| ((sums >> shift & SUM_MASK).saturating_sub(BIAS) as u32).min(calls);
        ((sums >> TAG_SHIFT) as u32 == tag).then(|| Sums { calls, failures: sum(SUM_BITS), slow: sum(0) })
    }

    /// The slot, if any outcome needed one of so many.
    fn slot(&self, index: u32, len: u32) -> Option<&AtomicU32> {
        let mut ring = self.ring.get()?;
        while ring.slots.len() < len as usize {
            ring = ring.longer.get()?;
        }
        ring.slots.get(index as usize)
    }

    /// Makes the slots now, not at the first failure.
    pub(super) fn make_slots(&self) {
        self.needed_slot(0, self.len.load(Ordering::Acquire));
    }

    /// Slots that were made.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        let rings = std::iter::successors(self.ring.get(), |ring| ring.longer.get());
        rings.map(|ring| ring.slots.len()).sum()
    }

    /// The slot, made if it is not there yet.
    fn needed_slot(&self, index: u32, len: u32) -> Option<&AtomicU32> {
        let make = || Box::new(Ring::new(len));
        let mut ring = self.ring.get_or_init(make);
        while ring.slots.len() < len as usize {
            ring = ring.longer.get_or_init(make);
        }
        ring.slots.get(index as usize)
    }
}

impl Ring {
    fn new(len: u32) -> Self {
        Self { slots: (0..len).map(|_| AtomicU32::new(0)).collect(), longer: OnceLock::new() }
    }
}

/// The sums of a window without failures and slow calls.
const fn clean(tag: u32) -> u64 {
    (tag as u64) << TAG_SHIFT | BIAS << SUM_BITS | BIAS
}

/// Slots handed out in this generation; `None` in another.
const fn claimed(cursor: u64, tag: u32) -> Option<u32> {
    if (cursor >> TAG_SHIFT) as u32 == tag { Some(cursor as u32) } else { None }
}

/// The outcome in a slot, if it is of this generation.
const fn outcome(slot: u32, tag: u32) -> Option<Kind> {
    if slot >> (u32::BITS - TAG_BITS) == tag { Kind::from_bits(slot) } else { None }
}

/// Whether `tag` stands before `other` in the circle of tags, by less than half of it.
const fn is_newer(tag: u32, other: u32) -> bool {
    let ahead = tag.wrapping_sub(other) & TAG_MASK;
    ahead != 0 && ahead < 1 << (TAG_BITS - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const OK: Kind = Kind { failure: false, slow: false };
    const FAILURE: Kind = Kind { failure: true, slow: false };

    fn window(len: u32, generation: u32) -> CountWindow {
        let window = CountWindow::new();
        window.clear(generation);
        window.resize(len);
        window
    }

    #[test]
    fn the_window_holds_exactly_n() {
        let window = window(3, 0);
        let failures: Vec<u32> = [FAILURE, OK, OK, OK, OK]
            .map(|kind| window.record(0, kind).map(|sums| sums.failures))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(failures, [1, 1, 1, 0, 0]);
    }

    #[test]
    fn tags_are_ordered_around_their_end() {
        let half = 1 << (TAG_BITS - 1);
        let newer = [(1, 0), (0, TAG_MASK), (half - 1, 0), (5, half + 6)];
        assert_eq!(newer.map(|(tag, other)| is_newer(tag, other)), [true; 4]);
        let older = [(0, 0), (0, 1), (TAG_MASK, 0), (half, 0), (half + 1, 0)];
        assert_eq!(older.map(|(tag, other)| is_newer(tag, other)), [false; 5]);
    }

    #[test]
    fn a_clean_full_window_needs_no_write_for_a_success() {
        let window = window(4, 9);
        for _ in 0..4 {
            window.record(9, OK);
        }
        let before = (window.cursor.load(Ordering::Relaxed), window.sums.load(Ordering::Relaxed));
        assert_eq!(window.record(9, OK), Some(Sums { calls: 4, failures: 0, slow: 0 }));
        assert_eq!(before, (window.cursor.load(Ordering::Relaxed), window.sums.load(Ordering::Relaxed)));
    }

    #[test]
    fn slots_are_made_for_the_first_outcome_that_is_no_success() {
        let window = window(4, 0);
        for _ in 0..7 {
            window.record(0, OK);
        }
        assert_eq!((window.slots(), window.log()), (0, vec![OK; 4]));
        assert_eq!(window.record(0, FAILURE), Some(Sums { calls: 4, failures: 1, slow: 0 }));
        assert_eq!((window.slots(), window.log()), (4, vec![OK, OK, OK, FAILURE]));
        window.clear(1);
        window.resize(6);
        assert_eq!(window.record(1, OK), Some(Sums { calls: 1, failures: 0, slow: 0 }));
        assert_eq!(window.slots(), 4);
        window.record(1, FAILURE);
        assert_eq!((window.slots(), window.log()), (10, vec![OK, FAILURE]));
    }

    #[test]
    fn another_generation_starts_empty_and_the_old_one_records_nothing() {
        let window = window(4, 1);
        for _ in 0..6 {
            window.record(1, FAILURE);
        }
        window.clear(2);
        assert_eq!((window.record(1, FAILURE), window.sums()), (None, Sums::default()));
        assert_eq!(window.record(2, OK), Some(Sums { calls: 1, failures: 0, slow: 0 }));
        assert_eq!(window.log(), [OK]);
    }

    #[test]
    fn a_longer_window_gets_more_slots_and_a_shorter_one_uses_fewer() {
        let window = window(2, 0);
        for (generation, len) in [(1, 5), (2, 1), (3, 4)] {
            window.clear(generation);
            window.resize(len);
            for _ in 0..9 {
                window.record(generation, FAILURE);
            }
            assert_eq!(window.sums(), Sums { calls: len, failures: len, slow: 0 });
        }
    }

    /// A circuit that flaps for months: outcomes that lie in rarely used slots for ages stand in nobody's way.
    #[test]
    fn all_tags_may_come_around() {
        let window = window(3, 0);
        for generation in 0..=3 * (TAG_MASK + 1) {
            window.clear(generation);
            let calls = if generation % 1_000_003 == 0 { 3 } else { 1 };
            for call in 1..=calls {
                let sums = Sums { calls: call, failures: call, slow: 0 };
                assert_eq!(window.record(generation, FAILURE), Some(sums), "{generation}");
            }
        }
    }

    #[test]
    fn a_longer_window_works_in_a_late_generation() {
        let window = window(1, TAG_MASK);
        window.clear(TAG_MASK - 5);
        window.resize(2);
        assert_eq!(window.record(TAG_MASK - 5, FAILURE), Some(Sums { calls: 1, failures: 1, slow: 0 }));
    }

    #[test]
    fn sums_are_exact_once_all_threads_are_done() {
        let window = window(10, 0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let window = &window;
                scope.spawn(move || {
                    for call in 0..5_000 {
                        window.record(0, Kind { failure: call % 3 == thread % 3, slow: call % 2 == 0 });
                    }
                });
            }
        });
        let log = window.log();
        assert_eq!(log.len(), 10);
        let count = |which: fn(&Kind) -> bool| log.iter().filter(|kind| which(kind)).count() as u32;
        let expected =
            Sums { calls: 10, failures: count(|kind| kind.failure), slow: count(|kind| kind.slow) };
        assert_eq!(window.sums(), expected);
    }

    proptest! {
        #[test]
        fn after_n_further_outcomes_old_ones_do_not_matter(
            len in 1..20u32,
            outcomes in proptest::collection::vec((any::<bool>(), any::<bool>()), 0..200),
        ) {
            let window = window(len, 5);
            let mut naive = VecDeque::new();
            for (failure, slow) in outcomes {
                let kind = Kind { failure, slow };
                naive.push_back(kind);
                if naive.len() > len as usize {
                    naive.pop_front();
                }
                let expected = Sums {
                    calls: naive.len() as u32,
                    failures: naive.iter().filter(|kind| kind.failure).count() as u32,
                    slow: naive.iter().filter(|kind| kind.slow).count() as u32,
                };
                prop_assert_eq!(window.record(5, kind), Some(expected));
                prop_assert_eq!(window.log(), naive.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
