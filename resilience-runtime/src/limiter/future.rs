//! The futures of a rate limiter.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{rate_limiter::RateLimiter, state::Reservation};
use crate::{
    clock,
    error::{CallError, ResilienceError},
};

pin_project! {
    /// Waits for a turn; see [`RateLimiter::acquire`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct LimiterAcquire<'a> {
        limiter: &'a RateLimiter,
        stage: Stage,
        // Armed only if the turn is not now.
        #[pin]
        sleep: Option<Sleep>,
    }

    impl PinnedDrop for LimiterAcquire<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Stage::Waiting(reservation) = std::mem::replace(this.stage, Stage::Done) {
                this.limiter.give_back(reservation);
            }
        }
    }
}

/// Where a caller stands.
enum Stage {
    /// Not polled yet; nothing is reserved.
    New,
    /// Its turn is reserved and has not come.
    Waiting(Reservation),
    /// Let through or refused.
    Done,
}

impl<'a> LimiterAcquire<'a> {
    pub(super) fn new(limiter: &'a RateLimiter) -> Self {
        Self { limiter, stage: Stage::New, sleep: None }
    }
}

impl Future for LimiterAcquire<'_> {
    type Output = Result<(), ResilienceError>;

    /// # Panics
    ///
    /// If polled after completion.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        assert!(!matches!(this.stage, Stage::Done), "`LimiterAcquire` polled after completion");
        if matches!(this.stage, Stage::New) {
            *this.stage = Stage::Done;
            let now = clock::now();
            let reservation = match this.limiter.reserve(now, this.limiter.wait()) {
                Ok(reservation) => reservation,
                Err(wait) => return Poll::Ready(Err(this.limiter.refusal(wait))),
            };
            if !reservation.waits {
                return Poll::Ready(Ok(()));
            }
            let at = reservation.at;
            *this.stage = Stage::Waiting(reservation);
            this.sleep.set(Some(clock::sleep_from(now, at)));
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        if let Stage::Waiting(reservation) = std::mem::replace(this.stage, Stage::Done) {
            this.limiter.arrive(reservation);
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for LimiterAcquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterAcquire").field("limiter", self.limiter).finish_non_exhaustive()
    }
}

pin_project! {
    /// Runs a future once its turn has come; see [`RateLimiter::run`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct LimiterRun<'a, F> {
        #[pin]
        acquire: LimiterAcquire<'a>,
        admitted: bool,
        #[pin]
        future: F,
    }
}

impl<'a, F> LimiterRun<'a, F> {
    pub(super) fn new(acquire: LimiterAcquire<'a>, future: F) -> Self {
        Self { acquire, admitted: false, future }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for LimiterRun<'_, F> {
    type Output = Result<T, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.admitted {
            ready!(this.acquire.poll(cx))?;
            *this.admitted = true;
        }
        this.future.poll(cx).map_err(CallError::Failed)
    }
}

impl<F> fmt::Debug for LimiterRun<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterRun").field("admitted", &self.admitted).finish_non_exhaustive()
    }
}
