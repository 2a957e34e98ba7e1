//! Circuit breakers through their public interface.
//!
//! A test is named after the rule it guards. All time is paused and advanced by hand.

#![allow(clippy::disallowed_types, reason = "tests stand outside the crate and its locks")]

mod cancellation;
mod concurrency;
mod control;
mod half_open;
mod listeners;
mod open;
mod panics;
mod readers;
mod settings;
mod trip;
mod windows;

use std::{
    future::{Pending, pending},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use resilience_runtime::{
    CircuitBreaker, CircuitState, ErrorKind, ResilienceError, Transition, TransitionReason, TripReason,
    circuit::{CircuitBreakerBuilder, Permit},
};
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const OPEN: Duration = Duration::from_secs(30);

/// Trips at the second failure in a row.
fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder("api").failure_threshold(2).open(OPEN)
}

fn circuit() -> CircuitBreaker {
    builder().build().unwrap()
}

fn trip(circuit: &CircuitBreaker) {
    circuit.record_failure();
    circuit.record_failure();
    assert_eq!(circuit.state(), CircuitState::Open);
}

/// A circuit that has tripped, and whose open time has just passed.
async fn half_open(builder: CircuitBreakerBuilder) -> CircuitBreaker {
    let circuit = builder.build().unwrap();
    trip(&circuit);
    advance(OPEN).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    circuit
}

#[track_caller]
fn permit(circuit: &CircuitBreaker) -> Permit<'_> {
    circuit.try_acquire().expect("let through")
}

#[track_caller]
fn refusal(circuit: &CircuitBreaker) -> ResilienceError {
    let refusal = circuit.try_acquire().expect_err("refused");
    assert_eq!(refusal.kind(), ErrorKind::CircuitOpen);
    refusal
}

#[track_caller]
fn assert_last(circuit: &CircuitBreaker, from: CircuitState, to: CircuitState, reason: TransitionReason) {
    let last = circuit.snapshot().last_transition.expect("a transition");
    assert_eq!((last.from, last.to, last.reason), (from, to, reason));
}

fn tripped(reason: TripReason) -> TransitionReason {
    TransitionReason::Tripped(reason)
}

/// A body that never ends.
fn endless() -> Pending<Result<(), &'static str>> {
    pending()
}

/// What a listener heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Transition>>>);

impl Heard {
    fn on(circuit: &CircuitBreaker) -> Self {
        let heard = Self::default();
        let to = heard.clone();
        drop(circuit.on_state_change(move |transition| to.lock().push(transition.clone())));
        heard
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Transition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changes(&self) -> Vec<(CircuitState, CircuitState)> {
        self.lock().iter().map(|transition| (transition.from, transition.to)).collect()
    }
}
