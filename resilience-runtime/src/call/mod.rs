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
//! attempt ends. They are most of what it costs, so the rest is kept from costing more: a thread looks its stripe up
//! once at each end, and no result that could be an error passes through the happy path, since those are written to
//! memory in pieces and read back whole, for which processors have to wait.
//!
//! A panic is told from a cancellation by *when* the call is dropped: user code runs only between setting and
//! clearing [`IN_USER_CODE`], so a call that is dropped while it is set was torn down by a panic of its own. From the
//! end of an attempt to its settling it stays set, since the attempt's future is dropped in between.
//! `thread::panicking()` would also be true for a future that a neighbour's panic drops.

mod attempt;
mod lend;
mod pause;
mod run;
mod verdict;
mod work;

use std::{fmt, sync::Arc, task::Poll, time::Duration};

pub(crate) use self::attempt::poll_body;
use self::pause::Waiting;
pub use self::{
    attempt::{Attempt, UntimedAttempt},
    lend::{Lent, ManagerFailure, NoConnection, give_back},
    pause::{Admit, NoRoom, Parts, Room, Timer, WaitingRoom},
    run::Run,
    verdict::{Judge, Verdict},
};
use crate::{
    bulkhead, circuit,
    circuit::{Outcome, Ticket},
    class::ErrorClass,
    clock::{self, Instant},
    error::{ErrorKind, ResilienceError},
    events::Event,
    limiter::Reservation,
    registry::{Handles, HandlesRef, SiteCount},
    retry,
    stats::Sample,
    sync::stripe::{self, Stripe},
};

/// A slot of the bulkhead is held.
const HOLDS_SLOT: u16 = 1;
/// The user's code runs at this moment.
const IN_USER_CODE: u16 = 1 << 1;
/// The call has its result and is counted.
const SETTLED: u16 = 1 << 2;
/// The last failure was not retried because no retry was left.
const EXHAUSTED: u16 = 1 << 3;
/// A permit of the circuit is held.
const HOLDS_PERMIT: u16 = 1 << 4;
/// The call was not admitted at once.
const HINDERED: u16 = 1 << 5;
/// The attempt may run, or runs.
const ADMITTED: u16 = 1 << 6;
/// The next attempt is not due yet.
const BACKING_OFF: u16 = 1 << 7;
/// The attempt ran out of time, and is to be settled when its future is gone.
const OVERDUE: u16 = 1 << 8;
/// The call has a place in a queue or a reservation.
const WAITING: u16 = 1 << 9;

/// What a refused call tells when its wait is not known.
const NO_WAIT: u64 = u64::MAX;

/// A call under way.
///
/// Dropping it before it is settled cancels it: everything it holds goes back, and nothing is counted but the
/// cancellation.
#[derive(Debug)]
#[must_use = "dropping a call cancels it"]
pub struct Call<'h> {
    handles: HandlesRef<'h>,
    begun: Instant,
    /// When the attempt began; during a backoff, when the next one is due.
    attempt_begun: Instant,
    /// The delay before the attempt; of a refused call, what its error is to tell; in nanoseconds.
    delay: u64,
    /// Of the permit, while one is held.
    ticket: Ticket,
    attempts: u32,
    flags: u16,
    /// What refused the call. Its error is made when it leaves: an error that could be there all the way would be
    /// moved along with every answer.
    refused: Option<ErrorKind>,
}

/// Whether the attempt may run: it may, something refused and the call is over, or it has a place in a queue or a
/// reservation, which is in its room.
type Admission = Poll<bool>;

/// The answer of [`Call::settle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The result is final.
    Done,
    /// Try again; whatever admits the next attempt waits until it is due.
    Retry,
}

impl<'h> Call<'h> {
    pub(crate) fn begin(handles: HandlesRef<'h>) -> Self {
        Self::begin_at(handles, clock::now())
    }

