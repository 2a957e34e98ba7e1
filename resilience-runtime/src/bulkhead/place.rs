//! The way in, step by step, for futures that hold their place themselves.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use super::{Bulkhead, permits::Entry};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
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
    pub(crate) fn enter(&self, now: impl FnOnce() -> Instant) -> Result<Place, ResilienceError> {
        let wait = self.wait();
        let bound = if wait.is_zero() { 0 } else { self.queue() };
        let state = match self.permits.enter(stripe::current(), bound) {
            Entry::Closed | Entry::Full => return Err(self.refusal(Duration::ZERO)),
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
    pub(crate) fn poll_place(
        &self,
        place: &mut Place,
        cx: &Context<'_>,
    ) -> Poll<Result<(), ResilienceError>> {
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
            Err(self.refusal(waited))
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
    pub(crate) fn expire(&self, place: &mut Place, now: Instant) -> ResilienceError {
        self.abandon(place);
        self.refusal(now.saturating_since(place.entered))
    }

    /// Counts a refusal and says what it is.
    #[cold]
    pub(crate) fn refusal(&self, waited: Duration) -> ResilienceError {
        self.record.refused();
        let name = self.label().clone();
        if self.permits.is_closed() {
            ResilienceError::ShutDown { name }
        } else {
            ResilienceError::BulkheadFull { bulkhead: name, max: self.max(), waited }
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
