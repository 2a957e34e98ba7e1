//! The right to run one call.

use std::{fmt, ops::Deref, sync::Arc};

use super::{CircuitBreaker, Outcome, Refused, Ticket};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    stats::Sample,
};

/// The right to run one call through a circuit. Report how it went; dropping the permit reports a cancellation,
/// which gives a probe's slot back and counts nothing else.
#[must_use = "dropping a permit at once cancels its call; report `success`, `failure` or `ignore`"]
pub struct Permit<'a> {
    circuit: Held<'a>,
    /// [`Instant::FAR`] where the circuit needs no durations.
    begun: Instant,
    /// The ticket, and [`OPEN`]. One word, because a processor has to wait when what was written in parts is read as a
    /// whole, as moving a permit does.
    token: u64,
}

/// Nothing was reported yet.
const OPEN: u64 = 1 << 32;

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
        match Self::ticket_of(circuit) {
            Ok(ticket) => Ok(Self::new(Held::Borrowed(circuit), ticket)),
            Err(refused) => Err(circuit.refusal(refused)),
        }
    }

    #[inline]
    pub(super) fn acquire_owned(circuit: Arc<CircuitBreaker>) -> Result<Self, ResilienceError> {
        match Self::ticket_of(&circuit) {
            Ok(ticket) => Ok(Self::new(Held::Owned(circuit), ticket)),
            Err(refused) => Err(circuit.refusal(refused)),
        }
    }

    #[inline]
    fn ticket_of(circuit: &CircuitBreaker) -> Result<Ticket, Refused> {
        circuit.admit_closed().map_or_else(|| circuit.admit(clock::now()), Ok)
    }

    #[inline]
    fn new(circuit: Held<'a>, ticket: Ticket) -> Self {
        let begun = if circuit.reads_the_clock() { clock::now() } else { Instant::FAR };
        Self { circuit, begun, token: u64::from(ticket.generation) | OPEN }
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
        self.token &= !OPEN;
        if self.begun == Instant::FAR {
            return self.circuit.settle(self.ticket(), outcome, None, clock::now, cause);
        }
        let now = clock::now();
        let took = Sample::new(now.nanos_since(self.begun));
        self.circuit.settle(self.ticket(), outcome, Some(took), || now, cause);
    }

    #[inline]
    const fn ticket(&self) -> Ticket {
        Ticket { generation: self.token as u32 }
    }

    #[cold]
    #[inline(never)]
    fn cancel(&self) {
        self.circuit.settle(self.ticket(), Outcome::Cancelled, None, clock::now, None);
    }

    #[inline]
    fn report(self, outcome: Outcome) {
        self.report_with(outcome, None);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.token & OPEN != 0 {
            self.cancel();
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("circuit", &&*self.circuit).finish_non_exhaustive()
    }
}
