//! Circuit breakers: stop calling what does not answer, and find out carefully when it does again.

mod breaker;
mod builder;
mod control;
mod failures;
mod gate;
mod listeners;
#[cfg(all(test, resilience_loom))]
mod models;
mod permit;
mod policy;
mod rules;
mod run;
mod settle;
mod shell;
mod snapshot;
mod state;
#[cfg(all(test, not(resilience_loom)))]
mod tests;
mod transition;
mod word;

pub use self::{
    breaker::CircuitBreaker,
    builder::CircuitBreakerBuilder,
    listeners::FailureReport,
    permit::{OwnedPermit, Permit},
    policy::{TripPolicy, WindowTotals},
    run::{By, CircuitRun, Judge},
    snapshot::{CircuitSnapshot, LastTransition, LoggedOutcome},
};
pub(crate) use self::{
    settle::{Outcome, Ticket},
    shell::Refused,
};
