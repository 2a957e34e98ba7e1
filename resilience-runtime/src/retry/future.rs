//! The future of a call with retries.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{attempts::Attempts, decide::Stop};
use crate::{class::ErrorClass, clock, error::CallError};

pin_project! {
    /// A call with retries; see [`Retry::run`](crate::Retry::run).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct RetryRun<'a, F, Fut, C> {
        attempts: Attempts<'a>,
        operation: F,
        classify: C,
        #[pin]
        stage: Stage<Fut>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<Fut> {
        // Not polled yet.
        New,
        // An attempt is under way.
        Attempting { #[pin] attempt: Fut },
        // The next one is due when this ends.
        Sleeping { #[pin] sleep: Sleep },
        // Answered.
        Done,
    }
}

impl<'a, F, Fut, C> RetryRun<'a, F, Fut, C> {
    pub(super) fn new(attempts: Attempts<'a>, operation: F, classify: C) -> Self {
        Self { attempts, operation, classify, stage: Stage::New }
    }
}

impl<'a, F, Fut, T, E, C> RetryRun<'a, F, Fut, C>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// What an error means for a further attempt: a function of the error.
    ///
    /// [`Classify::classify`](crate::Classify::classify) is such a function for errors that implement it and for the
    /// answers of other primitives that hold one; [`CallError::class`] is one for the answers that hold any other error.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::{future::ready, io};
    /// use resilience_runtime::{CallError, Classify, Retry};
    ///
    /// let retry = Retry::new(3);
    /// let operation = || ready(Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)));
    ///
    /// let error = retry.run(operation).classify(Classify::classify).await.unwrap_err();
    /// assert!(matches!(error, CallError::Failed(_)), "another attempt would not find it either");
    /// # }
    /// ```
    pub fn classify<D: FnMut(&E) -> ErrorClass>(self, classify: D) -> RetryRun<'a, F, Fut, D> {
        RetryRun::new(self.attempts, self.operation, classify)
    }
}

impl<F, Fut, T, E, C> Future for RetryRun<'_, F, Fut, C>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    C: FnMut(&E) -> ErrorClass,
{
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// If polled after completion.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                // ## New => Attempting
                StageProj::New => {
                    this.attempts.begin();
                    let attempt = (this.operation)();
                    this.stage.set(Stage::Attempting { attempt });
                }
                // ## Attempting => (Attempting | Sleeping | Done)
                StageProj::Attempting { attempt } => {
                    let error = match ready!(attempt.poll(cx)) {
                        Ok(answer) => {
                            this.stage.set(Stage::Done);
                            return Poll::Ready(Ok(answer));
                        }
                        Err(error) => error,
                    };
                    this.attempts.classify((this.classify)(&error));
                    // What the failed attempt holds is free while the next one waits.
                    this.stage.set(Stage::Done);
                    match this.attempts.schedule() {
                        Ok(Some(at)) => this.stage.set(Stage::Sleeping { sleep: clock::sleep_until(at) }),
                        Ok(None) => {
                            this.attempts.proceed();
                            let attempt = (this.operation)();
                            this.stage.set(Stage::Attempting { attempt });
                        }
                        Err(stop) => return Poll::Ready(Err(final_error(stop, this.attempts.made(), error))),
                    }
                }
                // ## Sleeping => Attempting
                StageProj::Sleeping { sleep } => {
                    ready!(sleep.poll(cx));
                    this.attempts.proceed();
                    let attempt = (this.operation)();
                    this.stage.set(Stage::Attempting { attempt });
                }
                StageProj::Done => panic!("`RetryRun` polled after completion"),
            }
        }
    }
}

fn final_error<E>(stop: Stop, attempts: u32, last: E) -> CallError<E> {
    match stop {
        Stop::Exhausted if attempts > 1 => CallError::RetriesExhausted { attempts, last },
        _ => CallError::Failed(last),
    }
}

impl<F, Fut, C> fmt::Debug for RetryRun<'_, F, Fut, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryRun").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
