//! Every interleaving of deposits and withdrawals around the turn of a second.

use std::{sync::Arc, time::Duration};

use loom::thread;

use super::budget::RetryBudget;
use crate::clock::Instant;

const NOW: Instant = Instant::from_nanos(1_000_000_000 << 20);

fn later(seconds: u64) -> Instant {
    NOW.saturating_add(Duration::from_secs(seconds))
}

/// A budget that allows one retry for each of `calls` calls.
fn budget(calls: u32) -> Arc<RetryBudget> {
    let budget = RetryBudget::compact(1.0).reserve(0);
    (0..calls).for_each(|_| budget.deposit(NOW));
    Arc::new(budget)
}

/// Seen to fail with: the old head archived after the exchange that replaces it, or not at all.
#[test]
fn no_token_is_withdrawn_twice_across_the_turn_of_a_second() {
    loom::model(|| {
        let budget = budget(2);
        assert!(budget.withdraw(NOW));
        let other = Arc::clone(&budget);
        let late = thread::spawn(move || other.withdraw(later(1)));
        let early = budget.withdraw(NOW);
        assert!(early ^ late.join().unwrap());
        assert!(!budget.withdraw(later(1)));
        assert_eq!(budget.snapshot(later(1)).withdrawn, 2);
    });
}

/// Seen to fail with: `store` in place of `fetch_max` when archiving.
#[test]
fn a_late_archive_does_not_bring_an_overtaken_count_back() {
    loom::model(|| {
        let budget = budget(3);
        assert!(budget.withdraw(NOW));
        let other = Arc::clone(&budget);
        let first = thread::spawn(move || other.withdraw(later(1)));
        let other = Arc::clone(&budget);
        let second = thread::spawn(move || other.withdraw(later(1)));
        let granted = [budget.withdraw(NOW), first.join().unwrap(), second.join().unwrap()];
        assert_eq!(granted.iter().filter(|&&granted| granted).count(), 2);
        assert!(!budget.withdraw(later(2)), "{budget:?}");
        assert_eq!(budget.snapshot(later(2)).withdrawn, 3);
    });
}

/// Seen to fail with: a load and a store in place of the compare-exchange of the shared stripe.
#[test]
fn no_deposit_is_lost_on_the_shared_stripe() {
    loom::model(|| {
        let budget = budget(0);
        let other = Arc::clone(&budget);
        let depositor = thread::spawn(move || other.deposit(NOW));
        budget.deposit(NOW);
        depositor.join().unwrap();
        assert_eq!(budget.snapshot(NOW).calls, 2);
    });
}
