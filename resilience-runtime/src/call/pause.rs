//! What a call may have to wait for before an attempt: the delay after the last one, its turn at the limiter, a slot of
//! the bulkhead.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{ADMITTED, Admission, BACKING_OFF, Call, HOLDS_SLOT, WAITING, attempt::poll_deadline};
use crate::{
    bulkhead::{Bulkhead, Place, Refused},
    clock,
    error::{ErrorKind, ResilienceError},
    limiter::{RateLimiter, Reservation},
};

/// What a call waits for. Dropping it gives the place or the reservation back.
#[derive(Debug)]
pub(super) enum Waiting {
    /// A place in the bulkhead's queue.
    Slot(Arc<Bulkhead>, Place),
    /// A reservation of the limiter, until its moment has come.
    Turn(Arc<RateLimiter>, Option<Reservation>),
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match self {
            Self::Slot(bulkhead, place) => bulkhead.leave(place),
            Self::Turn(limiter, reservation) => {
                if let Some(reservation) = reservation.take() {
                    limiter.give_back(reservation);
                }
            }
        }
    }
}

/// Where a call's future keeps what it waits for, and the one timer that bounds this, wakes from a backoff, and bounds the
/// attempt: never two of these at once. Each site has the room that its policy can make use of.
pub trait Room {
    /// What there is room for.
    fn parts(self: Pin<&mut Self>) -> Parts<'_>;
}

/// What there is room for. Not generic, as what works with it is to be compiled once.
#[derive(Default)]
pub struct Parts<'r> {
    waiting: Option<&'r mut Option<Waiting>>,
    pub(crate) timer: Option<Pin<&'r mut Option<Sleep>>>,
}

impl<'r> Parts<'r> {
    /// Room for a timer alone.
    pub(super) const fn timer(sleep: Pin<&'r mut Option<Sleep>>) -> Self {
        Self { waiting: None, timer: Some(sleep) }
    }

    /// Keeps a place or a reservation.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        match &mut self.waiting {
            Some(place) => **place = Some(waiting),
            None => unreachable!("a site without a queue and a quota has to wait"),
        }
    }
}

/// Room for nothing: a site with no queue, no quota, no retries and no limit of time.
#[derive(Clone, Copy, Debug)]
pub struct NoRoom;

impl NoRoom {
    /// None at all.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Room for NoRoom {
    #[inline]
    fn parts(self: Pin<&mut Self>) -> Parts<'_> {
        Parts::default()
    }
}

pin_project! {
    /// Room for a timer: a site with neither queue nor quota.
    pub struct Timer {
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// Room without a timer yet.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self { sleep: None }
    }
}

impl Room for Timer {
    #[inline]
    fn parts(self: Pin<&mut Self>) -> Parts<'_> {
        Parts { waiting: None, timer: Some(self.project().sleep) }
    }
}

pin_project! {
    /// Room for everything.
    pub struct WaitingRoom {
        waiting: Option<Waiting>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl WaitingRoom {
    /// Room without anything in it yet.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: None, sleep: None }
    }
}

impl Room for WaitingRoom {
    #[inline]
    fn parts(self: Pin<&mut Self>) -> Parts<'_> {
        let this = self.project();
        Parts { waiting: Some(this.waiting), timer: Some(this.sleep) }
    }
}

pin_project! {
    /// Waits until the attempt may run, or is refused.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Admit<'c, 'h, P> {
        call: &'c mut Call<'h>,
        #[pin]
        room: P,
    }
}

impl<'h> Call<'h> {
    /// Waits until the next attempt may run: for the end of the backoff, then for all that stands before it.
    pub const fn admit<P: Room>(&mut self, room: P) -> Admit<'_, 'h, P> {
        Admit { call: self, room }
    }

