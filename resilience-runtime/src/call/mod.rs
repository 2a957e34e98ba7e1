//! One call on its way through all policies: admit, attempt, settle, and again.
//!
//! A [`Call`] lives in the caller's own future and owns everything the call holds: its place in a queue, its
//! reservation, its slot in the bulkhead, its permit of the circuit. Whatever ends the call, a return, a dropped
//! future or a panic, ends in one place that gives everything back and counts the call exactly once.
//!
//! # Implementation Details
//!
//! The fast path, from [`Call::begin`] to [`Call::settle`], is plain functions; futures exist only for what really
//! waits. Two clock readings serve a call that is answered at its first attempt: when it begins and when its
//! attempt ends.
//!
//! A panic is told from a cancellation by *when* the call is dropped: user code runs only between setting and
//! clearing [`IN_USER_CODE`], so a call that is dropped while it is set was torn down by a panic of its own.
//! `thread::panicking()` would also be true for a future that a neighbour's panic drops.

mod attempt;
mod lend;
mod verdict;
mod wait;
mod work;

use std::time::Duration;

pub(crate) use self::{attempt::poll_attempt, wait::Waiting};
pub use self::{
    attempt::{Attempt, UntimedAttempt},
    lend::{Lent, ManagerFailure, NoConnection, give_back},
    verdict::Verdict,
    wait::{BackoffSleep, Wait},
};
use crate::{
    circuit::{Outcome, Ticket},
    class::ErrorClass,
    clock::{self, Instant},
    error::{ErrorKind, ResilienceError},
    events::Event,
    limiter::Reservation,
    registry::{HandlesRef, SiteCount},
    retry,
};

/// A slot of the bulkhead is held.
const HOLDS_SLOT: u8 = 1;
/// The user's code runs at this moment.
const IN_USER_CODE: u8 = 1 << 1;
/// The call has its result and is counted.
const SETTLED: u8 = 1 << 2;
/// The last failure was not retried because no retry was left.
const EXHAUSTED: u8 = 1 << 3;

/// A call under way.
///
/// Dropping it before it is settled cancels it: everything it holds goes back, and nothing is counted but the
/// cancellation.
#[derive(Debug)]
#[must_use = "dropping a call cancels it"]
pub struct Call<'h> {
    handles: HandlesRef<'h>,
    begun: Instant,
    attempt_begun: Instant,
    /// When the whole call is over.
    deadline: Instant,
    /// The delay before the next attempt, and of the one before.
    delay: Duration,
    waiting: Waiting,
    ticket: Option<Ticket>,
    attempts: u32,
    flags: u8,
}

/// The answer of [`Call::try_admit`].
#[derive(Debug)]
pub enum Admission {
    /// The attempt may run.
    Admitted,
    /// Something refused; the call is over.
    Refused(ResilienceError),
    /// The call has a place in a queue or a reservation; await [`Call::wait`].
    Wait,
}

/// The answer of [`Call::settle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The result is final.
    Done,
    /// Await [`Call::backoff`], then try again.
    Retry,
}

impl<'h> Call<'h> {
    #[inline]
    pub(crate) fn begin(handles: HandlesRef<'h>) -> Self {
        Self::begin_at(handles, clock::now())
    }

    #[inline]
    pub(crate) fn begin_at(handles: HandlesRef<'h>, begun: Instant) -> Self {
        handles.stats.count(SiteCount::Started);
        if let Some(budget) = &handles.budget {
            budget.deposit(begun);
        }
        let deadline = match handles.total_timeout {
            Some(limit) => begun.saturating_add(limit),
            None => Instant::FAR,
        };
        Self {
            handles,
            begun,
            attempt_begun: begun,
            deadline,
            delay: Duration::ZERO,
            waiting: Waiting::No,
            ticket: None,
            attempts: 0,
            flags: 0,
        }
    }

    /// Passes the chain in order: circuit peek, rate limit, bulkhead, circuit permit.
    #[inline]
    pub fn try_admit(&mut self) -> Admission {
        if self.attempts > 0 {
            self.attempt_begun = clock::now();
        }
        match self.pass() {
            Ok(true) => Admission::Admitted,
            Ok(false) => Admission::Wait,
            Err(error) => Admission::Refused(self.refuse(error)),
        }
    }

    /// Whether everything let the call through; `false` if it has to wait.
    #[inline]
    fn pass(&mut self) -> Result<bool, ResilienceError> {
        let now = self.attempt_begun;
        self.handles.check_running()?;
        if let Some(circuit) = &self.handles.circuit {
            circuit.peek(|| now)?;
        }
        if let Some(limiter) = &self.handles.limiter {
            let reservation = limiter.reserve(now, self.remaining(now).min(limiter.wait()))?;
            if reservation.waits {
                self.waiting = Waiting::Turn(reservation);
                return Ok(false);
            }
            return self.pass_bulkhead(Some(reservation));
        }
        self.pass_bulkhead(None)
    }

