//! A policy's call as a future.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use crate::{
    call::{Call, Next, Room, Verdict, WaitingRoom, poll_body},
    class::ErrorClass,
    error::CallError,
    registry::{Handles, HandlesRef},
};

pin_project! {
    /// An operation on its way through a [`Policy`](super::Policy). Made by [`Policy::run`](super::Policy::run).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct PolicyRun<'p, Op, Fut, E, C = fn(&E) -> ErrorClass> {
        // Until the first poll: a future that was never polled has not called anything.
        handles: Option<&'p Handles>,
        #[pin]
        attempt: Option<Fut>,
        #[pin]
        room: WaitingRoom,
        call: Option<Call<'p>>,
        operation: Op,
        classify: C,
        error: PhantomData<fn(&E)>,
    }
}

impl<'p, Op, Fut, E> PolicyRun<'p, Op, Fut, E> {
    pub(super) fn new(handles: &'p Handles, operation: Op) -> Self {
        Self {
            handles: Some(handles),
            call: None,
            operation,
            classify: |_| ErrorClass::Transient,
            attempt: None,
            room: WaitingRoom::new(),
            error: PhantomData,
        }
    }

    /// Judges errors by this function instead of taking all of them for transient.
    ///
    /// [`Classify::classify`](crate::Classify::classify) is such a function for errors that implement it and for the
    /// answers of other primitives that hold one; [`CallError::class`] is one for the answers that hold any other error.
    pub fn classify<C: FnMut(&E) -> ErrorClass>(self, classify: C) -> PolicyRun<'p, Op, Fut, E, C> {
        PolicyRun {
            handles: self.handles,
            call: self.call,
            operation: self.operation,
            classify,
            attempt: self.attempt,
            room: self.room,
            error: PhantomData,
        }
    }
}

impl<Op, Fut, T, E, C> Future for PolicyRun<'_, Op, Fut, E, C>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> ErrorClass,
{
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// If polled after it has answered.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(handles) = this.handles.take() {
            *this.call = Some(Call::begin(HandlesRef::Borrowed(handles)));
        }
        let call = this.call.as_mut().expect("polled after it has answered");
        let result = loop {
            // ## Admitting => (Attempt | refused)
            let Some(attempt) = this.attempt.as_mut().as_pin_mut() else {
                if !ready!(call.poll_admit(this.room.as_mut().parts(), cx)) {
                    break Err(call.refusal().into());
                }
                let attempt = call.user(&mut *this.operation);
                this.attempt.set(Some(attempt));
                continue;
            };
            // ## Attempt => (Admitting | answered): the attempt's future is gone before anything is given back.
            let answer = match poll_body(call, attempt, cx) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => {
                    ready!(call.poll_limit(this.room.as_mut().parts(), cx));
                    None
                }
            };
            this.attempt.set(None);
            this.room.set(WaitingRoom::new());
            match answer {
                Some(Ok(value)) => {
                    call.settle(Verdict::success());
                    break Ok(value);
                }
                Some(Err(error)) => {
                    let class = call.user(|| (this.classify)(&error));
                    if call.settle(Verdict::error(class, None)) == Next::Done {
                        let attempts = call.attempts();
                        break Err(if call.exhausted() {
                            CallError::RetriesExhausted { attempts, last: error }
                        } else {
                            CallError::Failed(error)
                        });
                    }
                }
                None => {
                    if let Some(refusal) = call.unanswered() {
                        break Err(refusal.into());
                    }
                }
            }
        };
        *this.call = None;
        Poll::Ready(result)
    }
}

impl<Op, Fut, E, C> fmt::Debug for PolicyRun<'_, Op, Fut, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRun").field("call", &self.call).finish_non_exhaustive()
    }
}
