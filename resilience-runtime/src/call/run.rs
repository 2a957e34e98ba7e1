//! One attempt with all that stands before and behind it, in one future.
//!
//! The attribute awaits this once for each attempt. What does not depend on the user's types is in functions of
//! [`Call`] that are compiled with this crate, not again for each annotated function: there are many of these.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{ADMITTED, Call, Judge, Next, Room, Verdict, attempt::poll_body};

pin_project! {
    /// An attempt from its admission to its verdict.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Run<'c, 'h, F, J, P> {
        call: &'c mut Call<'h>,
        #[pin]
        body: F,
        judge: J,
        #[pin]
        room: P,
    }
}

impl<'h> Call<'h> {
    /// Runs the user's future as soon as it may run, until it answers or its time is over.
    ///
    /// `None` says that there is no answer, and [`unanswered`](Self::unanswered) what comes of it: an attempt's future
    /// has to be gone before it is settled.
    #[inline]
    pub const fn run<P: Room, F: Future, J>(&mut self, room: P, body: F, judge: J) -> Run<'_, 'h, F, J, P> {
        Run { call: self, body, judge, room }
    }

    /// Settles what is no success; compiled once for each type of outcome.
    #[cold]
    #[inline(never)]
    fn settle_by<R, J: Judge<R>>(&mut self, out: &R) -> Next {
        self.settle(Verdict::of::<R, J>(out))
    }
}

impl<F, J, P> Future for Run<'_, '_, F, J, P>
where
    F: Future,
    J: Judge<F::Output>,
    P: Room,
{
    type Output = Option<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = this.call;
        if call.flags & ADMITTED == 0 {
            match call.poll_admit(this.room.as_mut().parts(), cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        if let Poll::Ready(out) = poll_body(call, this.body, cx) {
            // A success leaves in parts. To move an outcome is to read it as a whole, and a processor has to wait for that
            // if it was just written in pieces: 4 ns for an outcome with room for an error of ours.
            return Poll::Ready(match J::split(out) {
                Ok(success) => {
                    call.succeed();
                    Some(J::join(success))
                }
                Err(out) if call.settle_by::<F::Output, J>(&out) == Next::Retry => None,
                Err(out) => Some(out),
            });
        }
        call.poll_limit(this.room.parts(), cx).map(|()| None)
    }
}

impl<F, J, P> fmt::Debug for Run<'_, '_, F, J, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("call", &self.call).finish_non_exhaustive()
    }
}
