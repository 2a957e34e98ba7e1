//! A connection for each attempt.
//!
//! It is had within the attempt: after the circuit's permit, because creating one is a conversation with the
//! dependency, and under the attempt's deadline, as everything the attempt waits for. A connection that was in use
//! when its attempt was cut off may have half an answer in it, so it is closed unless the attempt ended by itself and
//! its error leaves the connection above suspicion.

use std::fmt;

use super::{Call, Verdict};
use crate::{
    error::ResilienceError,
    pool::{Manager, PoolError, Pooled},
};

/// A connection lent to one attempt. Dropped before it is [given back](give_back), it is closed.
#[must_use = "dropping it closes the connection"]
pub struct Lent<M: Manager>(Option<Pooled<M>>);

impl<M: Manager> Lent<M> {
    /// The connection.
    ///
    /// # Panics
    ///
    /// Never: only what consumes the value takes the connection out.
    #[inline]
    pub fn connection(&mut self) -> &mut Pooled<M> {
        self.0.as_mut().expect("taken by what consumes the value only")
    }
}

impl<M: Manager> Drop for Lent<M> {
    fn drop(&mut self) {
        if let Some(pooled) = self.0.take() {
            pooled.discard();
        }
    }
}

impl<M: Manager> fmt::Debug for Lent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// Brings the connection back to its pool, or closes it if the attempt failed for good.
#[inline]
pub fn give_back<M: Manager>(lent: Option<Lent<M>>, verdict: &Verdict<'_>) {
    if let Some(mut lent) = lent {
        if !verdict.is_fatal() {
            drop(lent.0.take());
        }
    }
}

/// Why there is no connection for an attempt.
#[derive(Debug)]
pub enum NoConnection<X> {
    /// The manager failed.
    Failed(ManagerFailure<X>),
    /// The pool refused or is not there, or the attempt's time is over.
    Refused(ResilienceError),
}

/// What a manager failed at.
#[derive(Debug)]
pub enum ManagerFailure<X> {
    /// At creating a connection.
    Create(X),
    /// At checking one.
    Unhealthy(X),
}

impl<X> ManagerFailure<X> {
    /// The manager's own error.
    pub fn into_error(self) -> X {
        match self {
            Self::Create(error) | Self::Unhealthy(error) => error,
        }
    }
}

impl<X> From<ManagerFailure<X>> for PoolError<X> {
    fn from(failure: ManagerFailure<X>) -> Self {
        match failure {
            ManagerFailure::Create(error) => Self::Create(error),
            ManagerFailure::Unhealthy(error) => Self::Unhealthy(error),
        }
    }
}

impl Call<'_> {
    /// Takes a connection out of the site's pool.
    ///
    /// # Errors
    ///
    /// If there is none within the time of the attempt.
    pub async fn lend<M: Manager>(&mut self) -> Result<Lent<M>, NoConnection<M::Error>> {
        let Some(slot) = &self.handles.pool else {
            unreachable!("the attribute writes this only for a site with a pool");
        };
        let pool = slot.of::<M>().map_err(NoConnection::Refused)?;
        match self.attempt(pool.acquire()).await {
            Ok(Ok(pooled)) => Ok(Lent(Some(pooled))),
            Ok(Err(PoolError::Refused(refusal))) | Err(refusal) => Err(NoConnection::Refused(refusal)),
            Ok(Err(PoolError::Create(error))) => Err(NoConnection::Failed(ManagerFailure::Create(error))),
            Ok(Err(PoolError::Unhealthy(error))) => {
                Err(NoConnection::Failed(ManagerFailure::Unhealthy(error)))
            }
        }
    }
}
