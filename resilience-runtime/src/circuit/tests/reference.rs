//! A circuit breaker as one would write it in ten minutes: plain fields, a list for a window, no threads.

use std::time::Duration;

use super::super::Outcome;
use crate::{
    events::{
        CircuitState::{self, Closed, Disabled, ForcedOpen, HalfOpen, MetricsOnly, Open},
        TransitionReason::{self, ByHand, OpenTimeElapsed, Recovered, Tripped},
        TripReason,
    },
    settings::{CircuitSettings, WindowShape},
};

/// From, to, why, and the nanosecond it was due.
pub(super) type Change = (CircuitState, CircuitState, TransitionReason, u64);

#[derive(Debug)]
pub(super) struct Reference {
    pub(super) settings: CircuitSettings,
    pub(super) state: CircuitState,
    pub(super) generation: u32,
    /// End of the open time.
    pub(super) open_until: u64,
    /// End of the running probes' time.
    verdict_until: u64,
    pub(super) streak: u32,
    running: usize,
    succeeded: usize,
    failed: usize,
    /// When, failure, slow.
    window: Vec<(u64, bool, bool)>,
    run: u32,
    last_failure: Option<u64>,
    pub(super) totals: Totals,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) timed_out: u64,
    pub(super) panicked: u64,
    pub(super) ignored: u64,
    pub(super) cancelled: u64,
    pub(super) refused: u64,
    pub(super) late: u64,
    pub(super) slow: u64,
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Reference {
    pub(super) fn new(settings: CircuitSettings) -> Self {
        Self {
            settings,
            state: Closed,
            generation: 0,
            open_until: 0,
            verdict_until: 0,
            streak: 0,
            running: 0,
            succeeded: 0,
            failed: 0,
            window: Vec::new(),
            run: 0,
            last_failure: None,
            totals: Totals::default(),
            changes: Vec::new(),
        }
    }

    /// The longest an open period may last.
    pub(super) fn longest_open_time(&self) -> u64 {
        let open = nanos(self.settings.open_time());
        let longest = self.settings.open_max.map_or(open, nanos);
        (open << self.streak.min(20)).min(longest)
    }

    /// Brings about what time alone does. `end` says where an open period that begins now ends: the one thing a
    /// reference without the seed cannot know.
    pub(super) fn lapse(&mut self, now: u64, end: &dyn Fn(&Self, u64) -> u64) {
        loop {
            if self.state == Open && now >= self.open_until {
                self.enter(HalfOpen, OpenTimeElapsed, self.open_until, end);
            } else if self.state == HalfOpen && self.running > 0 && now >= self.verdict_until {
                self.enter(Open, Tripped(TripReason::ProbeTimedOut), self.verdict_until, end);
            } else {
                return;
            }
        }
    }

    pub(super) fn enter(
        &mut self,
        to: CircuitState,
        reason: TransitionReason,
        at: u64,
        end: &dyn Fn(&Self, u64) -> u64,
    ) {
        self.streak = match (self.state, to) {
            (HalfOpen, Open) => self.streak + 1,
            (Open, HalfOpen) => self.streak,
            _ => 0,
        };
        self.generation += 1;
        if self.state != to {
            self.changes.push((self.state, to, reason, at));
        }
        self.state = to;
        (self.running, self.succeeded, self.failed, self.run) = (0, 0, 0, 0);
        if to == Open {
            self.open_until = end(self, at);
        }
        if self.counts() {
            self.window.clear();
        }
    }

    pub(super) fn by_hand(&mut self, to: CircuitState, now: u64, end: &dyn Fn(&Self, u64) -> u64) {
        if self.state != to || to == Closed {
            self.enter(to, ByHand, now, end);
        }
    }

    fn counts(&self) -> bool {
        matches!(self.state, Closed | MetricsOnly)
    }

    pub(super) fn admitted(&self) -> usize {
        self.running + self.succeeded + self.failed
    }

    pub(super) fn would_admit(&self) -> bool {
        match self.state {
            Open | ForcedOpen => false,
            HalfOpen => self.admitted() < self.settings.most_probes(),
            _ => true,
        }
    }

    pub(super) fn admit(&mut self, now: u64) -> Option<u32> {
        if !self.would_admit() {
            self.totals.refused += 1;
            return None;
        }
        if self.state == HalfOpen {
            if self.running == 0 {
                self.verdict_until = now + nanos(self.settings.verdict_time());
            }
            self.running += 1;
        }
        Some(self.generation)
    }

    pub(super) fn settle(
        &mut self,
        generation: u32,
        outcome: Outcome,
        took: Option<Duration>,
        now: u64,
        end: &dyn Fn(&Self, u64) -> u64,
    ) {
        let neutral = matches!(outcome, Outcome::Cancelled | Outcome::Ignored);
        if generation != self.generation {
            if neutral {
                self.count(outcome, None)
            } else {
                self.totals.late += 1
            }
            return;
        }
        if self.state == HalfOpen {
            self.running -= 1;
        }
        if neutral && self.state != Disabled {
            self.count(outcome, None)
        } else {
            self.result(outcome, took, now, end)
        }
    }

    pub(super) fn record(&mut self, outcome: Outcome, now: u64, end: &dyn Fn(&Self, u64) -> u64) {
        if !matches!(self.state, Open | ForcedOpen) {
            self.result(outcome, None, now, end);
        }
    }

    fn result(
        &mut self,
        outcome: Outcome,
        took: Option<Duration>,
        now: u64,
        end: &dyn Fn(&Self, u64) -> u64,
    ) {
        let failure = outcome != Outcome::Success;
        let slow = self.is_slow(took);
        match self.state {
            Disabled => return,
            HalfOpen => {
                *(if failure { &mut self.failed } else { &mut self.succeeded }) += 1;
                self.verdict(now, end);
            }
            _ => {
                self.run = match self.settings.failure_reset {
                    _ if !failure => 0,
                    Some(reset) if self.last_failure.is_none_or(|last| now - last >= nanos(reset)) => 1,
                    _ => self.run + 1,
                };
                if failure && self.settings.failure_reset.is_some() {
                    self.last_failure = Some(now);
                }
                self.window.push((now, failure, slow));
                self.judge(now, failure, end);
            }
        }
        self.count(outcome, took);
    }

    fn verdict(&mut self, now: u64, end: &dyn Fn(&Self, u64) -> u64) {
        let (probes, needed) = (self.settings.most_probes(), self.settings.successes());
        if self.succeeded >= needed {
            self.enter(Closed, Recovered, now, end);
        } else if self.failed + needed > probes {
            self.enter(Open, Tripped(TripReason::ProbeFailed), now, end);
        }
    }

    fn judge(&mut self, now: u64, failure: bool, end: &dyn Fn(&Self, u64) -> u64) {
        let (calls, failures, slow) = self.sums(now);
        let rate = |part: u32| f64::from(part) / f64::from(calls);
        let reason = match self.settings.failure_threshold {
            Some(threshold) if failure && self.run >= threshold => {
                TripReason::ConsecutiveFailures { count: self.run }
            }
            _ if (calls as usize) < self.settings.least_calls() => return,
            _ if self.settings.trip_rate().is_some_and(|limit| rate(failures) >= limit) => {
                TripReason::FailureRate { rate: rate(failures), calls }
            }
            _ if self.settings.trip_slow_rate().is_some_and(|limit| rate(slow) >= limit) => {
                TripReason::SlowCallRate { rate: rate(slow), calls }
            }
            _ => return,
        };
        if self.state == Closed {
            self.enter(Open, Tripped(reason), now, end);
        }
    }

    pub(super) fn configure(&mut self, settings: CircuitSettings, now: u64, end: &dyn Fn(&Self, u64) -> u64) {
        if self.settings.window_shape() != settings.window_shape() {
            self.window.clear();
            if self.counts() {
                self.generation += 1;
                self.run = 0;
            }
        }
        self.settings = settings;
        if self.state == HalfOpen {
            self.verdict(now, end);
        }
    }

    /// Calls, failures, slow calls.
    pub(super) fn sums(&self, now: u64) -> (u32, u32, u32) {
        let inside: Vec<_> = match self.settings.window_shape() {
            WindowShape::Count(calls) => self.window.iter().rev().take(calls).collect(),
            WindowShape::Time(length) => {
                let bucket = nanos(length) / 10;
                let first = self.window.first().map_or(0, |(at, ..)| *at);
                let since = |at: u64| (at - first) / bucket;
                self.window.iter().filter(|(at, ..)| since(*at) + 10 > since(now)).collect()
            }
        };
        let failures = inside.iter().filter(|(_, failure, _)| *failure).count();
        let slow = inside.iter().filter(|(_, _, slow)| *slow).count();
        (inside.len() as u32, failures as u32, slow as u32)
    }

    pub(super) fn run(&self, now: u64) -> u32 {
        match (self.settings.failure_reset, self.last_failure) {
            (None, _) => self.run,
            (Some(reset), Some(last)) if now - last < nanos(reset) => self.run,
            _ => 0,
        }
    }

    fn is_slow(&self, took: Option<Duration>) -> bool {
        matches!((took, self.settings.slow_call), (Some(took), Some(limit)) if took > limit)
    }

    fn count(&mut self, outcome: Outcome, took: Option<Duration>) {
        let slow = self.is_slow(took);
        self.totals.slow += u64::from(slow);
        *match outcome {
            Outcome::Cancelled => &mut self.totals.cancelled,
            Outcome::Failure => &mut self.totals.failed,
            Outcome::Ignored => &mut self.totals.ignored,
            Outcome::Panicked => &mut self.totals.panicked,
            Outcome::Success => &mut self.totals.succeeded,
            Outcome::TimedOut => &mut self.totals.timed_out,
        } += 1;
    }
}
