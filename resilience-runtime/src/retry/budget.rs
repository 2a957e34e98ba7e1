//! Bounds all retries of a dependency together.
//!
//! # Why a budget, and not only a maximum
//!
//! "At most three retries" still multiplies the load of a dependency that is down by four, and through layers of
//! callers by four each. A budget allows retries as a share of the calls: while few calls fail everyone may retry,
//! and when all fail the load grows by that share and no more. The idea is Finagle's `RetryBudget` (also in tower
//! and linkerd); the reserve lets services with few calls retry as well.
//!
//! # Implementation details
//!
//! Every call deposits, so a deposit must not write to a line that other cores write to: each thread's stripe has a
//! ring of sixteen slots, one a second, and the owner of a stripe needs no locked instruction. A slot carries its
//! second, so an old one is recognised and overwritten; nothing is ever swept.
//!
//! Only failures withdraw, so withdrawals share a word and are exact. The *head* holds a second and what was
//! withdrawn in it, and moves on by compare-exchange; what was withdrawn in earlier seconds is in a ring of
//! *archived* words of the same form.
//!
//! * Who moves the head to a new second first archives the head it is about to replace, with `fetch_max`. The second
//!   is in the upper bits, so a slot only grows: a count that was overtaken, or that is sixteen seconds older,
//!   changes nothing, however late it comes.
//! * The exchange succeeds only if the head was still the archived one. So once a head of a later second can be
//!   seen, the last count of every earlier second is archived, and who acquires the head sees it.
//! * A head never comes back: its second never falls, and within a second its count only rises. So if the exchange
//!   of a withdrawal succeeds, the sum it was based on was still that of all withdrawals.
//!
//! Deposits that a withdrawal misses make it stricter, never laxer. A reset is the one exception to all of this: what
//! is deposited or withdrawn at the same moment may fall on either side of it.

use std::fmt;

use crate::{
    clock::Instant,
    sync::{
        atomic::{AtomicU64, Ordering},
        stripe::{self, Part, Stripe, Striped},
    },
};

/// Bounds retries to a share of the calls of the last ten seconds, beside a reserve.
///
/// Each call deposits, each retry withdraws. Within ten seconds at most `ratio` times the calls, plus ten times the
/// reserve a second, are retried, whatever the number of threads. Time counts in whole seconds from the first call on: the
/// last ten are the current one and the nine before it.
///
/// # Default
///
/// * reserve: 10 a second
///
/// # Examples
///
/// ```
/// use resilience_runtime::{Instant, RetryBudget};
///
/// let (budget, now) = (RetryBudget::new(0.2).reserve(0), Instant::now());
/// for _ in 0..10 {
///     budget.deposit(now);
/// }
/// assert!(budget.withdraw(now));
/// assert!(budget.withdraw(now));
/// assert!(!budget.withdraw(now), "two of ten calls are 20 %");
/// ```
pub struct RetryBudget {
    /// Millionths of a retry per call: exact for the ratios people write.
    ratio: u64,
    /// Retries beside those, in the whole window.
    reserve: u64,
    /// From when seconds are counted: from the first use, so that it does not matter when the clock began. Nanoseconds, or
    /// zero before that.
    origin: AtomicU64,
    head: AtomicU64,
    archive: [AtomicU64; SLOTS],
    deposits: Striped<Ring>,
}

/// The window.
const SECONDS: u64 = 10;

/// A power of two above the window; what is beyond it is slack for readers that stall.
const SLOTS: usize = 16;

/// A slot's upper half is its second: good for 136 years.
const SECOND_SHIFT: u32 = 32;

const COUNT: u64 = u32::MAX as u64;

const MILLION: u64 = 1_000_000;

/// The deposits of one stripe, two cache lines apart, because processors fetch lines in pairs.
#[repr(align(128))]
struct Ring([AtomicU64; SLOTS]);

impl Ring {
    #[inline]
    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.0[index(second)]
    }

    /// A deposit of one of several threads.
    #[inline(never)]
    fn deposit(&self, second: u64) {
        let slot = self.slot(second);
        let mut word = slot.load(Ordering::Relaxed);
        while let Err(current) =
            slot.compare_exchange_weak(word, counted(word, second), Ordering::Relaxed, Ordering::Relaxed)
        {
            word = current;
        }
    }
}

impl RetryBudget {
    /// Allows `ratio` retries per call, and the reserve.
    ///
    /// # Panics
    ///
    /// If `ratio` is not in (0, 1].
    #[must_use]
    #[track_caller]
    pub fn new(ratio: f64) -> Self {
        Self::striped(ratio, stripe::count())
    }