    /// Begins a call, and passes the whole chain at once where nothing stands in the way. Inlined, because a site without
    /// dynamic names need not ask each time whose the handles are.
    #[inline(always)]
    pub(crate) fn begin_at(handles: HandlesRef<'h>, begun: Instant) -> Self {
        let stripe = stripe::current();
        let through = &*handles;
        let (ticket, flags) = Self::walk_in(through, stripe).unwrap_or_default();
        through.stats.count_in(stripe, SiteCount::Started);
        if let Some(budget) = &through.budget {
            budget.deposit_in(stripe, begun);
        }
        let attempts = u32::from(flags != 0);
        Self { handles, begun, attempt_begun: begun, delay: 0, ticket, attempts, flags, refused: None }
    }

    /// Passes the whole chain where nothing stands in the way, as nearly always. Otherwise nothing has happened, and
    /// [`try_admit`](Self::try_admit) finds out what it is.
    #[inline]
    fn walk_in(handles: &Handles, stripe: Stripe) -> Option<(Ticket, u16)> {
        if handles.limiter.is_some() || handles.lifecycle.is_shut_down() {
            return None;
        }
        let (mut ticket, mut flags) = (Ticket::default(), ADMITTED);
        if let Some(circuit) = &handles.circuit {
            ticket = circuit.admit_closed()?;
            flags |= HOLDS_PERMIT;
        }
        if let Some(bulkhead) = &handles.bulkhead {
            if !bulkhead.try_take(stripe) {
                return None;
            }
            flags |= HOLDS_SLOT;
        }
        Some((ticket, flags))
    }

    /// Passes the chain in order: circuit peek, rate limit, bulkhead, circuit permit.
    fn try_admit(&mut self, room: &mut Parts<'_>) -> Admission {
        if self.attempts > 0 {
            self.attempt_begun = clock::now();
        }
        let now = self.attempt_begun;
        let handles = &*self.handles;
        if handles.lifecycle.is_shut_down() {
            return self.refused(ErrorKind::ShutDown, 0);
        }
        if let Some(circuit) = &handles.circuit {
            if circuit.admit_closed().is_none() {
                if let Err(refused) = circuit.peek(now) {
                    return self.refused_by_circuit(refused);
                }
            }
        }
        let Some(limiter) = &handles.limiter else {
            return self.pass_bulkhead(None, room);
        };
        match limiter.reserve(now, self.remaining(now).min(limiter.wait())) {
            Ok(reservation) if reservation.waits => {
                let limiter = Arc::clone(limiter);
                self.waits(Waiting::Turn(limiter, Some(reservation)), room)
            }
            Ok(reservation) => self.pass_bulkhead(Some(reservation), room),
            Err(wait) => self.refused(ErrorKind::RateLimited, clock::nanos(wait)),
        }
    }

    /// The chain from the bulkhead on. A call that is refused here was not worth its reservation.
    #[inline(always)]
    fn pass_bulkhead(&mut self, reservation: Option<Reservation>, room: &mut Parts<'_>) -> Admission {
        if let Some(bulkhead) = &self.handles.bulkhead {
            if bulkhead.try_take(stripe::current()) {
                self.flags |= HOLDS_SLOT;
            } else {
                return self.queue(reservation, room);
            }
        }
        let Some(circuit) = &self.handles.circuit else {
            return self.admitted();
        };
        let Some(ticket) = circuit.admit_closed() else {
            return self.pass_circuit(reservation);
        };
        self.hold(ticket);
        self.admitted()
    }

    /// Enters the bulkhead's queue.
    #[cold]
    fn queue(&mut self, reservation: Option<Reservation>, room: &mut Parts<'_>) -> Admission {
        let Some(bulkhead) = &self.handles.bulkhead else {
            return self.admitted();
        };
        match bulkhead.enter(|| self.attempt_begun) {
            Ok(place) => {
                let bulkhead = Arc::clone(bulkhead);
                self.waits(Waiting::Slot(bulkhead, place), room)
            }
            Err(refused) => {
                self.give_back(reservation);
                self.refused_by_bulkhead(refused)
            }
        }
    }

