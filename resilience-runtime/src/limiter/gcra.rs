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
        let nanos = at.as_nanos().min(LATEST);
        nanos - self.missing(nanos)
    }

    #[inline]
    fn missing(&self, nanos: u64) -> u64 {
        ((u128::from(nanos) * u128::from(self.shortfall)) >> 64) as u64
    }

    /// The first moment at which `ticks` have passed: the whole number above `(ticks - 1) / rate`.
    fn moment(&self, ticks: u64) -> Instant {
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