    /// A budget whose deposits share one word a second: for those that exist by the thousand.
    #[track_caller]
    pub(crate) fn compact(ratio: f64) -> Self {
        Self::striped(ratio, 1)
    }

    #[track_caller]
    fn striped(ratio: f64, stripes: usize) -> Self {
        assert!(ratio > 0.0 && ratio <= 1.0, "`budget` must be above 0 and at most 1");
        Self {
            ratio: ((ratio * MILLION as f64).round() as u64).max(1),
            reserve: 10 * SECONDS,
            origin: AtomicU64::new(0),
            head: AtomicU64::new(0),
            archive: std::array::from_fn(|_| AtomicU64::new(0)),
            deposits: Striped::new(stripes, || Ring(std::array::from_fn(|_| AtomicU64::new(0)))),
        }
    }

    /// Allows this many retries a second beside the share of the calls.
    #[must_use]
    pub fn reserve(mut self, per_second: u32) -> Self {
        self.reserve = u64::from(per_second) * SECONDS;
        self
    }

    /// Reports a call: its first attempt, not its retries.
    #[inline]
    pub fn deposit(&self, now: Instant) {
        self.deposit_in(stripe::current(), now);
    }

    /// The same for a caller that knows its stripe already.
    #[inline]
    pub(crate) fn deposit_in(&self, stripe: Stripe, now: Instant) {
        let second = self.second(now);
        match self.deposits.part(stripe) {
            Part::Own(ring) => {
                let slot = ring.slot(second);
                slot.store(counted(slot.load(Ordering::Relaxed), second), Ordering::Relaxed);
            }
            Part::Shared(ring) => ring.deposit(second),
        }
    }

    /// Asks for a retry. Never says yes more often than the budget allows.
    #[must_use = "the retry was counted; make it only if the answer is true"]
    pub fn withdraw(&self, now: Instant) -> bool {
        let now = self.second(now);
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // A clock that steps back does not bring old seconds back.
            let second = now.max(head >> SECOND_SHIFT);
            if head >> SECOND_SHIFT < second {
                self.archive[index(head >> SECOND_SHIFT)].fetch_max(head, Ordering::AcqRel);
            }
            if self.withdrawn(head, second) >= self.allowed(second) {
                return false;
            }
            match self.head.compare_exchange_weak(
                head,
                counted(head, second),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(current) => head = current,
            }
        }
    }

    /// Forgets all calls and retries. Those reported or asked for at this moment may fall on either side.
    pub fn reset(&self) {
        for slot in self.deposits.iter().flat_map(|ring| &ring.0) {
            slot.store(0, Ordering::Relaxed);
        }
        // The second stays: a head never goes back in time. The archive comes last, because a withdrawal that moves
        // the head meanwhile puts the old count there.
        self.head.fetch_and(!COUNT, Ordering::AcqRel);
        for slot in &self.archive {
            slot.store(0, Ordering::Release);
        }
    }

    /// How many retries would be allowed at this moment.
    #[must_use]
    pub fn available(&self, now: Instant) -> u64 {
        let BudgetSnapshot { allowed, withdrawn, .. } = self.snapshot(now);
        allowed.saturating_sub(withdrawn)
    }

    /// The sums over the last ten seconds.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> BudgetSnapshot {
        let head = self.head.load(Ordering::Acquire);
        let origin = self.origin.load(Ordering::Relaxed);
        let now = if origin == 0 { 0 } else { seconds(origin, now) };
        let second = now.max(head >> SECOND_SHIFT);
        BudgetSnapshot {
            calls: self.deposited(second),
            allowed: self.allowed(second),
            withdrawn: self.withdrawn(head, second),
        }
    }

    #[inline]
    fn second(&self, now: Instant) -> u64 {
        match self.origin.load(Ordering::Relaxed) {
            0 => self.begin(now),
            origin => seconds(origin, now),
        }
    }

    /// The first second begins.
    #[cold]
    fn begin(&self, now: Instant) -> u64 {
        let first = now.as_nanos().max(1);
        let set = self.origin.compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
        set.map_or_else(|origin| seconds(origin, now), |_| 0)
    }

    fn allowed(&self, second: u64) -> u64 {
        self.reserve + self.deposited(second).saturating_mul(self.ratio) / MILLION
    }

    fn deposited(&self, second: u64) -> u64 {
        let slots = self.deposits.iter().flat_map(|ring| &ring.0);
        slots.map(|slot| within(slot.load(Ordering::Relaxed), second)).sum()
    }

    /// What was withdrawn in the head's own second stands in the head; an archived word of it is an earlier count.
    fn withdrawn(&self, head: u64, second: u64) -> u64 {
        let archived = self.archive.iter().map(|slot| slot.load(Ordering::Acquire));
        let earlier = archived.filter(|word| word >> SECOND_SHIFT != head >> SECOND_SHIFT);
        earlier.map(|word| within(word, second)).sum::<u64>() + within(head, second)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget")
            .field("ratio", &(self.ratio as f64 / MILLION as f64))
            .field("reserve", &(self.reserve / SECONDS))
            .finish_non_exhaustive()
    }
}