    /// The last step: the permit of a circuit that is not closed.
    #[cold]
    fn pass_circuit(&mut self, reservation: Option<Reservation>) -> Admission {
        let Some(circuit) = &self.handles.circuit else {
            return self.admitted();
        };
        match circuit.admit(self.attempt_begun) {
            Ok(ticket) => {
                self.hold(ticket);
                self.admitted()
            }
            Err(refused) => {
                self.release_slot();
                self.give_back(reservation);
                self.refused_by_circuit(refused)
            }
        }
    }

    /// Counts a call that is not admitted at once, whatever becomes of it.
    #[cold]
    fn hinder(&mut self) {
        if self.attempts == 0 && self.flags & HINDERED == 0 {
            self.flags |= HINDERED;
            self.handles.stats.count(SiteCount::Hindered);
        }
    }

    #[cold]
    fn waits(&mut self, waiting: Waiting, room: &mut Parts<'_>) -> Admission {
        self.hinder();
        self.flags |= WAITING;
        room.wait(waiting);
        Poll::Pending
    }

    #[cold]
    fn count_attempt(&self) {
        self.handles.stats.count(SiteCount::FurtherAttempts);
    }

    #[inline]
    fn hold(&mut self, ticket: Ticket) {
        self.ticket = ticket;
        self.flags |= HOLDS_PERMIT;
    }

    #[inline]
    fn admitted(&mut self) -> Admission {
        if self.attempts > 0 || self.flags & HINDERED != 0 {
            self.count_attempt();
        }
        self.attempts = self.attempts.saturating_add(1);
        self.flags |= ADMITTED;
        Poll::Ready(true)
    }

    /// Records an attempt's result, gives back what it held, and decides what comes next.
    pub fn settle(&mut self, verdict: Verdict<'_>) -> Next {
        if verdict.is_success() {
            self.succeed();
            return Next::Done;
        }
        self.flags &= !IN_USER_CODE;
        self.settle_other(verdict)
    }

    /// What nearly every attempt comes to.
    fn succeed(&mut self) {
        let mut flags = self.flags & !IN_USER_CODE;
        self.flags = flags;
        let now = clock::now();
        let stripe = stripe::current();
        let handles = &*self.handles;
        if let (true, Some(bulkhead)) = (flags & HOLDS_SLOT != 0, &handles.bulkhead) {
            flags &= !HOLDS_SLOT;
            self.flags = flags;
            bulkhead.put_back(stripe);
        }
        let took = Sample::new(now.nanos_since(self.attempt_begun));
        if let (true, Some(circuit)) = (flags & HOLDS_PERMIT != 0, &handles.circuit) {
            flags &= !HOLDS_PERMIT;
            self.flags = flags;
            if !circuit.succeed(self.ticket, Some(took), stripe) {
                circuit.settle(self.ticket, Outcome::Success, Some(took), || now, None);
            }
        }
        let whole = if self.begun == self.attempt_begun { took } else { self.took(now) };
        handles.stats.conclude(stripe, SiteCount::Succeeded, whole);
        self.flags = SETTLED;
    }

    #[cold]
    fn settle_other(&mut self, verdict: Verdict<'_>) -> Next {
        let now = clock::now();
        self.release_slot();
        self.settle_circuit(verdict.outcome, now, verdict.cause);
        match verdict.retry {
            Some(class) if self.plan_retry(class, now) => Next::Retry,
            _ => {
                let count = if verdict.failed { SiteCount::Failed } else { SiteCount::Succeeded };
                self.conclude(count, now);
                Next::Done
            }
        }
    }

    /// Reports to the circuit, if it let the attempt through.
    fn settle_circuit(&mut self, outcome: Outcome, now: Instant, cause: Option<&dyn fmt::Display>) {
        if self.flags & HOLDS_PERMIT == 0 {
            return;
        }
        self.flags &= !HOLDS_PERMIT;
        if let Some(circuit) = &self.handles.circuit {
            let took = Sample::new(now.nanos_since(self.attempt_begun));
            circuit.settle(self.ticket, outcome, Some(took), || now, cause);
        }
    }

