//! The function that everybody protects.

use resilience_runtime::ResilienceError;

/// What callers of an annotated function see.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The dependency's own.
    #[error("connection reset")]
    Reset,
    /// A policy's.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// What callers of the peers see: without room for our refusals, which would make their results larger.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Plain {
    /// The dependency's own.
    #[error("connection reset")]
    Reset,
    /// A policy's.
    #[error("refused")]
    Refused,
}

/// Errors that the dependency can fail with.
pub(crate) trait Reset {
    const RESET: Self;
}

impl Reset for ApiError {
    const RESET: Self = Self::Reset;
}

impl Reset for Plain {
    const RESET: Self = Self::Reset;
}

/// Answers at once, as a call that finds its data in a buffer does.
pub(crate) async fn ready<E: Reset>(id: u64) -> Result<u64, E> {
    work(id)
}

/// Has to wait once, as a call that asks a socket does.
pub(crate) async fn pending<E: Reset>(id: u64) -> Result<u64, E> {
    tokio::task::yield_now().await;
    work(id)
}

/// The same without a future.
#[inline]
pub(crate) fn work<E: Reset>(id: u64) -> Result<u64, E> {
    if id == u64::MAX { Err(E::RESET) } else { Ok(id + 1) }
}
