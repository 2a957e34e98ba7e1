//! The right to run one call.

use std::{fmt, ops::Deref, sync::Arc};

use super::{CircuitBreaker, Outcome, Ticket};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    stats::Sample,
};

/// The right to run one call through a circuit. Report how it went; dropping the permit reports a cancellation,
/// which gives a probe's slot back and counts nothing else.
#[must_use = "dropping a permit at once cancels its call; report `success`, `failure` or `ignore`"]
pub struct Permit<'a>(Held<&'a CircuitBreaker>);

/// A [`Permit`] that keeps its circuit alive and can be sent anywhere.
#[must_use = "dropping a permit at once cancels its call; report `success`, `failure` or `ignore`"]
pub struct OwnedPermit(Held<Arc<CircuitBreaker>>);

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn acquire(circuit: &'a CircuitBreaker) -> Result<Self, ResilienceError> {
        Held::acquire(circuit).map(Self)
    }

    #[inline]
    pub(super) fn report(mut self, outcome: Outcome) {
        self.0.report(outcome);
    }
}

impl OwnedPermit {
    pub(super) fn acquire(circuit: Arc<CircuitBreaker>) -> Result<Self, ResilienceError> {
        Held::acquire(circuit).map(Self)
    }

    fn report(mut self, outcome: Outcome) {
        self.0.report(outcome);
    }
}

macro_rules! reports {
    ($permit:ty) => {
        impl $permit {
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
        }
    };
}

reports!(Permit<'_>);
reports!(OwnedPermit);

/// A permit of a circuit that is borrowed or shared.
struct Held<C: Deref<Target = CircuitBreaker>> {
    circuit: C,
    /// [`Instant::FAR`] where the circuit needs no durations.
    begun: Instant,
    /// The ticket, and [`OPEN`]. One word, because a processor has to wait when what was written in parts is read as a
    /// whole, as moving a permit does.
    token: u64,
}

/// Nothing was reported yet.
const OPEN: u64 = 1 << 32;

impl<C: Deref<Target = CircuitBreaker>> Held<C> {
    #[inline]
    fn acquire(circuit: C) -> Result<Self, ResilienceError> {
        let ticket = match circuit.admit_closed() {
            Some(ticket) => ticket,
            None => match circuit.admit(clock::now()) {
                Ok(ticket) => ticket,
                Err(refused) => return Err(circuit.refusal(refused)),
            },
        };
        let begun = if circuit.reads_the_clock() { clock::now() } else { Instant::FAR };
        Ok(Self { circuit, begun, token: u64::from(ticket.generation) | OPEN })
    }

    /// Takes the permit out of the hands of its destructor, then reports.
    #[inline]
    fn report(&mut self, outcome: Outcome) {
        self.token &= !OPEN;
        if self.begun == Instant::FAR {
            return self.circuit.settle(self.ticket(), outcome, None, clock::now, None);
        }
        let now = clock::now();
        let took = Sample::new(now.nanos_since(self.begun));
        self.circuit.settle(self.ticket(), outcome, Some(took), || now, None);
    }

    #[inline]
    const fn ticket(&self) -> Ticket {
        Ticket { generation: self.token as u32 }
    }
}

/// Not a method: a permit that anything has a reference to stays in memory, and does not on the happy path.
#[cold]
#[inline(never)]
fn cancel(circuit: &CircuitBreaker, ticket: Ticket) {
    circuit.settle(ticket, Outcome::Cancelled, None, clock::now, None);
}

impl<C: Deref<Target = CircuitBreaker>> Drop for Held<C> {
    #[inline]
    fn drop(&mut self) {
        if self.token & OPEN != 0 {
            cancel(&self.circuit, self.ticket());
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("circuit", self.0.circuit).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("circuit", &self.0.circuit).finish_non_exhaustive()
    }
}
