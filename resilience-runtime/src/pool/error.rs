//! Why there is no connection.

use thiserror::Error as ThisError;

use crate::{
    class::{Classify, ErrorClass},
    error::ResilienceError,
};

/// Why a pool gave no connection.
///
/// When the time is over, the caller is told what went wrong last on its own way to a connection, if anything did;
/// otherwise `Refused` says that the pool was exhausted or that creating or checking took too long.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{ConnectionPool, Manager, PoolError};
///
/// struct Down;
///
/// impl Manager for Down {
///     type Connection = ();
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<(), std::io::Error> {
///         Err(std::io::ErrorKind::ConnectionRefused.into())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ConnectionPool::builder("db", Down).create_retries(0).build()?;
/// let error = pool.acquire().await.unwrap_err();
/// assert!(matches!(&error, PoolError::Create(error) if error.kind() == std::io::ErrorKind::ConnectionRefused));
/// assert_eq!(error.to_string(), "could not create a connection: connection refused");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// The manager could not create a connection, and retries did not help.
    #[error("could not create a connection: {0}")]
    Create(#[source] E),
    /// The pool is exhausted or closed, its circuit is open, or the time is over.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    /// The last connection that was checked is not healthy, and the time was over before another was there.
    #[error("the connection is not healthy: {0}")]
    Unhealthy(#[source] E),
}

impl<E> PoolError<E> {
    /// The refusal, if it is one.
    pub const fn refusal(&self) -> Option<&ResilienceError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }

    /// The manager's error, if there is one.
    pub fn into_inner(self) -> Result<E, ResilienceError> {
        match self {
            Self::Create(error) | Self::Unhealthy(error) => Ok(error),
            Self::Refused(error) => Err(error),
        }
    }
}

impl<E: Classify> Classify for PoolError<E> {
    /// What the manager's error or the refusal means.
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Create(error) | Self::Unhealthy(error) => error.classify(),
            Self::Refused(error) => error.classify(),
        }
    }
}
