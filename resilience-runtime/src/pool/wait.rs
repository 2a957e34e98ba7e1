//! The two waits of a caller: for its turn, and for user code; both end at its deadline.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{
    Manager,
    guard::Progress,
    state::{Grant, Place},
};
use crate::{
    clock::{self, Instant},
    queue::Ticket,
};

pin_project! {
    /// The deadline of one call over everything it waits for.
    pub(super) struct Deadline {
        at: Instant,
        // The last reading of the clock, and whether something has been waited for since.
        read: Instant,
        waited: bool,
        // Armed when something is pending for the first time: most calls find a connection ready.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Deadline {
    pub(super) const fn new(start: Instant, at: Instant) -> Self {
        Self { at, read: start, waited: false, sleep: None }
    }

    /// The time. The clock is read again only if something has been waited for.
    #[inline]
    pub(super) fn now(self: Pin<&mut Self>) -> Instant {
        let this = self.project();
        if *this.waited {
            (*this.read, *this.waited) = (clock::now(), false);
        }
        *this.read
    }

    pub(super) const fn at(&self) -> Instant {
        self.at
    }

    /// Waits for `duration`, which ends before the deadline.
    pub(super) async fn sleep(self: Pin<&mut Self>, duration: Duration) {
        *self.project().waited = true;
        clock::sleep_until(clock::now().saturating_add(duration)).await;
    }

    /// Something else is pending.
    fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at != Instant::FAR && self.sleep.is_none() {
            let sleep = clock::sleep_from(self.as_mut().now(), self.at);
            self.as_mut().project().sleep.set(Some(sleep));
        }
        let this = self.project();
        *this.waited = true;
        this.sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    }
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elapsed;

pin_project! {
    /// Polls a future of the manager's until it is ready or the deadline passes.
    pub(super) struct UserCode<'a, 's, M: Manager, F> {
        #[pin]
        future: F,
        progress: &'a Progress<'s, M>,
        deadline: Pin<&'a mut Deadline>,
    }
}

impl<'a, 's, M: Manager, F> UserCode<'a, 's, M, F> {
    #[inline]
    pub(super) const fn new(
        future: F,
        progress: &'a Progress<'s, M>,
        deadline: Pin<&'a mut Deadline>,
    ) -> Self {
        Self { future, progress, deadline }
    }
}

impl<M: Manager, F: Future> Future for UserCode<'_, '_, M, F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.progress.user(|| this.future.poll(cx)) {
            return Poll::Ready(Ok(output));
        }
        ready!(this.deadline.as_mut().poll_elapsed(cx));
        Poll::Ready(Err(Elapsed))
    }
}

/// Waits until something is handed over; `None` if the pool is closed first.
pub(super) struct Turn<'a, 's, M: Manager> {
    progress: &'a Progress<'s, M>,
    ticket: Option<Ticket>,
    waker: Left,
    deadline: Pin<&'a mut Deadline>,
}

/// Whether a waiter has left its waker in the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    /// In an earlier poll; being polled again most likely means that the turn has come.
    Before,
    /// In this poll, when the place was taken.
    JustNow,
    Not,
}

impl<'a, 's, M: Manager> Turn<'a, 's, M> {
    pub(super) const fn new(
        Place { ticket, has_waker }: Place,
        progress: &'a Progress<'s, M>,
        deadline: Pin<&'a mut Deadline>,
    ) -> Self {
        let waker = if has_waker { Left::JustNow } else { Left::Not };
        Self { progress, ticket: Some(ticket), waker, deadline }
    }
}

impl<M: Manager> Future for Turn<'_, '_, M> {
    type Output = Result<Option<Grant<M::Connection>>, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let state = &this.progress.shared.state;
        let mut kept = None;
        let left = mem::replace(&mut this.waker, Left::Before);
        let mut polled = match left {
            Left::Before => state.lock().poll(&mut this.ticket, &mut kept),
            Left::JustNow | Left::Not => Poll::Pending,
        };
        if polled.is_pending() && left != Left::JustNow {
            // Cloned before and dropped after the lock is held: a waker may be anybody's code.
            kept = Some(cx.waker().clone());
            polled = state.lock().poll(&mut this.ticket, &mut kept);
        }
        if let Poll::Ready(grant) = polled {
            // The deadline has not been asked, but time has passed.
            *this.deadline.as_mut().project().waited = true;
            return Poll::Ready(Ok(grant));
        }
        ready!(this.deadline.as_mut().poll_elapsed(cx));
        Poll::Ready(Err(Elapsed))
    }
}

impl<M: Manager> Drop for Turn<'_, '_, M> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let shared = self.progress.shared;
        let (grant, waker) = shared.state.lock().leave(ticket);
        drop(waker);
        match grant {
            Some(Grant::Connection(entry)) => shared.put(entry, clock::now()),
            Some(Grant::Creation) => shared.creation_over(false),
            None => {}
        }
    }
}
