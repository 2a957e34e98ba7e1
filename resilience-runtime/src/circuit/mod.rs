//! Circuit breakers: stop calling what does not answer, and find out carefully when it does again.

mod breaker;
mod builder;
mod gate;
mod listeners;
mod permit;
mod rules;
mod run;
mod shell;
mod snapshot;
mod word;

pub(crate) use self::shell::{Outcome, Ticket};
pub use self::{
    breaker::CircuitBreaker,
    builder::CircuitBreakerBuilder,
    listeners::FailureReport,
    permit::Permit,
    rules::{TripPolicy, WindowTotals},
    run::CircuitRun,
    snapshot::{CircuitSnapshot, LastTransition, LoggedOutcome},
};