/// The sums of a [`RetryBudget`] over the last ten seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// Calls, their retries not counted.
    pub calls: u64,
    /// Retries that these calls and the reserve allow.
    pub allowed: u64,
    /// Retries made.
    pub withdrawn: u64,
}

/// Whole seconds since a moment.
#[inline]
fn seconds(origin: u64, now: Instant) -> u64 {
    (now.as_nanos().saturating_sub(origin) / 1_000_000_000).min(u64::MAX >> SECOND_SHIFT)
}

#[inline]
fn index(second: u64) -> usize {
    second as usize % SLOTS
}

/// `word` after one more event in `second`. An event that comes late counts in the newer second of the word.
#[inline]
fn counted(word: u64, second: u64) -> u64 {
    if word >> SECOND_SHIFT < second {
        second << SECOND_SHIFT | 1
    } else if word & COUNT == COUNT {
        word
    } else {
        word + 1
    }
}

/// The count of `word`, if it is one of the ten seconds that end with `second`.
fn within(word: u64, second: u64) -> u64 {
    let age = second.wrapping_sub(word >> SECOND_SHIFT);
    if age < SECONDS { word & COUNT } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_nanos((1 << 60) + 1);

    fn later(millis: u64) -> Instant {
        START.saturating_add(Duration::from_millis(millis))
    }

    fn granted(budget: &RetryBudget, asked: usize, now: Instant) -> usize {
        (0..asked).filter(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_share_of_the_calls_and_a_reserve() {
        let budget = RetryBudget::new(0.2);
        assert_eq!(granted(&budget, 500, START), 100, "the reserve is there from the start");
        (0..1_000).for_each(|_| budget.deposit(START));
        assert_eq!((budget.available(START), granted(&budget, 500, START)), (200, 200));
        let snapshot = BudgetSnapshot { calls: 1_000, allowed: 300, withdrawn: 300 };
        assert_eq!((budget.snapshot(START), budget.available(START)), (snapshot, 0));
    }

    #[test]
    fn ratios_are_exact() {
        for (ratio, calls, retries) in
            [(0.2, 5, 1), (0.2, 4, 0), (0.1, 10, 1), (0.6, 5, 3), (1.0, 7, 7), (0.00397, 100_000, 397)]
        {
            for budget in [RetryBudget::new(ratio), RetryBudget::compact(ratio)] {
                let budget = budget.reserve(0);
                (0..calls).for_each(|_| budget.deposit(START));
                assert_eq!(granted(&budget, 1_000, START), retries, "{ratio} of {calls}");
            }
        }
    }

    #[test]
    fn ten_seconds_later_everything_is_forgotten() {
        let budget = RetryBudget::new(1.0).reserve(0);
        (0..8).for_each(|_| budget.deposit(START));
        assert_eq!(granted(&budget, 3, START), 3);
        assert_eq!((budget.available(later(9_000)), budget.available(later(10_000))), (5, 0));
        // A thousand windows later there is no trace of either.
        let snapshot = BudgetSnapshot { calls: 0, allowed: 0, withdrawn: 0 };
        assert_eq!(budget.snapshot(later(10_000_000)), snapshot);
        budget.deposit(later(10_000_000));
        assert_eq!(granted(&budget, 3, later(10_000_000)), 1);
    }

    #[test]
    fn seconds_are_counted_from_the_first_call_whenever_the_clock_began() {
        for phase in [0, 1, 333, 999] {
            let budget = RetryBudget::new(1.0).reserve(0);
            budget.deposit(later(phase));
            budget.deposit(later(phase + 1_000));
            let available =
                [1_000, 9_999, 10_000, 10_999, 11_000].map(|at| budget.available(later(phase + at)));
            assert_eq!(available, [2, 2, 1, 1, 0], "{phase}");
        }
    }

    #[test]
    fn a_reset_forgets_calls_and_retries() {
        for budget in [RetryBudget::new(0.5), RetryBudget::compact(0.5)] {
            (0..4).for_each(|_| budget.deposit(START));
            assert_eq!(granted(&budget, 500, START) + granted(&budget, 500, later(1_000)), 102);
            budget.reset();
            let fresh = BudgetSnapshot { calls: 0, allowed: 100, withdrawn: 0 };
            assert_eq!((budget.snapshot(START), budget.snapshot(later(1_000))), (fresh, fresh));
            assert_eq!(granted(&budget, 500, START), 100);
        }
    }

    #[test]
    fn a_reset_forgets_also_in_the_first_seconds_of_the_clock() {
        let (budget, early) = (RetryBudget::new(0.5), Instant::from_nanos(5_000_000_000));
        assert_eq!(granted(&budget, 3, early), 3);
        budget.reset();
        assert_eq!(budget.snapshot(early), BudgetSnapshot { calls: 0, allowed: 100, withdrawn: 0 });
    }

    #[test]
    fn at_the_end_of_all_time_a_budget_counts_on() {
        let (budget, end) = (RetryBudget::new(1.0).reserve(0), Instant::from_nanos(u64::MAX));
        (0..3).for_each(|_| budget.deposit(end));
        assert_eq!(granted(&budget, 9, end), 3);
        assert_eq!(budget.snapshot(end), BudgetSnapshot { calls: 3, allowed: 3, withdrawn: 3 });
    }

    #[test]
    fn a_full_count_stays_until_a_later_second() {
        let full = 7 << SECOND_SHIFT | COUNT;
        let next = [6, 7, 8].map(|second| counted(full, second));
        assert_eq!(next, [full, full, 8 << SECOND_SHIFT | 1]);
        assert_eq!(counted(1, 0), 2);
    }

    #[test]
    fn a_clock_that_steps_back_brings_no_token_back() {
        let budget = RetryBudget::new(1.0).reserve(0);
        (0..4).for_each(|_| budget.deposit(later(5_000)));
        assert_eq!(granted(&budget, 2, later(5_000)), 2);
        budget.deposit(START);
        assert_eq!(granted(&budget, 9, START), 3, "five calls, two of them used");
        assert_eq!(granted(&budget, 9, later(5_000)), 0);
    }

    #[test]
    fn never_exceeded_under_eight_threads() {
        for budget in [RetryBudget::new(0.2), RetryBudget::compact(0.2)] {
            let granted: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8_u64)
                    .map(|thread| {
                        let budget = &budget;
                        scope.spawn(move || {
                            (0..1_000).for_each(|call| budget.deposit(later((call + thread) % 5_000)));
                            // Half of the threads are a few seconds ahead of the others.
                            let at = |call| later(5_000 + thread % 2 * 3_000 + call);
                            (0..1_000).filter(|&call| budget.withdraw(at(call))).count()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(budget.snapshot(later(8_000)).calls, 8_000);
            assert_eq!(granted, 1_700);
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Advance(u64),
        Deposit,
        Withdraw,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..3_000_u64).prop_map(Step::Advance),
            1 => Just(Step::Advance(12_345)),
            20 => Just(Step::Deposit),
            20 => Just(Step::Withdraw),
        ]
    }

    proptest! {
        #[test]
        fn the_budget_is_that_of_a_naive_list(
            hundredths in 1..=100_u64, reserve in 0..3_u32, compact in any::<bool>(),
            history in prop::collection::vec(step(), 1..400),
        ) {
            let ratio = hundredths as f64 / 100.0;
            let budget = if compact { RetryBudget::compact(ratio) } else { RetryBudget::new(ratio) };
            let budget = budget.reserve(reserve);
            let (mut millis, mut first, mut calls, mut retries) = (0, None, Vec::new(), Vec::new());
            for step in history {
                let now = later(millis);
                if !matches!(step, Step::Advance(_)) {
                    first.get_or_insert(millis);
                }
                let second = (millis - first.unwrap_or(millis)) / 1_000;
                let recent = |list: &[u64]| list.iter().filter(|&&then| then + 10 > second).count() as u64;
                match step {
                    Step::Advance(by) => millis += by,
                    Step::Deposit => {
                        budget.deposit(now);
                        calls.push(second);
                    }
                    Step::Withdraw => {
                        let allowed = recent(&calls) * hundredths / 100 + u64::from(reserve) * 10;
                        let expected = recent(&retries) < allowed;
                        prop_assert_eq!(budget.available(now), allowed.saturating_sub(recent(&retries)));
                        prop_assert_eq!(budget.withdraw(now), expected);
                        if expected {
                            retries.push(second);
                        }
                    }
                }
            }
        }
    }
}
