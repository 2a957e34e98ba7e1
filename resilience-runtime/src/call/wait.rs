//! Waiting: for a turn of the limiter, for a slot of the bulkhead, for the next attempt.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Admission, Call, HOLDS_SLOT, attempt::poll_deadline};
use crate::{bulkhead::Place, clock, error::ResilienceError, limiter::Reservation};

/// What a call waits for; to be handed to [`Call::wait`], or it stays taken for ever.
#[derive(Debug)]
#[must_use = "a place that nobody waits in stays taken for ever"]
pub struct Waiting(Goal);

#[derive(Debug)]
enum Goal {
    /// A place in the bulkhead's queue.
    Slot(Place),
    /// A reservation of the limiter.
    Turn(Reservation),
}

impl Waiting {
    pub(super) const fn turn(reservation: Reservation) -> Self {
        Self(Goal::Turn(reservation))
    }

    pub(super) const fn slot(place: Place) -> Self {
        Self(Goal::Slot(place))
    }
}

pin_project! {
    /// Waits until the attempt may run, or is refused. Dropping it gives the place or the reservation back.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Wait<'c, 'h> {
        call: &'c mut Call<'h>,
        waiting: Option<Waiting>,
        #[pin]
        sleep: Option<Sleep>,
    }

    impl PinnedDrop for Wait<'_, '_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.call.stop_waiting(this.waiting);
        }
    }
}

pin_project! {
    /// Waits until the next attempt is due. Holds nothing meanwhile.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct BackoffSleep<'c, 'h> {
        call: &'c mut Call<'h>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<'h> Call<'h> {
    /// Waits for what [`try_admit`](Self::try_admit) found.
    pub const fn wait(&mut self, waiting: Waiting) -> Wait<'_, 'h> {
        Wait { call: self, waiting: Some(waiting), sleep: None }
    }

    /// Sleeps for the delay that [`settle`](Self::settle) decided on.
    pub const fn backoff(&mut self) -> BackoffSleep<'_, 'h> {
        BackoffSleep { call: self, sleep: None }
    }

    pub(crate) fn poll_wait(
        &mut self,
        waiting: &mut Option<Waiting>,
        mut sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ResilienceError>> {
        loop {
            match waiting {
                None => return Poll::Ready(Ok(())),
                // ## Turn => (passed | Slot): at the reserved moment. A turn behind the deadline was never given.
                Some(Waiting(Goal::Turn(reservation))) => {
                    let at = reservation.at;
                    let now = clock::now();
                    if now < at {
                        ready!(poll_deadline(now, at, sleep.as_mut(), cx));
                    }
                    sleep.set(None);
                    if let (Some(Waiting(Goal::Turn(reservation))), Some(limiter)) =
                        (waiting.take(), &self.handles.limiter)
                    {
                        limiter.arrive(reservation);
                    }
                    self.attempt_begun = clock::now();
                    match self.pass_bulkhead(None) {
                        Admission::Admitted => return Poll::Ready(Ok(())),
                        Admission::Refused(error) => return Poll::Ready(Err(error)),
                        Admission::Wait(next) => *waiting = Some(next),
                    }
                }
                // ## Slot => (passed | refused): handed over, or out of time.
                Some(Waiting(Goal::Slot(place))) => {
                    let answer = ready!(self.poll_slot(place, sleep, cx));
                    *waiting = None;
                    return Poll::Ready(match answer {
                        Ok(()) => self.pass_with_slot(),
                        Err(error) => Err(self.refuse(error)),
                    });
                }
            }
        }
    }

    fn poll_slot(
        &self,
        place: &mut Place,
        sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ResilienceError>> {
        let Some(bulkhead) = &self.handles.bulkhead else {
            return Poll::Ready(Ok(()));
        };
        if let Poll::Ready(answer) = bulkhead.poll_place(place, cx) {
            return Poll::Ready(answer);
        }
        let (patience, deadline) = (place.deadline(), self.deadline());
        let until = patience.min(deadline);
        ready!(poll_deadline(clock::now(), until, sleep, cx));
        Poll::Ready(Err(if deadline <= patience {
            // The bulkhead did not refuse: the caller would have waited longer, were it not for its own limit.
            bulkhead.leave(place);
            self.timed_out(until)
        } else {
            bulkhead.expire(place, clock::now())
        }))
    }

    /// The chain from the circuit on, for a call that was handed its slot.
    fn pass_with_slot(&mut self) -> Result<(), ResilienceError> {
        self.flags |= HOLDS_SLOT;
        self.attempt_begun = clock::now();
        match self.pass_circuit(None) {
            Admission::Refused(error) => Err(error),
            Admission::Admitted | Admission::Wait(_) => Ok(()),
        }
    }

    /// Leaves the queue or returns the reservation.
    pub(crate) fn stop_waiting(&self, waiting: &mut Option<Waiting>) {
        match waiting.take() {
            None => {}
            Some(Waiting(Goal::Slot(mut place))) => {
                if let Some(bulkhead) = &self.handles.bulkhead {
                    bulkhead.leave(&mut place);
                }
            }
            Some(Waiting(Goal::Turn(reservation))) => self.give_back(Some(reservation)),
        }
    }

    pub(crate) fn poll_backoff(&self, sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
        poll_deadline(clock::now(), self.attempt_begun, sleep, cx)
    }
}

impl Future for Wait<'_, '_> {
    type Output = Result<(), ResilienceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.call.poll_wait(this.waiting, this.sleep, cx)
    }
}

impl Future for BackoffSleep<'_, '_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.call.poll_backoff(this.sleep, cx)
    }
}

impl fmt::Debug for Wait<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("call", &self.call).finish_non_exhaustive()
    }
}

impl fmt::Debug for BackoffSleep<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackoffSleep").field("call", &self.call).finish_non_exhaustive()
    }
}
