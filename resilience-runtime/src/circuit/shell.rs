//! The concurrent shell around the circuit's word.
//!
//! # Implementation Details
//!
//! One atomic word holds state, generation and probe counters ([`Word`]). Every change of it is one compare-exchange
//! from an expected word, so changes are linearisable, and whoever wins a transition alone tells of it.
//!
//! Beside the word stands `due`, the moment at which time alone ends an open or a half-open period. Transitions, and
//! the first probe of a period, set it. They hold a small lock while they do, and store `due` *before* the
//! compare-exchange that makes it matter; a reader that sees the new word therefore sees its `due`. It may see a
//! later one, if it is overtaken by a whole transition between its two loads. Then it judges a word that is no
//! longer current: it refuses where it might have admitted, or its compare-exchange fails. Calls through a closed
//! circuit touch neither the lock nor `due`.
//!
//! What time alone brings about is visible to readers at once, and committed by the first call that needs it.

use std::{fmt, time::Duration};

use super::{breaker::CircuitBreaker, listeners::FailureReport, rules::WindowTotals, word::Word};
use crate::{
    clock::Instant,
    error::ResilienceError,
    events::{CircuitState, Event, Transition, TransitionReason, TripReason},
    settings::WindowShape,
    sync::atomic::Ordering,
    window::{Kind, Sums},
};

/// What became of a call that a circuit let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Cancelled,
    Failure,
    Ignored,
    Panicked,
    Success,
    TimedOut,
}

/// The right to report one result to the state that let the call through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ticket {
    pub(super) generation: u32,
}

/// What a circuit counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    Succeeded,
    Failed,
    TimedOut,
    Panicked,
    Ignored,
    Cancelled,
    Refused,
    Late,
    Slow,
}

pub(super) const COUNTS: usize = Count::Slow as usize + 1;

/// What only transitions touch.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) settings: crate::settings::CircuitSettings,
    pub(super) last: Option<Transition>,
    /// The text of the error that tripped the circuit.
    pub(super) cause: Option<String>,
}

/// When the state that a transition enters ends by itself.
enum Due {
    /// After the open time.
    Opened,
    /// Never, or once a probe is let through.
    Unset,
}

impl CircuitBreaker {
    /// Whether a call would be let through at this moment; counts a refusal, takes nothing.
    #[inline]
    pub(crate) fn peek(&self, now: impl FnOnce() -> Instant) -> Result<(), ResilienceError> {
        if Word::is_closed(self.word.load(Ordering::Acquire)) {
            return Ok(());
        }
        self.peek_slow(now())
    }

    #[cold]
    fn peek_slow(&self, now: Instant) -> Result<(), ResilienceError> {
        if self.would_admit(now) { Ok(()) } else { Err(self.refuse(now)) }
    }

    /// Whether a call at `at` would be let through, as things stand.
    pub(crate) fn would_admit(&self, at: Instant) -> bool {
        let (word, _) = self.view(at);
        match word.state {
            CircuitState::Open | CircuitState::ForcedOpen => false,
            CircuitState::HalfOpen => word.admitted < self.live.probes().0,
            CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => true,
        }
    }

    /// Lets a call through, or refuses it.
    #[inline]
    pub(crate) fn admit(&self, now: impl FnOnce() -> Instant) -> Result<Ticket, ResilienceError> {
        let word = self.word.load(Ordering::Acquire);
        if Word::is_closed(word) {
            return Ok(Ticket { generation: Word::generation_of(word) });
        }
        self.admit_slow(now())
    }