    /// Records an attempt that ran out of time. The attempt's future must be gone.
    #[cold]
    pub fn settle_timeout(&mut self) -> Next {
        self.flags &= !(IN_USER_CODE | OVERDUE);
        let now = clock::now();
        self.release_slot();
        self.settle_circuit(Outcome::TimedOut, now, None);
        if now < self.deadline() && self.plan_retry(ErrorClass::Transient, now) {
            return Next::Retry;
        }
        self.refused = Some(ErrorKind::TimedOut);
        self.conclude(SiteCount::TimedOut, now);
        let handles = &*self.handles;
        handles
            .bus
            .emit(|| Event::Refused { site: handles.stats.label().clone(), kind: ErrorKind::TimedOut });
        Next::Done
    }

    /// What an attempt without an answer comes to: `None` says that there is to be another. The attempt's future must
    /// be gone.
    #[cold]
    pub fn unanswered(&mut self) -> Option<ResilienceError> {
        if self.flags & OVERDUE != 0 {
            self.settle_timeout();
        }
        if self.flags & BACKING_OFF != 0 {
            return None;
        }
        let error = self.error();
        // Not before: an error is written in pieces and read back whole, for which a processor has to wait unless there
        // is something else to do.
        if let (Some(kind), 0) = (self.refused, self.flags & SETTLED) {
            self.hinder();
            self.end_refused(kind);
        }
        Some(error)
    }

    /// The same for the only attempt of a call.
    ///
    /// # Panics
    ///
    /// If the call was not refused and did not run out of time.
    #[cold]
    pub fn refusal(&mut self) -> ResilienceError {
        match self.unanswered() {
            Some(refusal) => refusal,
            None => unreachable!("a call without retries was to be tried again"),
        }
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
            previous: (self.attempts > 1).then(|| Duration::from_nanos(self.delay)),
            elapsed: now.saturating_since(self.begun),
            remaining: handles.total_timeout.map(|_| self.deadline().saturating_since(now)),
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
        self.delay = clock::nanos(delay);
        self.attempt_begun = resumed;
        self.flags = self.flags & !ADMITTED | BACKING_OFF;
        true
    }

    /// The refusal of an outage, of which there are many.
    fn refused_by_circuit(&mut self, refused: circuit::Refused) -> Admission {
        self.refused(ErrorKind::CircuitOpen, refused.wait.unwrap_or(NO_WAIT))
    }

    #[cold]
    fn refused_by_bulkhead(&mut self, refused: bulkhead::Refused) -> Admission {
        self.refused(refused.kind(), clock::nanos(refused.waited))
    }

    /// Ends the call by a refusal, whose error tells of so many nanoseconds.
    #[inline]
    fn refused(&mut self, kind: ErrorKind, nanos: u64) -> Admission {
        self.refused = Some(kind);
        self.delay = nanos;
        Poll::Ready(false)
    }

    /// The error of a call that was refused or ran out of time.
    #[inline]
    fn error(&self) -> ResilienceError {
        let handles = &*self.handles;
        if self.refused == Some(ErrorKind::CircuitOpen) {
            if let Some(circuit) = &handles.circuit {
                let wait = (self.delay != NO_WAIT).then_some(self.delay);
                return circuit.refusal(circuit::Refused { wait });
            }
        }
        let told = Duration::from_nanos(self.delay);
        match (self.refused, &handles.limiter, &handles.bulkhead) {
            (Some(ErrorKind::RateLimited), Some(limiter), _) => limiter.refusal(told),
            (Some(ErrorKind::BulkheadFull), _, Some(bulkhead)) => {
                bulkhead.refusal(bulkhead::Refused::full(told))
            }
            (Some(ErrorKind::TimedOut), ..) => self.overdue(),
            _ => handles.shut_down(),
        }
    }

