//! When a circuit trips, decided by the user.

use std::fmt;

use crate::events::TripReason;

/// A window's sums, as a [`TripPolicy`] sees them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WindowTotals {
    /// Calls in the window.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that were slow.
    pub slow: u32,
    /// Failures since the last success.
    pub consecutive_failures: u32,
}

/// A rule of the user's own, in place of the built-in ones.
///
/// It is asked after every recorded outcome while the circuit is closed, by the call that brought the outcome, and
/// under no lock.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{CircuitBreaker, TripPolicy, TripReason, WindowTotals};
///
/// #[derive(Debug)]
/// struct ThreeOfAnything;
///
/// impl TripPolicy for ThreeOfAnything {
///     fn should_trip(&self, totals: &WindowTotals) -> Option<TripReason> {
///         (totals.failures >= 3).then_some(TripReason::Custom("three failures"))
///     }
/// }
///
/// let circuit = CircuitBreaker::builder("api").trip_policy(ThreeOfAnything).build()?;
/// (0..3).for_each(|_| circuit.record_failure());
/// assert!(circuit.is_open());
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
pub trait TripPolicy: fmt::Debug + Send + Sync {
    /// Why the circuit should open now, or `None` if it should not.
    fn should_trip(&self, totals: &WindowTotals) -> Option<TripReason>;
}
