//! The way in, step by step, for futures that hold their place themselves.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use super::{Bulkhead, permits::Entry};
use crate::{
    clock::{self, Instant},
    error::{ErrorKind, ResilienceError},
    queue::Ticket,
    sync::stripe::{self, Stripe},
};

/// A place in the queue of a bulkhead. It must be polled to its answer, or given to [`Bulkhead::leave`] or
/// [`Bulkhead::expire`].
#[derive(Debug)]
#[must_use = "a place that is neither polled to its answer nor left stays taken for ever"]
pub(crate) struct Place {
    state: State,
    entered: Instant,
    deadline: Instant,
}

/// A refusal, of which the caller makes the error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    /// How long the caller waited.
    pub(crate) waited: Duration,
    closed: bool,
}

impl Refused {
    /// Of a caller that waited so long and found no room.
    pub(crate) const fn full(waited: Duration) -> Self {
        Self { waited, closed: false }
    }

    /// What kind of error it is.
    pub(crate) const fn kind(self) -> ErrorKind {
        if self.closed { ErrorKind::ShutDown } else { ErrorKind::BulkheadFull }
    }
}

#[derive(Debug)]
enum State {
    /// A permit came free on the way into the queue.
    Admitted,
    /// `None` once it was answered.
    Queued(Option<Ticket>),
}

impl Place {
    /// When the caller has waited long enough; [`Instant::FAR`] if it may wait for ever.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Bulkhead {
    /// Takes a permit if one is free and nobody waits.
    #[inline]
    pub(crate) fn try_take(&self, stripe: Stripe) -> bool {
        let taken = self.permits.try_take(stripe);
        if taken {
            self.record.accepted(stripe);
        }
        taken
    }

    /// Gives a permit back.
    #[inline]
    pub(crate) fn put_back(&self, stripe: Stripe) {
        self.permits.put_back(stripe);
    }

    /// Enters the queue, after [`try_take`](Self::try_take) found no permit.
    ///
    /// # Errors
    ///
    /// A refusal, counted, if the queue is full, there is none, or the bulkhead is closed.
    pub(crate) fn enter(&self, now: impl FnOnce() -> Instant) -> Result<Place, Refused> {
        let wait = self.wait();
        let bound = if wait.is_zero() { 0 } else { self.queue() };
        let state = match self.permits.enter(stripe::current(), bound) {
            Entry::Closed | Entry::Full => return Err(self.refuse(Duration::ZERO)),
            Entry::Queued(ticket) => State::Queued(Some(ticket)),
            Entry::Taken => State::Admitted,
        };
        let entered = now();
        Ok(Place { state, entered, deadline: entered.saturating_add(wait) })
    }

    /// Asks whether the permit was handed over. After `Ready` the place holds nothing any more.
    ///
    /// # Errors
    ///
    /// A refusal, counted, if the bulkhead was closed meanwhile.
    pub(crate) fn poll_place(&self, place: &mut Place, cx: &Context<'_>) -> Poll<Result<(), Refused>> {
        let admitted = match &mut place.state {
            State::Admitted => {
                place.state = State::Queued(None);
                true
            }
            State::Queued(ticket) => match self.permits.poll(ticket, cx.waker().clone()) {
                Poll::Ready(admitted) => admitted,
                Poll::Pending => return Poll::Pending,
            },
        };
        let waited = clock::now().saturating_since(place.entered);
        Poll::Ready(if admitted {
            self.record.accepted(stripe::current());
            self.record.waited(waited);
            Ok(())
        } else {
            Err(self.refuse(waited))
        })
    }

    /// Gives a place up because the caller went away, and counts it as cancelled. A permit that was handed over to
    /// it goes to the next in line. A place that was answered holds nothing to give up.
    pub(crate) fn leave(&self, place: &mut Place) {
        if self.abandon(place) {
            self.record.cancelled();
        }
    }

    /// Gives a place up because its time has passed. The refusal is counted.
    pub(crate) fn expire(&self, place: &mut Place, now: Instant) -> Refused {
        self.abandon(place);
        self.refuse(now.saturating_since(place.entered))
    }

    /// Counts a refusal.
    #[cold]
    pub(crate) fn refuse(&self, waited: Duration) -> Refused {
        self.record.refused();
        Refused { waited, closed: self.permits.is_closed() }
    }

    /// The error of a refusal.
    #[cold]
    pub(crate) fn refusal(&self, refused: Refused) -> ResilienceError {
        let name = self.label().clone();
        match refused {
            Refused { closed: true, .. } => ResilienceError::ShutDown { name },
            Refused { waited, .. } => {
                ResilienceError::BulkheadFull { bulkhead: name, max: self.max(), waited }
            }
        }
    }

    /// Empties a place, and returns whether it held anything.
    fn abandon(&self, place: &mut Place) -> bool {
        match mem::replace(&mut place.state, State::Queued(None)) {
            State::Admitted => self.put_back(stripe::current()),
            State::Queued(Some(ticket)) => self.permits.leave(stripe::current(), ticket),
            State::Queued(None) => return false,
        }
        true
    }
}