    #[cold]
    fn admit_slow(&self, now: Instant) -> Result<Ticket, ResilienceError> {
        loop {
            let word = self.catch_up(now);
            let ticket = Ticket { generation: word.generation };
            match word.state {
                CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => {
                    return Ok(ticket);
                }
                CircuitState::Open | CircuitState::ForcedOpen => return Err(self.refuse(now)),
                CircuitState::HalfOpen => {
                    if word.admitted >= self.live.probes().0 {
                        return Err(self.refuse(now));
                    }
                    let probing = Word { admitted: word.admitted + 1, ..word };
                    let admitted = if word.admitted == 0 {
                        // The first probe of a period starts the time in which there has to be a verdict.
                        let record = self.record.lock();
                        let admitted =
                            self.exchange_due(word, probing, now.saturating_add(self.live.verdict_time()));
                        drop(record);
                        admitted
                    } else {
                        self.exchange(word, probing)
                    };
                    if admitted {
                        return Ok(ticket);
                    }
                }
            }
        }
    }

    /// Takes a call's result. `took` is its duration where that is known, `cause` the text of its error.
    #[inline]
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<Duration>,
        now: impl FnOnce() -> Instant,
        cause: Option<&dyn fmt::Display>,
    ) {
        let word = self.word.load(Ordering::Acquire);
        let current = Word::is_closed(word) && Word::generation_of(word) == ticket.generation;
        let healthy = outcome == Outcome::Success && !self.live.is_slow(took);
        if current && healthy && self.trip_policy.is_none() {
            let mut at = None;
            let now = || *at.insert(now());
            if let Some(sums) = self.window.record(ticket.generation, Kind::default(), now) {
                let recorder = self.stats.recorder();
                recorder.count(Count::Succeeded as usize);
                if let Some(took) = took {
                    recorder.time(took);
                }
                self.run.success();
                if sums.failures != 0 || sums.slow != 0 {
                    // A success can complete `min_calls`, or find a rate that a concurrent failure has raised.
                    self.judge(ticket.generation, sums, 0, at, None);
                }
                return;
            }
            self.stats.count(Count::Late as usize);
            return;
        }
        self.settle_slow(ticket, outcome, took, now(), cause);
    }

    #[cold]
    fn settle_slow(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    ) {
        let word = self.catch_up(now);
        let neutral = matches!(outcome, Outcome::Cancelled | Outcome::Ignored);
        let counted = word.generation == ticket.generation && self.absorb(word, outcome, took, now, cause);
        if !counted && !neutral {
            // The state that let the call through is over: its result says nothing about this one.
            self.stats.count(Count::Late as usize);
            return;
        }
        if word.state == CircuitState::Disabled {
            return;
        }
        let recorder = self.stats.recorder();
        recorder.count(match outcome {
            Outcome::Cancelled => Count::Cancelled,
            Outcome::Failure => Count::Failed,
            Outcome::Ignored => Count::Ignored,
            Outcome::Panicked => Count::Panicked,
            Outcome::Success => Count::Succeeded,
            Outcome::TimedOut => Count::TimedOut,
        } as usize);
        if neutral {
            return;
        }
        if let Some(took) = took {
            recorder.time(took);
        }
        if self.live.is_slow(took) {
            recorder.count(Count::Slow as usize);
        }
        if outcome != Outcome::Success {
            self.listeners.failed(|| FailureReport::new(self.label().clone(), outcome, took));
        }
    }

    /// Lets the state take a result; `false` if that state ended before it could.
    fn absorb(
        &self,
        mut word: Word,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    ) -> bool {
        let neutral = matches!(outcome, Outcome::Cancelled | Outcome::Ignored);
        let generation = word.generation;
        match word.state {
            CircuitState::Disabled => true,
            CircuitState::Closed | CircuitState::MetricsOnly => {
                neutral || self.count_in_window(generation, outcome, took, now, cause)
            }
            CircuitState::HalfOpen => loop {
                if neutral {
                    // The slot was never used: the next call may have it.
                    let given_back = Word { admitted: word.admitted.saturating_sub(1), ..word };
                    if self.exchange(word, given_back) {
                        return true;
                    }
                } else if self.count_probe(word, outcome == Outcome::Success, now, cause) {
                    return true;
                }
                word = self.load();
                if word.generation != generation {
                    return false;
                }
            },
            // No call was let through in these, so no ticket is of their generation; by hand nothing counts either.
            CircuitState::Open | CircuitState::ForcedOpen => false,
        }
    }

    fn count_in_window(
        &self,
        generation: u32,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    ) -> bool {
        let failure = outcome != Outcome::Success;
        let kind = Kind { failure, slow: self.live.is_slow(took) };
        let Some(sums) = self.window.record(generation, kind, || now) else {
            return false;
        };
        let consecutive = if failure {
            self.run.failure(generation, &self.live, || now)
        } else {
            self.run.success();
            0
        };
        self.judge(generation, sums, consecutive, Some(now), cause);
        true
    }

    /// Trips the circuit if the rules say so.
    #[cold]
    fn judge(
        &self,
        generation: u32,
        sums: Sums,
        consecutive_failures: u32,
        now: Option<Instant>,
        cause: Option<&dyn fmt::Display>,
    ) {
        let word = self.load();
        if word.state != CircuitState::Closed || word.generation != generation {
            return;
        }
        let reason = match &self.trip_policy {
            Some(policy) => policy.should_trip(&WindowTotals {
                calls: sums.calls,
                failures: sums.failures,
                slow: sums.slow,
                consecutive_failures,
            }),
            None => self.live.should_trip(sums, consecutive_failures),
        };
        if let Some(reason) = reason {
            // ## Closed => Open
            let now = now.unwrap_or_else(Instant::now);
            self.transition(word, CircuitState::Open, TransitionReason::Tripped(reason), now, cause);
        }
    }

    /// Counts a probe's result; `false` if the word has changed meanwhile.
    fn count_probe(&self, word: Word, success: bool, now: Instant, cause: Option<&dyn fmt::Display>) -> bool {
        let (probes, needed) = self.live.probes();
        let (probed, decided) = word.probed(success, probes, needed);
        match decided {
            None => self.exchange(word, probed),
            Some(CircuitState::Closed) => {
                self.transition(word, CircuitState::Closed, TransitionReason::Recovered, now, None)
            }
            Some(state) => {
                let reason = TransitionReason::Tripped(TripReason::ProbeFailed);
                self.transition(word, state, reason, now, cause)
            }
        }
    }

    /// Counts an outcome that no permit stands behind: in closed and half-open, never in open.
    pub(super) fn record(&self, outcome: Outcome, now: Instant) {
        let word = self.catch_up(now);
        if !matches!(word.state, CircuitState::Open | CircuitState::ForcedOpen) {
            self.settle_slow(Ticket { generation: word.generation }, outcome, None, now, None);
        }
    }

    /// Commits what time alone has brought about, and returns the word after it.
    pub(super) fn catch_up(&self, now: Instant) -> Word {
        loop {
            let word = self.load();
            let due = self.due();
            match word.lapsed(due, now) {
                None => return word,
                Some(state) => {
                    self.transition(word, state, lapse(state), due, None);
                }
            }
        }
    }

    /// What a reader sees at `now`: the word after everything that time alone has brought about, and its due time.
    pub(super) fn view(&self, now: Instant) -> (Word, Instant) {
        let (mut word, mut due) = (self.load(), self.due());
        let mut streak = self.streak.load(Ordering::Acquire);
        while let Some(state) = word.lapsed(due, now) {
            word = Word::entered(state, word.generation.wrapping_add(1));
            if state == CircuitState::Open {
                streak = streak.saturating_add(1);
                due = due.saturating_add(self.open_time(streak, word.generation));
            }
        }
        (word, due)
    }

    /// Moves the circuit to another state; `false` if the word is no longer the expected one. The winner alone
    /// tells of it, after everything internal is released.
    pub(super) fn transition(
        &self,
        from: Word,
        to: CircuitState,
        reason: TransitionReason,
        at: Instant,
        cause: Option<&dyn fmt::Display>,
    ) -> bool {
        // Rendering the user's error is the user's code; it must not run under the lock.
        let cause = cause.map(ToString::to_string);
        let mut record = self.record.lock();
        if self.load() != from {
            return false;
        }
        let entered = Word::entered(to, from.generation.wrapping_add(1));
        let streak = match (from.state, to) {
            (CircuitState::HalfOpen, CircuitState::Open) => {
                self.streak.load(Ordering::Relaxed).saturating_add(1)
            }
            (CircuitState::Open, CircuitState::HalfOpen) => self.streak.load(Ordering::Relaxed),
            _ => 0,
        };
        let due = match end_of(to) {
            Due::Opened => at.saturating_add(self.open_time(streak, entered.generation)),
            Due::Unset => Instant::FAR,
        };
        if matches!(to, CircuitState::Closed | CircuitState::MetricsOnly) {
            self.window.clear(entered.generation);
        }
        if !self.exchange_due(from, entered, due) {
            return false;
        }
        self.streak.store(streak, Ordering::Release);
        let transition = Transition { circuit: self.label().clone(), from: from.state, to, reason, at };
        record.last = Some(transition.clone());
        if to == CircuitState::Open {
            record.cause = cause;
        }
        drop(record);
        if from.state != to {
            self.tell(transition);
        }
        true
    }

    /// Gives the window another shape, under the lock. A new generation keeps apart what was let through before: in
    /// half-open the probes go on, whose results the window does not see.
    pub(super) fn reshape(&self, shape: WindowShape) {
        loop {
            let word = self.load();
            let counts = matches!(word.state, CircuitState::Closed | CircuitState::MetricsOnly);
            let generation = if counts { word.generation.wrapping_add(1) } else { word.generation };
            let next = Word::unpack(Word { generation, ..word }.pack());
            self.window.reshape(shape, next.generation);
            if self.exchange(word, next) {
                return;
            }
        }
    }

    fn tell(&self, transition: Transition) {
        if let Some(bus) = self.bus.get() {
            bus.emit(|| Event::Transition(transition.clone()));
        }
        self.listeners.changed(&transition);
    }

    /// One compare-exchange of the word.
    fn exchange(&self, from: Word, to: Word) -> bool {
        self.word.compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The same with a new due time, stored first; under the lock, so that nobody else stores one.
    fn exchange_due(&self, from: Word, to: Word, due: Instant) -> bool {
        let before = self.due.swap(due.as_nanos(), Ordering::AcqRel);
        let exchanged = self.exchange(from, to);
        if !exchanged {
            // A probe's result came between; the period goes on under the time it had.
            self.due.store(before, Ordering::Release);
        }
        exchanged
    }

    #[cold]
    fn refuse(&self, now: Instant) -> ResilienceError {
        self.stats.count(Count::Refused as usize);
        let (word, due) = self.view(now);
        let retry_after = (word.state == CircuitState::Open).then(|| due.saturating_since(now));
        ResilienceError::CircuitOpen { circuit: self.label().clone(), retry_after }
    }

    pub(super) fn load(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    fn due(&self) -> Instant {
        Instant::from_nanos(self.due.load(Ordering::Acquire))
    }

    /// The same for whoever asks, so that readers and the call that commits agree on it.
    fn open_time(&self, streak: u32, generation: u32) -> Duration {
        let seed = self.seed.load(Ordering::Relaxed);
        self.live.open_time(streak, fastrand::Rng::with_seed(seed ^ u64::from(generation)).u64(..))
    }
}

const fn end_of(state: CircuitState) -> Due {
    match state {
        CircuitState::Open => Due::Opened,
        _ => Due::Unset,
    }
}

/// Why time alone changed the state.
const fn lapse(to: CircuitState) -> TransitionReason {
    match to {
        CircuitState::HalfOpen => TransitionReason::OpenTimeElapsed,
        _ => TransitionReason::Tripped(TripReason::ProbeTimedOut),
    }
}
