//! The right to run one call.

use std::{fmt, ops::Deref, sync::Arc};

use super::{CircuitBreaker, Outcome, Ticket, breaker::took};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
};

/// The right to run one call through a circuit. Report how it went; dropping the permit reports a cancellation,
/// which gives a probe's slot back and counts nothing else.
#[must_use = "dropping a permit at once cancels its call; report `success`, `failure` or `ignore`"]
pub struct Permit<'a> {
    circuit: Held<'a>,
    ticket: Ticket,
    /// Known only where the circuit needs durations.
    begun: Option<Instant>,
    /// Nothing was reported yet.
    open: bool,
}

enum Held<'a> {
    Borrowed(&'a CircuitBreaker),
    Owned(Arc<CircuitBreaker>),
}

impl Deref for Held<'_> {
    type Target = CircuitBreaker;

    #[inline]
    fn deref(&self) -> &CircuitBreaker {
        match self {
            Self::Borrowed(circuit) => circuit,
            Self::Owned(circuit) => circuit,
        }
    }
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn acquire(circuit: &'a CircuitBreaker) -> Result<Self, ResilienceError> {
        let (ticket, begun) = admit(circuit)?;
        Ok(Self { circuit: Held::Borrowed(circuit), ticket, begun, open: true })
    }

    pub(super) fn acquire_owned(circuit: Arc<CircuitBreaker>) -> Result<Self, ResilienceError> {
        let (ticket, begun) = admit(&circuit)?;
        Ok(Self { circuit: Held::Owned(circuit), ticket, begun, open: true })
    }

    /// The call succeeded.
    #[inline]
    pub fn success(self) {
        self.report(Outcome::Success);
    }

    /// The call failed.
    #[inline]
    pub fn failure(self) {
        self.report(Outcome::Failure);
    }

    /// The call says nothing about the dependency.
    pub fn ignore(self) {
        self.report(Outcome::Ignored);
    }

    /// Takes the permit out of the hands of its destructor, then reports.
    #[inline]
    pub(super) fn report_with(mut self, outcome: Outcome, cause: Option<&dyn fmt::Display>) {
        self.open = false;
        self.circuit.settle(self.ticket, outcome, took(self.begun), clock::now, cause);
    }

    #[inline]
    fn report(self, outcome: Outcome) {
        self.report_with(outcome, None);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.open {
            self.circuit.settle(self.ticket, Outcome::Cancelled, None, clock::now, None);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("circuit", &&*self.circuit).finish_non_exhaustive()
    }
}

#[inline]
fn admit(circuit: &CircuitBreaker) -> Result<(Ticket, Option<Instant>), ResilienceError> {
    let ticket = circuit.admit(clock::now)?;
    Ok((ticket, circuit.reads_the_clock().then(clock::now)))
}
