//! The generic cell rate algorithm as plain functions.
//!
//! GCRA comes from ATM networks (ITU-T I.371, annex A); Brandur Leach's "Rate Limiting, Cells, and GCRA" (2015)
//! brought it to web services. Its whole state is one time, the *theoretical arrival time* (TAT): when the bucket
//! will be full again. Each call moves it on by one interval, the period divided by the limit, and may run once
//! the TAT is no further ahead than the burst allows. Calls that came too early have a moment of their own by the
//! same arithmetic, which is what lets waiters reserve.
//!
//! # Exactness
//!
//! A period seldom divides into whole nanoseconds. An interval rounded down lets too many calls through in the long
//! run, one rounded up too few: three a second would need 1.000000002 s to refill. So time is counted in *ticks*
//! that are stretched until the interval is a whole number of them: for an interval of `T` nanoseconds a tick is
//! `T / floor(T)`, which is at least one nanosecond and less than two. The limit of calls then spans the period
//! exactly, and the range stays that of nanoseconds. Nothing drifts: ticks are computed from the clock's absolute
//! reading, never added up.
//!
//! `ticks(t) = t - floor(t * d) = ceil(t * (1 - d))`, with `d` the ticks missing per nanosecond, a 64-bit binary
//! fraction rounded down. Its rounding speeds time up by less than 2^-64, not half a nanosecond over the whole
//! range, and the outer one shifts a moment by less than a tick. So for `m` intervals to pass in ticks, more than
//! `m * T` minus one tick must pass on the clock, and in any `k` periods, counted from a call on, at most
//! `k * limit + burst` calls run: one more would need one more interval, which is at least that tick.

use std::time::Duration;

use super::quota::Quota;
use crate::clock::{Instant, nanos};

/// The latest tick: the TAT shares its word with two bits that the shell needs. The clock starts at 2^60
/// at most and a burst refills within 2^60, so only reservations made decades ahead come so far; they are refused.
pub(super) const LATEST: u64 = u64::MAX >> 2;

/// A quota as the algorithm reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pace {
    /// Ticks from one call to the next.
    pub(super) interval: u64,
    /// How far ahead of now the TAT may be for a call to run: all calls of a burst but one.
    pub(super) tolerance: u64,
    /// How many ticks are missing per nanosecond, in units of 2^-64.
    pub(super) shortfall: u64,
}

/// What a call is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot {
    /// When the call may run: now, or later.
    pub(super) at: Instant,
    /// The TAT after it.
    pub(super) tat: u64,
}

impl Pace {
    pub(super) const fn of(quota: Quota) -> Self {
        let (period, limit) = (nanos(quota.period()), quota.limit() as u64);
        let (interval, rest) = (period / limit, period % limit);
        Self {
            interval,
            tolerance: interval * (quota.burst_size() as u64 - 1),
            // `rest < limit <= period`, so this is below 2^64.
            shortfall: (((rest as u128) << 64) / period as u128) as u64,
        }
    }

    /// The slot of the next call.
    #[inline]
    pub(super) fn next(&self, tat: u64, now: Instant) -> Slot {
        let ticks = self.ticks(now);
        let at = if tat <= ticks + self.tolerance { now } else { self.moment(tat - self.tolerance) };
        Slot { at, tat: tat.max(ticks) + self.interval }
    }

    /// How many calls could run now.
    pub(super) fn free(&self, tat: u64, now: Instant) -> u32 {
        let ticks = self.ticks(now);
        let room = (ticks + self.tolerance + self.interval).saturating_sub(tat.max(ticks));
        u32::try_from(room / self.interval).unwrap_or(u32::MAX)
    }

    /// The TAT under a new pace.
    ///
    /// What was used stays used, up to the new burst. A slot that was reserved for a later moment stays where it
    /// is: until the last of them the old rate holds, and then the new one, from an empty bucket.
    pub(super) fn convert(&self, tat: u64, new: &Self, now: Instant) -> u64 {
        let (depth, new_depth) = (self.tolerance + self.interval, new.tolerance + new.interval);
        let last = self.moment(tat.saturating_sub(depth));
        if last > now {
            return new.ticks(last) + new_depth;
        }
        let used = u128::from(tat.saturating_sub(self.ticks(now)));
        let used = (used * u128::from(new.interval)).div_ceil(u128::from(self.interval));
        new.ticks(now) + u64::try_from(used).unwrap_or(u64::MAX).min(new_depth)
    }

    #[inline]
    fn ticks(&self, at: Instant) -> u64 {
        let nanos = at.as_nanos();
        // Most quotas divide; a branch that is always taken alike is cheaper than the multiplication.
        if self.shortfall == 0 {
            return nanos;
        }
        nanos - ((u128::from(nanos) * u128::from(self.shortfall)) >> 64) as u64
    }

    /// The first moment at which `ticks` have passed: the whole number above `(ticks - 1) / rate`.
    fn moment(&self, ticks: u64) -> Instant {
        if self.shortfall == 0 {
            return Instant::from_nanos(ticks);
        }
        let rate = (1 << 64) - u128::from(self.shortfall);
        // `ticks` is below 2^62 and the rate above one half, so this is below 2^63.
        Instant::from_nanos(
            ticks.checked_sub(1).map_or(0, |before| ((u128::from(before) << 64) / rate) as u64 + 1),
        )
    }
}

