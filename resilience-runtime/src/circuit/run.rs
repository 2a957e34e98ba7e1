//! A future behind a circuit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{CircuitBreaker, Outcome, Permit};
use crate::{class::ErrorClass, error::CallError};

pin_project! {
    /// A future that runs if its circuit lets it through. Made by [`CircuitBreaker::run`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct CircuitRun<'a, Fut, C = ()> {
        circuit: &'a CircuitBreaker,
        // Before the permit, so that a dropped run drops the user's future first.
        #[pin]
        future: Fut,
        classify: C,
        guard: Guard<'a>,
    }
}

/// The permit while the future is under way.
struct Guard<'a> {
    permit: Option<Permit<'a>>,
    /// The user's code runs at this moment; a guard that is dropped now is dropped by its panic.
    polling: bool,
    /// The run is over: to poll it again is the caller's mistake, and nothing to the circuit.
    answered: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.polling {
            if let Some(permit) = self.permit.take() {
                permit.report(Outcome::Panicked);
            }
        }
    }
}

impl<'a, Fut> CircuitRun<'a, Fut> {
    pub(super) const fn new(circuit: &'a CircuitBreaker, future: Fut) -> Self {
        Self { circuit, future, classify: (), guard: Guard { permit: None, polling: false, answered: false } }
    }

    /// Judges errors by this function instead of taking all of them for transient. It is called once, for the error
    /// the future answers with.
    ///
    /// [`Classify::classify`](crate::Classify::classify) is such a function for errors that implement it and for the
    /// answers of other primitives that hold one; [`CallError::class`] is one for the answers that hold any other error.
    pub fn classify<E, C: FnMut(&E) -> ErrorClass>(self, classify: C) -> CircuitRun<'a, Fut, By<C>> {
        CircuitRun { circuit: self.circuit, future: self.future, classify: By(classify), guard: self.guard }
    }
}

/// A classifier of the user's own.
#[derive(Clone, Copy, Debug)]
pub struct By<C>(C);

/// How a run judges errors: a seam between the default and [`CircuitRun::classify`].
pub trait Judge<E> {
    /// The class of this error.
    fn judge(&mut self, error: &E) -> ErrorClass;
}

impl<E> Judge<E> for () {
    fn judge(&mut self, _: &E) -> ErrorClass {
        ErrorClass::Transient
    }
}

impl<E, C: FnMut(&E) -> ErrorClass> Judge<E> for By<C> {
    fn judge(&mut self, error: &E) -> ErrorClass {
        (self.0)(error)
    }
}

impl<T, E, Fut, C> Future for CircuitRun<'_, Fut, C>
where
    Fut: Future<Output = Result<T, E>>,
    C: Judge<E>,
{
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// If polled after it has answered. The circuit does not see such a panic.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = this.guard;
        if guard.permit.is_none() {
            assert!(!guard.answered, "polled after it has answered");
            match this.circuit.try_acquire() {
                Ok(permit) => guard.permit = Some(permit),
                Err(refusal) => {
                    guard.answered = true;
                    return Poll::Ready(Err(refusal.into()));
                }
            }
        }
        guard.polling = true;
        let polled = this.future.poll(cx);
        let outcome = match &polled {
            Poll::Pending => None,
            Poll::Ready(Ok(_)) => Some(Outcome::Success),
            Poll::Ready(Err(error)) => Some(match this.classify.judge(error) {
                ErrorClass::Ignored => Outcome::Ignored,
                ErrorClass::Permanent => Outcome::Success,
                ErrorClass::Fatal | ErrorClass::RetryAfter(_) | ErrorClass::Transient => Outcome::Failure,
            }),
        };
        guard.polling = false;
        guard.answered = polled.is_ready();
        if let (Some(outcome), Some(permit)) = (outcome, guard.permit.take_if(|_| polled.is_ready())) {
            permit.report(outcome);
        }
        polled.map_err(CallError::Failed)
    }
}

impl<Fut, C> fmt::Debug for CircuitRun<'_, Fut, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitRun").field("circuit", &self.circuit).finish_non_exhaustive()
    }
}
