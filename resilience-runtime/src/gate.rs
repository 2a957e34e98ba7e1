//! What a pool asks before it creates a connection.
//!
//! A database that is down is not helped by five hundred callers that try to connect to it. A pool therefore asks
//! a circuit breaker first, and tells it how the creation went. It does so through this small trait, so that pools
//! and circuits need not know each other, and so that anything else can stand in.

use std::{fmt, time::Duration};

use crate::{clock::Instant, error::ResilienceError};

/// Lets operations through or refuses them, and learns how they went. [`CircuitBreaker`](crate::CircuitBreaker) is
/// one.
///
/// # Examples
///
/// A gate that lets nothing through during maintenance:
///
/// ```
/// use std::{fmt, sync::atomic::{AtomicBool, Ordering}, time::Duration};
/// use resilience_runtime::{Gate, GateOutcome, Instant, Name, ResilienceError};
///
/// struct Maintenance(AtomicBool);
///
/// impl Gate for Maintenance {
///     fn admit(&self, _now: Instant) -> Result<u64, ResilienceError> {
///         if self.0.load(Ordering::Relaxed) {
///             return Err(ResilienceError::ShutDown { name: Name::from_static("maintenance") });
///         }
///         Ok(0)
///     }
///
///     fn settle(&self, _: u64, _: GateOutcome, _: Duration, _: Instant, _: Option<&dyn fmt::Display>) {}
/// }
/// # assert!(Maintenance(AtomicBool::new(true)).admit(Instant::now()).is_err());
/// ```
pub trait Gate: Send + Sync {
    /// Admits one operation, with a token that comes back in [`settle`](Self::settle).
    ///
    /// # Errors
    ///
    /// The refusal, which the caller gets as it is.
    fn admit(&self, now: Instant) -> Result<u64, ResilienceError>;

    /// An admitted operation is over. Called exactly once for each.
    fn settle(
        &self,
        token: u64,
        outcome: GateOutcome,
        took: Duration,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    );
}

/// How an admitted operation ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum GateOutcome {
    /// Its caller gave up; that says nothing about the dependency.
    Cancelled,
    /// It failed.
    Failure,
    /// It panicked.
    Panicked,
    /// It succeeded.
    Success,
    /// It did not end in time.
    TimedOut,
}
