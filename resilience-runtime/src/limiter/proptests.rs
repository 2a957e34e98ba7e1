//! The limiter against a log of all calls, over random histories.

use std::{sync::atomic::AtomicU64, time::Duration};

use proptest::prelude::*;

use super::{
    quota::Quota,
    state::{Reservation, State},
};
use crate::{clock::Instant, sync::atomic::Ordering};

const START: u64 = 1 << 60;

#[derive(Clone, Copy, Debug)]
enum Step {
    Advance(u64),
    Back(u64),
    Configure(Quota),
    /// Gives back the reservation with this index among those that still stand.
    GiveBack(prop::sample::Index),
    Reserve {
        wait: u64,
    },
}

fn quota() -> impl Strategy<Value = Quota> {
    (1..40_u32, 1..2_000_000_u64, 1..20_u32)
        .prop_map(|(limit, micros, burst)| Quota::new(limit, Duration::from_micros(micros)).burst(burst))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..200_000_000_u64).prop_map(Step::Advance),
        1 => (0..50_000_000_u64).prop_map(Step::Back),
        2 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        12 => prop_oneof![Just(0), 0..3_000_000_000_u64].prop_map(|wait| Step::Reserve { wait }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..200)
}

fn history_with_changes() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(prop_oneof![19 => step(), 1 => quota().prop_map(Step::Configure)], 1..200)
}

/// The algorithm without rounding: the TAT in nanoseconds times the limit.
struct Exact {
    limit: i128,
    period: i128,
    burst: i128,
    tat: i128,
}

impl Exact {
    fn new(quota: Quota) -> Self {
        let period = quota.period().as_nanos() as i128;
        Self { limit: quota.limit().into(), period, burst: quota.burst_size().into(), tat: 0 }
    }

    /// The TAT after a call at `now`, and the wait for it in nanoseconds.
    fn next(&self, now: u64) -> (i128, i128) {
        let now = i128::from(now) * self.limit;
        let early = (self.tat - (self.burst - 1) * self.period - now).max(0);
        (self.tat.max(now) + self.period, early / self.limit)
    }
}

/// The moments of all calls that were let through, in order.
fn moments(standing: &[Reservation]) -> Vec<u64> {
    let mut moments: Vec<_> = standing.iter().map(|reservation| reservation.at.as_nanos()).collect();
    moments.sort_unstable();
    moments
}

