//! The function that everybody protects.

use std::convert::Infallible;

use resilience_runtime::ResilienceError;

/// What callers of the protected functions see.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The dependency's own.
    #[error("connection reset")]
    Reset,
    /// A policy's.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    /// A peer's policy.
    #[error("refused")]
    Elsewhere,
}

impl From<Infallible> for ApiError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Answers at once, as a call that finds its data in a buffer does.
pub(crate) async fn ready(id: u64) -> Result<u64, ApiError> {
    work(id)
}

/// Has to wait once, as a call that asks a socket does.
pub(crate) async fn pending(id: u64) -> Result<u64, ApiError> {
    tokio::task::yield_now().await;
    work(id)
}

/// The same without a future.
#[inline]
pub(crate) fn work(id: u64) -> Result<u64, ApiError> {
    if id == u64::MAX { Err(ApiError::Reset) } else { Ok(id + 1) }
}
