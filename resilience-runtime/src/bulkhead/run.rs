//! Running a future under a permit.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Acquire, Bulkhead, BulkheadPermit};
use crate::error::CallError;

pin_project! {
    /// A call under a permit; see [`Bulkhead::run`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Run<'a, Fut> {
        // Dropped before the permit. `None` once it was ready.
        #[pin]
        future: Option<Fut>,
        permit: Option<BulkheadPermit<'a>>,
        #[pin]
        acquire: Acquire<'a>,
    }
}

impl<'a, Fut> Run<'a, Fut> {
    pub(super) const fn new(bulkhead: &'a Bulkhead, future: Fut) -> Self {
        Self { future: Some(future), permit: None, acquire: Acquire::new(bulkhead) }
    }
}

impl<Fut, T, E> Future for Run<'_, Fut>
where
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, CallError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { panic!("polled after it was ready") };
        if this.permit.is_none() {
            match ready!(this.acquire.poll(cx)) {
                Ok(permit) => *this.permit = Some(permit),
                Err(refusal) => {
                    this.future.set(None);
                    return Poll::Ready(Err(refusal.into()));
                }
            }
        }
        let result = ready!(future.poll(cx));
        this.future.set(None);
        *this.permit = None;
        Poll::Ready(result.map_err(CallError::Failed))
    }
}

impl<Fut> fmt::Debug for Run<'_, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("permit", &self.permit).finish_non_exhaustive()
    }
}
