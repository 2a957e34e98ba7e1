//! A policy's call as a future.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    call::{Admission, Call, Next, Verdict, Waiting, poll_attempt},
    class::ErrorClass,
    error::CallError,
    registry::{Handles, HandlesRef},
};

pin_project! {
    /// An operation on its way through a [`Policy`](super::Policy). Made by [`Policy::run`](super::Policy::run).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct PolicyRun<'p, Op, Fut, E, C = fn(&E) -> ErrorClass> {
        handles: &'p Handles,
        running: Option<Running<'p>>,
        operation: Op,
        classify: C,
        stage: Stage,
        #[pin]
        attempt: Option<Fut>,
        #[pin]
        sleep: Option<Sleep>,
        error: PhantomData<fn(&E)>,
    }
}

/// A call, and what it waits for.
struct Running<'p> {
    call: Call<'p>,
    waiting: Option<Waiting>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.call.stop_waiting(&mut self.waiting);
    }
}

/// What the run does next.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Ask to be let through.
    Admit,
    /// Poll the attempt.
    Attempt,
    /// Sleep until the next attempt.
    Backoff,
    /// Begin the call: a future that was never polled has not called anything.
    Begin,
    /// Make the attempt's future.
    Launch,
    /// Wait for a turn or a slot.
    Wait,
}

impl<'p, Op, Fut, E> PolicyRun<'p, Op, Fut, E> {
    pub(super) fn new(handles: &'p Handles, operation: Op) -> Self {
        Self {
            handles,
            running: None,
            operation,
            classify: |_| ErrorClass::Transient,
            stage: Stage::Begin,
            attempt: None,
            sleep: None,
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
            running: self.running,
            operation: self.operation,
            classify,
            stage: self.stage,
            attempt: self.attempt,
            sleep: self.sleep,
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
        if let Stage::Begin = *this.stage {
            let call = Call::begin(HandlesRef::Borrowed(this.handles));
            *this.running = Some(Running { call, waiting: None });
            *this.stage = Stage::Admit;
        }
        let Running { call, waiting } = this.running.as_mut().expect("polled after it has answered");
        let result = loop {
            match *this.stage {
                // ## (Begin | Admit) => (Launch | Wait | refused)
                Stage::Begin | Stage::Admit => match call.try_admit() {
                    Admission::Admitted => *this.stage = Stage::Launch,
                    Admission::Wait(place) => {
                        *waiting = Some(place);
                        *this.stage = Stage::Wait;
                    }
                    Admission::Refused(error) => break Err(error.into()),
                },
                // ## Wait => (Launch | refused)
                Stage::Wait => match ready!(call.poll_wait(waiting, this.sleep.as_mut(), cx)) {
                    Ok(()) => *this.stage = Stage::Launch,
                    Err(error) => break Err(error.into()),
                },
                // ## Launch => Attempt
                Stage::Launch => {
                    this.sleep.set(None);
                    let attempt = call.user(&mut *this.operation);
                    this.attempt.set(Some(attempt));
                    *this.stage = Stage::Attempt;
                }
                // ## Attempt => (Backoff | answered): the attempt's future is gone before anything is given back.
                Stage::Attempt => {
                    let Some(attempt) = this.attempt.as_mut().as_pin_mut() else {
                        *this.stage = Stage::Admit;
                        continue;
                    };
                    let answer = ready!(poll_attempt(call, attempt, this.sleep.as_mut(), cx));
                    this.attempt.set(None);
                    this.sleep.set(None);
                    let (next, result) = match answer {
                        Ok(Ok(value)) => (call.settle(Verdict::success()), Ok(value)),
                        Ok(Err(error)) => {
                            let class = call.user(|| (this.classify)(&error));
                            let next = call.settle(Verdict::error(class, None));
                            let attempts = call.attempts();
                            let error = if call.exhausted() {
                                CallError::RetriesExhausted { attempts, last: error }
                            } else {
                                CallError::Failed(error)
                            };
                            (next, Err(error))
                        }
                        Err(timeout) => (call.settle_timeout(), Err(timeout.into())),
                    };
                    match next {
                        Next::Done => break result,
                        Next::Retry => *this.stage = Stage::Backoff,
                    }
                }
                // ## Backoff => Admit
                Stage::Backoff => {
                    ready!(call.poll_backoff(this.sleep.as_mut(), cx));
                    this.sleep.set(None);
                    *this.stage = Stage::Admit;
                }
            }
        };
        *this.running = None;
        Poll::Ready(result)
    }
}

impl<Op, Fut, E, C> fmt::Debug for PolicyRun<'_, Op, Fut, E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyRun")
            .field("call", &self.running.as_ref().map(|running| &running.call))
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
