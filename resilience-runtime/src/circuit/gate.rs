//! The circuit before a pool's creations.

use std::{fmt, time::Duration};

use super::{CircuitBreaker, Outcome, Ticket};
use crate::{
    clock::Instant,
    error::ResilienceError,
    gate::{Gate, GateOutcome},
    stats::Sample,
};

impl Gate for CircuitBreaker {
    fn admit(&self, now: Instant) -> Result<u64, ResilienceError> {
        match Self::admit(self, now) {
            Ok(ticket) => Ok(u64::from(ticket.generation)),
            Err(refused) => Err(self.refusal(refused)),
        }
    }

    fn settle(
        &self,
        token: u64,
        outcome: GateOutcome,
        took: Duration,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    ) {
        let outcome = match outcome {
            GateOutcome::Cancelled => Outcome::Cancelled,
            GateOutcome::Failure => Outcome::Failure,
            GateOutcome::Panicked => Outcome::Panicked,
            GateOutcome::Success => Outcome::Success,
            GateOutcome::TimedOut => Outcome::TimedOut,
        };
        // The token is a generation, so nothing is cut off.
        let ticket = Ticket { generation: token as u32 };
        Self::settle(self, ticket, outcome, Some(Sample::of(took)), || now, cause);
    }
}
