//! Waiting: for a turn of the limiter, for a slot of the bulkhead, for the next attempt.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Call, HOLDS_SLOT, attempt::poll_deadline};
use crate::{
    bulkhead::Place,
    clock::{self, Instant},
    error::ResilienceError,
    limiter::Reservation,
};

/// What a call waits for.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// Until the next attempt.
    Backoff(Instant),
    No,
    /// A place in the bulkhead's queue.
    Slot(Place),
    /// A reservation of the limiter.
    Turn(Reservation),
}

pin_project! {
    /// Waits until the attempt may run, or is refused.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Wait<'c, 'h> {
        call: &'c mut Call<'h>,
        #[pin]
        sleep: Option<Sleep>,
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
    /// Waits in the queue that [`try_admit`](Self::try_admit) found.
    pub const fn wait(&mut self) -> Wait<'_, 'h> {
        Wait { call: self, sleep: None }
    }

    /// Sleeps for the delay that [`settle`](Self::settle) decided on.
    pub const fn backoff(&mut self) -> BackoffSleep<'_, 'h> {
        BackoffSleep { call: self, sleep: None }
    }

    pub(crate) fn poll_wait(
        &mut self,
        mut sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ResilienceError>> {
        let result = loop {
            match &mut self.waiting {
                Waiting::No | Waiting::Backoff(_) => break Ok(()),
                // ## Turn => (passed | Slot): at the reserved moment. A turn behind the deadline was never given.
                Waiting::Turn(reservation) => {
                    let at = reservation.at;
                    if clock::now() < at {
                        std::task::ready!(poll_deadline(at, sleep.as_mut(), cx));
                    }
                    sleep.set(None);
                    if let (Waiting::Turn(reservation), Some(limiter)) =
                        (std::mem::replace(&mut self.waiting, Waiting::No), &self.handles.limiter)
                    {
                        limiter.arrive(reservation);
                    }
                    self.attempt_begun = clock::now();
                    if let Err(error) = self.pass_bulkhead(None) {
                        break Err(error);
                    }
                }
                // ## Slot => (passed | refused): handed over, or out of time.
                Waiting::Slot(place) => {
                    let Some(bulkhead) = &self.handles.bulkhead else {
                        break Ok(());
                    };
                    match bulkhead.poll_place(place, cx) {
                        Poll::Ready(Ok(())) => {
                            self.waiting = Waiting::No;
                            self.flags |= HOLDS_SLOT;
                            self.attempt_begun = clock::now();
                            break self.pass_circuit();
                        }
                        Poll::Ready(Err(error)) => {
                            self.waiting = Waiting::No;
                            break Err(error);
                        }
                        Poll::Pending => {
                            let patience = place.deadline();
                            let until = patience.min(self.deadline);
                            std::task::ready!(poll_deadline(until, sleep.as_mut(), cx));
                            let error = bulkhead.expire(place, clock::now());
                            let error = if self.deadline <= patience { self.timed_out(until) } else { error };
                            self.waiting = Waiting::No;
                            break Err(error);
                        }
                    }
                }
            }
        };
        Poll::Ready(result.map_err(|error| self.refuse(error)))
    }

    pub(crate) fn poll_backoff(&mut self, sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
        if let Waiting::Backoff(until) = self.waiting {
            std::task::ready!(poll_deadline(until, sleep, cx));
            self.waiting = Waiting::No;
        }
        Poll::Ready(())
    }
}

impl Future for Wait<'_, '_> {
    type Output = Result<(), ResilienceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.call.poll_wait(this.sleep, cx)
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