    /// The chain from the bulkhead on. A call that is refused here was not worth its reservation.
    #[inline]
    fn pass_bulkhead(&mut self, reservation: Option<Reservation>) -> Result<bool, ResilienceError> {
        let passed = match &self.handles.bulkhead {
            Some(bulkhead) if bulkhead.try_take() => {
                self.flags |= HOLDS_SLOT;
                self.pass_circuit().map(|()| true)
            }
            Some(bulkhead) => match bulkhead.enter(|| self.attempt_begun) {
                Ok(place) => {
                    self.waiting = Waiting::Slot(place);
                    return Ok(false);
                }
                Err(error) => Err(error),
            },
            None => self.pass_circuit().map(|()| true),
        };
        if let (Err(_), Some(reservation), Some(limiter)) = (&passed, reservation, &self.handles.limiter) {
            limiter.give_back(reservation);
        }
        passed
    }

    /// The last step: the circuit's permit.
    #[inline]
    fn pass_circuit(&mut self) -> Result<(), ResilienceError> {
        let now = self.attempt_begun;
        if let Some(circuit) = &self.handles.circuit {
            match circuit.admit(|| now) {
                Ok(ticket) => self.ticket = Some(ticket),
                Err(error) => {
                    self.release_slot();
                    return Err(error);
                }
            }
        }
        self.attempts = self.attempts.saturating_add(1);
        self.handles.stats.count(SiteCount::Attempts);
        Ok(())
    }

    /// Records an attempt's result, gives back what it held, and decides what comes next.
    #[inline]
    pub fn settle(&mut self, verdict: Verdict<'_>) -> Next {
        let now = clock::now();
        self.release_slot();
        if let (Some(ticket), Some(circuit)) = (self.ticket.take(), &self.handles.circuit) {
            let took = now.saturating_since(self.attempt_begun);
            // Rendering the error, and a trip policy, are the user's code.
            self.flags |= IN_USER_CODE;
            circuit.settle(ticket, verdict.outcome, Some(took), || now, verdict.cause);
            self.flags &= !IN_USER_CODE;
        }
        match verdict.retry {
            Some(class) if self.plan_retry(class, now) => Next::Retry,
            _ => {
                let count = if verdict.failed { SiteCount::Failed } else { SiteCount::Succeeded };
                self.conclude(count, now);
                Next::Done
            }
        }
    }

    /// Records an attempt that ran out of time. The attempt's future must be gone.
    #[cold]
    pub fn settle_timeout(&mut self) -> Next {
        let now = clock::now();
        self.release_slot();
        if let (Some(ticket), Some(circuit)) = (self.ticket.take(), &self.handles.circuit) {
            let took = now.saturating_since(self.attempt_begun);
            circuit.settle(ticket, Outcome::TimedOut, Some(took), || now, None);
        }
        if now < self.deadline && self.plan_retry(ErrorClass::Transient, now) {
            return Next::Retry;
        }
        self.conclude(SiteCount::TimedOut, now);
        let handles = &*self.handles;
        handles
            .bus
            .emit(|| Event::Refused { site: handles.stats.label().clone(), kind: ErrorKind::TimedOut });
        Next::Done
    }

    /// Whether there will be another attempt; asks the number of attempts, the deadline, the circuit and last the
    /// budget, so that no token is spent on a retry that something else forbids.
    #[cold]
    fn plan_retry(&mut self, class: ErrorClass, now: Instant) -> bool {
        let handles = &*self.handles;
        let Some(settings) = &handles.retry else {
            return false;
        };
        let failure = retry::Failure {
            attempts: self.attempts,
            class,
            previous: (self.attempts > 1).then_some(self.delay),
            elapsed: now.saturating_since(self.begun),
            remaining: (self.deadline != Instant::FAR).then(|| self.deadline.saturating_since(now)),
        };
        let delay = match retry::decide(settings, failure, handles.random()) {
            Ok(delay) => delay,
            Err(stop) => {
                if stop == retry::Stop::Exhausted && settings.max > 0 {
                    self.flags |= EXHAUSTED;
                }
                return false;
            }
        };
        let resumed = now.saturating_add(delay);
        if handles.circuit.as_ref().is_some_and(|circuit| !circuit.would_admit(resumed)) {
            return false;
        }
        if handles.budget.as_ref().is_some_and(|budget| !budget.withdraw(now)) {
            handles.stats.count(SiteCount::BudgetExhausted);
            handles.bus.emit(|| Event::BudgetExhausted { site: handles.stats.label().clone() });
            return false;
        }
        handles.stats.count(SiteCount::Retries);
        handles.bus.emit(|| Event::Retrying {
            site: handles.stats.label().clone(),
            attempt: self.attempts + 1,
            delay,
        });
        self.delay = delay;
        self.waiting = Waiting::Backoff(resumed);
        true
    }

