//! What a fallback is given, and how its answer is had: at once, or by awaiting it.

use std::{
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
};

use crate::{
    call::Call,
    error::{CallError, ResilienceError},
};

/// The return type of an annotated function, as a value to call methods on.
///
/// `(&&shape).resilient_split(..)` finds [`ShapeOfResult`] for a `Result` and [`ShapeOfAny`] for everything else.
pub struct Shape<R>(PhantomData<fn() -> R>);

impl<R> Shape<R> {
    /// The shape of `R`.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R> Clone for Shape<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Shape<R> {}

impl<R> Default for Shape<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for Shape<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shape")
    }
}

/// A `Result` fails with [`CallError`]: refused, failed, or failed once too often.
pub trait ShapeOfResult<T, E> {
    /// The answer, or what a fallback is given.
    #[allow(clippy::missing_errors_doc)]
    fn resilient_split(
        &self,
        outcome: Result<Result<T, E>, ResilienceError>,
        call: &Call<'_>,
    ) -> Result<Result<T, E>, CallError<E>> {
        match outcome {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(last)) if call.exhausted() => {
                Err(CallError::RetriesExhausted { attempts: call.attempts(), last })
            }
            Ok(Err(error)) => Err(CallError::Failed(error)),
            Err(refusal) => Err(CallError::Refused(refusal)),
        }
    }
}

impl<T, E> ShapeOfResult<T, E> for &Shape<Result<T, E>> {}

/// Everything else can only be refused.
pub trait ShapeOfAny<R> {
    /// The answer, or what a fallback is given.
    #[allow(clippy::missing_errors_doc)]
    fn resilient_split(
        &self,
        outcome: Result<R, ResilienceError>,
        _: &Call<'_>,
    ) -> Result<R, ResilienceError> {
        outcome
    }
}

impl<R> ShapeOfAny<R> for Shape<R> {}

/// Asks a closure that answers at once.
pub fn answer<X, R>(_: Shape<R>, error: X, fallback: impl FnOnce(X) -> R) -> R {
    fallback(error)
}

/// Asks an async closure, or one whose body is an `async` block.
pub fn answer_async<X, R, F, Fut>(_: Shape<R>, error: X, fallback: F) -> Fut
where
    F: FnOnce(X) -> Fut,
    Fut: Future<Output = R>,
{
    fallback(error)
}

/// What a function answered that may be `async` or not: a path does not tell.
///
/// `(&&Answered(&answer)).resilient_manner().fallen(answer).await` is the answer of either.
#[derive(Debug)]
pub struct Answered<'a, A>(pub &'a A);

/// A future: awaited.
pub trait AnsweredLater {
    /// How to have the answer.
    fn resilient_manner(&self) -> Later {
        Later
    }
}

impl<F: Future> AnsweredLater for &Answered<'_, F> {}

/// Anything else: the answer itself.
pub trait AnsweredNow {
    /// How to have the answer.
    fn resilient_manner(&self) -> Now {
        Now
    }
}

impl<A> AnsweredNow for Answered<'_, A> {}

/// The answer is a future's output.
#[derive(Clone, Copy, Debug)]
pub struct Later;

impl Later {
    /// The future itself.
    pub fn fallen<F: Future>(self, answer: F) -> F {
        answer
    }
}

/// The answer is there.
#[derive(Clone, Copy, Debug)]
pub struct Now;

impl Now {
    /// A future of it.
    pub fn fallen<A>(self, answer: A) -> Ready<A> {
        ready(answer)
    }
}