impl Slot {
    /// How long the call has to wait, seen from `now`.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.at.saturating_since(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STARTS: [u64; 4] = [1 << 32, 1 << 60, (1 << 60) + 1, 1_234_567_890_123_456_789];

    /// The TAT after `calls` calls at `now` that all found room.
    fn after(pace: &Pace, calls: u32, now: Instant) -> u64 {
        (0..calls).fold(0, |tat, call| {
            let slot = pace.next(tat, now);
            assert_eq!(slot.at, now, "call {call}");
            slot.tat
        })
    }

    #[test]
    fn a_period_refills_the_limit_exactly_where_it_does_not_divide() {
        for (limit, period) in [
            (3, 1_000_000_000),
            (7, 60_000_000_000),
            (999, 1_000_000_000),
            (1_000, 3_600_000_000_001),
            (7, 10),
        ] {
            let pace = Pace::of(Quota::new(limit, Duration::from_nanos(period)));
            for start in STARTS.map(Instant::from_nanos) {
                let tat = after(&pace, limit, start);
                let free = |nanos| pace.free(tat, start.saturating_add(Duration::from_nanos(nanos)));
                assert_eq!((free(0), free(period)), (0, limit));
                assert!(free(period - 2) < limit, "{limit} per {period} ns refills early");
            }
        }
    }

    #[test]
    fn the_rate_is_kept_for_decades() {
        // 599,999,999 a second: 1.67 ns a call. Rounding the interval to nanoseconds would be off by a fifth.
        let (limit, period) = (599_999_999, 1_000_000_000);
        let pace = Pace::of(Quota::per_second(limit).burst(1));
        for start in STARTS {
            for seconds in [1, 1_000, 1_000_000_000] {
                let end = Instant::from_nanos(start + seconds * period);
                let tat = pace.ticks(Instant::from_nanos(start)) + u64::from(limit) * seconds * pace.interval;
                assert!(pace.moment(tat).as_nanos().abs_diff(end.as_nanos()) <= 1, "{start} {seconds}");
            }
        }
    }

    #[test]
    fn a_call_too_early_is_told_its_moment() {
        let pace = Pace::of(Quota::per_second(10).burst(2));
        let now = Instant::from_nanos(1 << 60);
        let ms = |millis| now.saturating_add(Duration::from_millis(millis));
        let mut tat = 0;
        let moments = [0, 0, 100, 200, 300].map(|millis| {
            let slot = pace.next(tat, now);
            tat = slot.tat;
            (slot.at, ms(millis))
        });
        assert!(moments.iter().all(|(at, expected)| at == expected), "{moments:?}");
        assert_eq!([0, 300, 400, 500, 9_000].map(|millis| pace.free(tat, ms(millis))), [0, 0, 1, 2, 2]);
    }

    #[test]
    fn a_new_quota_keeps_what_was_used() {
        let (old, now) = (Pace::of(Quota::per_second(10)), Instant::from_nanos(1 << 60));
        let tat = after(&old, 4, now);
        for (quota, free) in [
            (Quota::per_second(10), 6),
            (Quota::per_minute(20), 16),
            (Quota::per_second(5), 1),
            (Quota::per_second(4), 0),
            (Quota::per_second(3), 0),
        ] {
            let new = Pace::of(quota);
            assert_eq!(new.free(old.convert(tat, &new, now), now), free, "{quota}");
        }
        // What was used beyond a smaller burst is forgiven: the next call comes after one interval.
        let (tat, small) = (after(&old, 10, now), Pace::of(Quota::per_second(2).burst(1)));
        assert_eq!(small.next(old.convert(tat, &small, now), now).wait(now), Duration::from_millis(500));
        let full = Pace::of(Quota::per_hour(1_000));
        assert_eq!(full.free(old.convert(0, &full, now), now), 1_000);
    }

    #[test]
    fn after_a_new_quota_calls_come_behind_those_that_wait() {
        let (old, now) = (Pace::of(Quota::per_second(10).burst(1)), Instant::from_nanos(1 << 60));
        let tat = (0..4).fold(0, |tat, _| old.next(tat, now).tat);
        for (quota, millis) in [(Quota::per_second(100), 310), (Quota::per_second(1).burst(5), 1_300)] {
            let new = Pace::of(quota);
            let slot = new.next(old.convert(tat, &new, now), now);
            assert_eq!(slot.wait(now), Duration::from_millis(millis), "{quota}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_is_the_first_at_which_its_ticks_have_passed(
            limit in 1..=u32::MAX, period in 1..1_u64 << 60, ticks in 1..=LATEST,
        ) {
            prop_assume!(period >= u64::from(limit));
            let pace = Pace::of(Quota::new(limit, Duration::from_nanos(period)).burst(1));
            let moment = pace.moment(ticks);
            prop_assume!(moment.as_nanos() <= LATEST);
            prop_assert_eq!(pace.ticks(moment), ticks);
            prop_assert!(pace.ticks(Instant::from_nanos(moment.as_nanos() - 1)) < ticks);
        }
    }
}
