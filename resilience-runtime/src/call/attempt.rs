//! One attempt: the user's future, and a timer that exists only if it has to wait.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{ADMITTED, Call, IN_USER_CODE, OVERDUE, Parts};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
};

pin_project! {
    /// The user's future, with the deadline of the attempt and of the whole call over it.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Attempt<'c, 'h, F> {
        call: &'c mut Call<'h>,
        #[pin]
        body: F,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<'h> Call<'h> {
    /// Runs the user's future until it answers or its time is over.
    #[inline]
    pub const fn attempt<F: Future>(&mut self, body: F) -> Attempt<'_, 'h, F> {
        Attempt { call: self, body, sleep: None }
    }

    /// Runs the user's future, which no deadline bounds.
    #[inline]
    pub const fn attempt_untimed<F: Future>(&mut self, body: F) -> UntimedAttempt<'_, 'h, F> {
        UntimedAttempt { call: self, body }
    }
}

impl<F: Future> Future for Attempt<'_, '_, F> {
    type Output = Result<F::Output, ResilienceError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = poll_body(this.call, this.body, cx) {
            return Poll::Ready(Ok(output));
        }
        this.call.poll_limit(Parts::timer(this.sleep), cx).map(|()| Err(this.call.overdue()))
    }
}

impl<F> fmt::Debug for Attempt<'_, '_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("call", &self.call).finish_non_exhaustive()
    }
}

/// Polls the user's future.
///
/// Once it has answered it is dropped, and its destructor is the user's code as well: the flag stays set until the call
/// is settled.
#[inline]
pub(crate) fn poll_body<F: Future>(
    call: &mut Call<'_>,
    body: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    call.flags |= IN_USER_CODE;
    let polled = body.poll(cx);
    if polled.is_pending() {
        call.flags &= !IN_USER_CODE;
    }
    polled
}

impl Call<'_> {
    /// Whether the time of the attempt under way is over, or will be. What is over is about to be dropped, which is the
    /// user's code. Not generic, so that it is compiled once.
    pub(crate) fn poll_limit(&mut self, room: Parts<'_>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = room.timer else {
            return Poll::Pending;
        };
        let over = poll_deadline(self.attempt_begun, self.attempt_deadline(), timer, cx);
        if over.is_ready() {
            self.flags = self.flags & !ADMITTED | IN_USER_CODE | OVERDUE;
        }
        over
    }
}

/// Arms the timer at its first poll; `since` is a moment shortly before. Not generic, so that it is compiled once.
pub(crate) fn poll_deadline(
    since: Instant,
    deadline: Instant,
    mut sleep: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if deadline == Instant::FAR {
        return Poll::Pending;
    }
    let armed = sleep.is_some();
    if !armed {
        sleep.set(Some(clock::sleep_from(since, deadline)));
    }
    let Some(sleep) = sleep.as_pin_mut() else {
        return Poll::Pending;
    };
    // A body that uses up tokio's cooperative budget leaves none for the timer, which then is not even registered
    // and answers "pending" for ever; a busy body would outlive its deadline.
    if sleep.poll(cx).is_ready() || armed && clock::now() >= deadline {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

pin_project! {
    /// The user's future without a deadline: no room for a timer.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct UntimedAttempt<'c, 'h, F> {
        call: &'c mut Call<'h>,
        #[pin]
        body: F,
    }
}

impl<F: Future> Future for UntimedAttempt<'_, '_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        poll_body(this.call, this.body, cx)
    }
}

impl<F> fmt::Debug for UntimedAttempt<'_, '_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntimedAttempt").field("call", &self.call).finish_non_exhaustive()
    }
}
