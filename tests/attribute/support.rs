//! What the tests share.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use resilience_runtime::ResilienceError;

/// An error as users write it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    #[error("{0}")]
    Failed(&'static str),
}

/// The output of a future that is ready at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future is not ready"),
    }
}