    /// Goes on towards the next attempt, and does nothing once it may run.
    pub(crate) fn poll_admit(&mut self, mut room: Parts<'_>, cx: &mut Context<'_>) -> Admission {
        if self.flags & ADMITTED != 0 {
            return Poll::Ready(true);
        }
        if self.flags & (BACKING_OFF | WAITING) == 0 {
            let admission = self.try_admit(&mut room);
            if admission.is_ready() {
                return admission;
            }
        }
        self.poll_pause(room, cx)
    }

    /// The slow way to the next attempt.
    #[cold]
    fn poll_pause(&mut self, mut room: Parts<'_>, cx: &mut Context<'_>) -> Admission {
        loop {
            let Some(timer) = &mut room.timer else {
                unreachable!("a site without a timer has to wait");
            };
            let mut waiting = room.waiting.as_deref_mut();
            let admission = match waiting.as_mut().and_then(|waiting| waiting.as_mut()) {
                // ## Backing off => (admitted | Turn | Slot | refused): when the delay is over.
                None => {
                    ready!(poll_deadline(clock::now(), self.attempt_begun, timer.as_mut(), cx));
                    timer.set(None);
                    self.flags &= !BACKING_OFF;
                    self.try_admit(&mut room)
                }
                // ## Turn => (admitted | Slot | refused): at the reserved moment. A turn behind the deadline was never
                // given.
                Some(Waiting::Turn(limiter, reservation)) => {
                    if let Some(at) = reservation.as_ref().map(|reservation| reservation.at) {
                        let now = clock::now();
                        if now < at {
                            ready!(poll_deadline(now, at, timer.as_mut(), cx));
                        }
                    }
                    if let Some(reservation) = reservation.take() {
                        limiter.arrive(reservation);
                    }
                    self.stop_waiting(&mut room);
                    self.pass_bulkhead(None, &mut room)
                }
                // ## Slot => (admitted | refused): handed over, or out of time.
                Some(Waiting::Slot(bulkhead, place)) => {
                    let answer = ready!(self.poll_slot(bulkhead, place, timer.as_mut(), cx));
                    self.stop_waiting(&mut room);
                    match answer {
                        Ok(()) => {
                            self.flags |= HOLDS_SLOT;
                            self.pass_circuit(None)
                        }
                        Err(Some(refused)) => self.refused_by_bulkhead(refused),
                        Err(None) => self.refused(ErrorKind::TimedOut, 0),
                    }
                }
            };
            if admission.is_ready() {
                return admission;
            }
        }
    }

    /// The wait is over; the attempt begins here.
    fn stop_waiting(&mut self, room: &mut Parts<'_>) {
        self.flags &= !WAITING;
        self.attempt_begun = clock::now();
        if let Some(waiting) = &mut room.waiting {
            **waiting = None;
        }
        if let Some(timer) = &mut room.timer {
            timer.set(None);
        }
    }

    /// The bulkhead's answer, or nothing if the whole call ran out of time.
    fn poll_slot(
        &self,
        bulkhead: &Bulkhead,
        place: &mut Place,
        sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Option<Refused>>> {
        if let Poll::Ready(answer) = bulkhead.poll_place(place, cx) {
            return Poll::Ready(answer.map_err(Some));
        }
        let (patience, deadline) = (place.deadline(), self.deadline());
        let until = patience.min(deadline);
        ready!(poll_deadline(clock::now(), until, sleep, cx));
        Poll::Ready(Err(if deadline <= patience {
            // The bulkhead did not refuse: the caller would have waited longer, were it not for its own limit.
            bulkhead.leave(place);
            None
        } else {
            Some(bulkhead.expire(place, clock::now()))
        }))
    }
}

impl<P: Room> Future for Admit<'_, '_, P> {
    type Output = Result<(), ResilienceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let admitted = ready!(this.call.poll_admit(this.room.parts(), cx));
        Poll::Ready(if admitted { Ok(()) } else { Err(this.call.refusal()) })
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingRoom").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for Admit<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admit").field("call", &self.call).finish_non_exhaustive()
    }
}