    /// Records an attempt that got no answer from the user's code: it ran out of time, or something it needs refused.
    /// A refusal says nothing about the dependency, and is not tried again.
    #[cold]
    pub fn settle_refusal(&mut self, refusal: &ResilienceError) -> Next {
        if refusal.kind() == ErrorKind::TimedOut {
            return self.settle_timeout();
        }
        self.release_slot();
        if let (Some(ticket), Some(circuit)) = (self.ticket.take(), &self.handles.circuit) {
            circuit.settle(ticket, Outcome::Ignored, None, clock::now, None);
        }
        self.refused(refusal.kind());
        Next::Done
    }

    /// Counts a refusal; the call is over.
    #[cold]
    pub(crate) fn refuse(&mut self, error: ResilienceError) -> ResilienceError {
        self.refused(error.kind());
        error
    }

    fn refused(&mut self, kind: ErrorKind) {
        self.flags |= SETTLED;
        let handles = &*self.handles;
        handles.stats.refused(kind);
        handles.bus.emit(|| Event::Refused { site: handles.stats.label().clone(), kind });
    }

    #[inline]
    fn conclude(&mut self, count: SiteCount, now: Instant) {
        self.flags |= SETTLED;
        self.handles.stats.conclude(count, now.saturating_since(self.begun));
    }

    /// Ends the call. `fell_back` says that a fallback answers in its place; it runs after this.
    #[inline]
    pub fn finish(self, fell_back: bool) {
        if fell_back {
            let handles = &*self.handles;
            handles.stats.count(SiteCount::Fallbacks);
            handles.bus.emit(|| Event::FellBack { site: handles.stats.label().clone() });
        }
    }

    /// Attempts begun so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the last result is final because all retries were used.
    #[must_use]
    pub const fn exhausted(&self) -> bool {
        self.flags & EXHAUSTED != 0
    }

    /// Runs the user's code, so that a panic in it counts as a failure of this call.
    #[inline]
    pub fn user<R>(&mut self, run: impl FnOnce() -> R) -> R {
        self.flags |= IN_USER_CODE;
        let result = run();
        self.flags &= !IN_USER_CODE;
        result
    }

    /// The error of a call whose attempt, or whole, took too long.
    #[cold]
    fn timed_out(&self, now: Instant) -> ResilienceError {
        let handles = &*self.handles;
        let after = match (handles.total_timeout, handles.timeout) {
            (Some(total), _) if now >= self.deadline => total,
            (_, attempt) => attempt.unwrap_or_default(),
        };
        ResilienceError::TimedOut { site: handles.stats.label().clone(), after }
    }

    /// When the attempt under way has to be over.
    #[inline]
    fn attempt_deadline(&self) -> Instant {
        match self.handles.timeout {
            Some(limit) => self.attempt_begun.saturating_add(limit).min(self.deadline),
            None => self.deadline,
        }
    }

    /// How long the call may still wait, for those who would otherwise let it wait in vain.
    #[inline]
    fn remaining(&self, now: Instant) -> Duration {
        if self.deadline == Instant::FAR { Duration::MAX } else { self.deadline.saturating_since(now) }
    }

    #[inline]
    fn release_slot(&mut self) {
        if self.flags & HOLDS_SLOT != 0 {
            self.flags &= !HOLDS_SLOT;
            if let Some(bulkhead) = &self.handles.bulkhead {
                bulkhead.put_back();
            }
        }
    }

    /// Leaves the queue or returns the reservation.
    fn stop_waiting(&mut self) {
        match std::mem::replace(&mut self.waiting, Waiting::No) {
            Waiting::No | Waiting::Backoff(_) => {}
            Waiting::Slot(mut place) => {
                if let Some(bulkhead) = &self.handles.bulkhead {
                    bulkhead.leave(&mut place);
                }
            }
            Waiting::Turn(reservation) => {
                if let Some(limiter) = &self.handles.limiter {
                    limiter.give_back(reservation);
                }
            }
        }
    }

    /// What a call that ends without a result leaves behind: nothing, and one count.
    #[cold]
    fn abandon(&mut self) {
        self.stop_waiting();
        self.release_slot();
        let now = clock::now();
        let panicked = self.flags & IN_USER_CODE != 0;
        if let (Some(ticket), Some(circuit)) = (self.ticket.take(), &self.handles.circuit) {
            let outcome = if panicked { Outcome::Panicked } else { Outcome::Cancelled };
            circuit.settle(ticket, outcome, Some(now.saturating_since(self.attempt_begun)), || now, None);
        }
        self.handles.stats.count(if panicked { SiteCount::Panicked } else { SiteCount::Cancelled });
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.flags & SETTLED == 0 {
            self.abandon();
        }
    }
}