    /// Records an attempt that got no answer from the user's code: it ran out of time, or something it needs refused.
    /// A refusal says nothing about the dependency, and is not tried again.
    #[cold]
    pub fn settle_refusal(&mut self, refusal: &ResilienceError) -> Next {
        if refusal.kind() == ErrorKind::TimedOut {
            return self.settle_timeout();
        }
        self.flags &= !IN_USER_CODE;
        self.release_slot();
        self.settle_circuit(Outcome::Ignored, clock::now(), None);
        self.end_refused(refusal.kind());
        Next::Done
    }

    fn end_refused(&mut self, kind: ErrorKind) {
        self.flags |= SETTLED;
        let handles = &*self.handles;
        handles.stats.refused(kind);
        handles.bus.emit(|| Event::Refused { site: handles.stats.label().clone(), kind });
    }

    #[cold]
    fn conclude(&mut self, count: SiteCount, now: Instant) {
        self.flags |= SETTLED;
        self.handles.stats.conclude(stripe::current(), count, self.took(now));
    }

    /// How long the whole call has taken.
    #[inline]
    fn took(&self, now: Instant) -> Sample {
        Sample::new(now.nanos_since(self.begun))
    }

    /// Counts that a fallback answers in the call's place; it runs after this.
    #[cold]
    pub fn fall_back(&self) {
        let handles = &*self.handles;
        handles.stats.count(SiteCount::Fallbacks);
        handles.bus.emit(|| Event::FellBack { site: handles.stats.label().clone() });
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

    /// The error of an attempt whose time is over, or of a call that ran out of time before it.
    #[cold]
    fn overdue(&self) -> ResilienceError {
        let handles = &*self.handles;
        let after = match (handles.total_timeout, handles.timeout) {
            (Some(total), _) if self.attempt_deadline() >= self.deadline() => total,
            (_, attempt) => attempt.unwrap_or_default(),
        };
        ResilienceError::TimedOut { site: handles.stats.label().clone(), after }
    }

    /// When the whole call is over.
    fn deadline(&self) -> Instant {
        self.handles.total_timeout.map_or(Instant::FAR, |limit| self.begun.saturating_add(limit))
    }

    /// When the attempt under way has to be over.
    fn attempt_deadline(&self) -> Instant {
        match self.handles.timeout {
            Some(limit) => self.attempt_begun.saturating_add(limit).min(self.deadline()),
            None => self.deadline(),
        }
    }

    /// How long the call may still wait, for those who would otherwise let it wait in vain.
    #[inline]
    fn remaining(&self, now: Instant) -> Duration {
        match self.handles.total_timeout {
            Some(_) => self.deadline().saturating_since(now),
            None => Duration::MAX,
        }
    }

    #[cold]
    fn release_slot(&mut self) {
        if self.flags & HOLDS_SLOT != 0 {
            self.flags &= !HOLDS_SLOT;
            if let Some(bulkhead) = &self.handles.bulkhead {
                bulkhead.put_back(stripe::current());
            }
        }
    }

    fn give_back(&self, reservation: Option<Reservation>) {
        if let (Some(reservation), Some(limiter)) = (reservation, &self.handles.limiter) {
            limiter.give_back(reservation);
        }
    }

    /// Ends what was not settled, and gives shared handles back.
    #[inline(never)]
    fn leave(&mut self) {
        if self.flags & SETTLED == 0 {
            self.abandon();
        }
        self.handles.give_back();
    }

    /// What a call that ends without a result leaves behind: nothing, and one count.
    #[cold]
    fn abandon(&mut self) {
        self.hinder();
        if let Some(kind) = self.refused {
            // An argument's destructor panicked between the refusal and its error.
            return self.end_refused(kind);
        }
        self.release_slot();
        let panicked = self.flags & IN_USER_CODE != 0;
        let outcome = if panicked { Outcome::Panicked } else { Outcome::Cancelled };
        self.settle_circuit(outcome, clock::now(), None);
        self.handles.stats.count(if panicked { SiteCount::Panicked } else { SiteCount::Cancelled });
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.flags & SETTLED == 0 || !self.handles.is_borrowed() {
            self.leave();
        }
    }
}