/// In no whole number of periods, counted from any call on, more than the limit in each and one burst.
fn keeps(moments: &[u64], quota: Quota) -> Result<(), TestCaseError> {
    let period = quota.period().as_nanos() as u64;
    for (first, start) in moments.iter().enumerate() {
        for (last, end) in moments.iter().enumerate().skip(first) {
            let periods = (end - start) / period + 1;
            let most = periods * u64::from(quota.limit()) + u64::from(quota.burst_size());
            prop_assert!(
                (last - first + 1) as u64 <= most,
                "{} calls in {periods} periods",
                last - first + 1
            );
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn never_above_quota_and_burst_in_any_period(quota in quota(), history in history()) {
        let state = State::new(quota);
        let mut exact = Exact::new(quota);
        let mut now = START;
        let mut standing: Vec<(Reservation, i128, i128)> = Vec::new();
        for step in history {
            match step {
                Step::Advance(nanos) => now += nanos,
                Step::Back(nanos) => now -= nanos,
                Step::Configure(_) => unreachable!(),
                Step::GiveBack(index) => {
                    if !standing.is_empty() {
                        let (reservation, before, after) = standing.swap_remove(index.index(standing.len()));
                        let returned = state.give_back(&reservation);
                        prop_assert_eq!(returned, exact.tat == after, "returned if nobody reserved after it");
                        if returned {
                            exact.tat = before;
                        }
                    }
                }
                Step::Reserve { wait } => {
                    let (tat, exact_wait) = exact.next(now);
                    match state.reserve(Instant::from_nanos(now), Duration::from_nanos(wait)) {
                        Ok(reservation) => {
                            let waited = i128::from(reservation.at.as_nanos() - now);
                            prop_assert!((waited - exact_wait).abs() <= 2, "{waited} ns, not {exact_wait}");
                            prop_assert_eq!(reservation.waits, waited > 0);
                            standing.push((reservation, exact.tat, tat));
                            exact.tat = tat;
                        }
                        Err(refused) => {
                            prop_assert!(refused > Duration::from_nanos(wait));
                            prop_assert!((refused.as_nanos() as i128 - exact_wait).abs() <= 2);
                        }
                    }
                }
            }
        }
        let standing: Vec<_> = standing.into_iter().map(|(reservation, ..)| reservation).collect();
        keeps(&moments(&standing), quota)?;
    }

    #[test]
    fn a_change_of_quota_lets_through_no_more_than_each_quota_in_its_time(
        first in quota(), history in history_with_changes(),
    ) {
        let state = State::new(first);
        let mut now = START;
        // When each quota came into force: once those that waited under the one before had their turn.
        let mut quotas = vec![(0, first)];
        let mut standing: Vec<Reservation> = Vec::new();
        // Moments promised and not returned.
        let mut promised = vec![0];
        for step in history {
            match step {
                Step::Advance(nanos) => now += nanos,
                // The rate of a moment that comes twice under two quotas is neither's.
                Step::Back(_) => {}
                Step::Configure(quota) => {
                    state.configure(quota, Instant::from_nanos(now));
                    let latest = promised.iter().max().copied().unwrap_or_default();
                    quotas.push((latest.max(now), quota));
                }
                Step::GiveBack(index) => {
                    if !standing.is_empty() {
                        let given_back = standing.swap_remove(index.index(standing.len()));
                        if state.give_back(&given_back) {
                            promised.retain(|&at| at != given_back.at.as_nanos());
                        }
                    }
                }
                Step::Reserve { wait } => {
                    if let Ok(reservation) = state.reserve(Instant::from_nanos(now), Duration::from_nanos(wait)) {
                        promised.push(reservation.at.as_nanos());
                        standing.push(reservation);
                    }
                }
            }
        }
        let moments = moments(&standing);
        for (first, &start) in moments.iter().enumerate() {
            for (last, &end) in moments.iter().enumerate().skip(first) {
                let calls = (last - first + 1) as f64;
                let most = allowed(&quotas, start, end);
                prop_assert!(calls <= most + 0.01, "{calls} calls from {start} to {end}, {most} allowed");
            }
        }
    }
}

/// The burst at `start`, what its raises added, and each quota's rate in its time.
fn allowed(quotas: &[(u64, Quota)], start: u64, end: u64) -> f64 {
    let mut most = 0.0;
    let mut burst = 0;
    for (index, &(from, quota)) in quotas.iter().enumerate() {
        let until = quotas.get(index + 1).map_or(u64::MAX, |&(until, _)| until).min(end);
        if from > end || until < start {
            burst = quota.burst_size();
            continue;
        }
        let raised = quota.burst_size().saturating_sub(burst);
        most += f64::from(if from <= start { quota.burst_size() } else { raised });
        burst = quota.burst_size();
        let time = until.saturating_sub(from.max(start)) as f64;
        most += time * f64::from(quota.limit()) / quota.period().as_nanos() as f64;
    }
    most
}

#[test]
fn eight_threads_together_keep_the_quota() {
    let quota = Quota::per_second(1_000).burst(5);
    let (state, clock) = (State::new(quota), AtomicU64::new(START));
    let standing: Vec<Reservation> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let (state, clock) = (&state, &clock);
                scope.spawn(move || {
                    let mut standing = Vec::new();
                    for call in 0..2_000 {
                        let now = clock.fetch_add(20_000, Ordering::Relaxed);
                        let wait = Duration::from_millis((call + thread) % 4);
                        if let Ok(reservation) = state.reserve(Instant::from_nanos(now), wait) {
                            if reservation.waits && call % 3 == 0 {
                                state.give_back(&reservation);
                            } else {
                                standing.push(reservation);
                            }
                        }
                    }
                    standing
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let moments = moments(&standing);
    assert!(moments.len() > 200, "{}", moments.len());
    keeps(&moments, quota).unwrap();
}
