//! Retries through the attribute.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use resilience_runtime::{ErrorClass, ErrorKind, Registry, resilient};

use crate::error::TestError;

#[resilient(circuit(name = "trips", failure_threshold = 1), retry(max = 5, delay_ms = 10, jitter = "none"))]
async fn trips(bodies: &AtomicU32) -> Result<(), TestError> {
    bodies.fetch_add(1, Ordering::Relaxed);
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn no_attempt_after_the_circuit_opened() {
    let (registry, bodies, start) = (Registry::new(), AtomicU32::new(0), tokio::time::Instant::now());
    let error = registry.scope(trips(&bodies)).await.unwrap_err();
    assert!(matches!(error, TestError::Failed(_)), "the last error, at once");
    assert_eq!((bodies.into_inner(), start.elapsed()), (1, Duration::ZERO));
}

#[resilient(retry(max = 3, delay_ms = 100, jitter = "none"))]
async fn exhausted(bodies: &AtomicU32) -> Result<(), String> {
    Err(format!("attempt {}", bodies.fetch_add(1, Ordering::Relaxed) + 1))
}

#[tokio::test(start_paused = true)]
async fn exhausted_retries_return_the_last_error_unchanged_and_do_not_sleep_once_more() {
    let (registry, bodies, start) = (Registry::new(), AtomicU32::new(0), tokio::time::Instant::now());
    assert_eq!(registry.scope(exhausted(&bodies)).await, Err("attempt 4".to_owned()));
    assert_eq!(start.elapsed(), Duration::from_millis(100 + 200 + 400));
}

#[resilient(circuit(name = "reopened"), retry(max = 1, delay_ms = 100, jitter = "none"))]
async fn reopened(bodies: &AtomicU32) -> Result<(), TestError> {
    bodies.fetch_add(1, Ordering::Relaxed);
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn a_refusal_met_after_sleeping_is_returned_as_the_refusal() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let mut call = tokio_test::task::spawn(registry.scope(reopened(&bodies)));
    assert!(call.poll().is_pending());
    registry.circuit("reopened").unwrap().force_open();
    tokio::time::advance(Duration::from_millis(100)).await;
    let error = tokio_test::assert_ready_err!(call.poll());
    assert_eq!((error.refusal().kind(), bodies.load(Ordering::Relaxed)), (ErrorKind::CircuitOpen, 1));
}

#[resilient(circuit = "waits", retry(max = 1, delay_ms = 100, jitter = "none"), bulkhead = 1)]
async fn waits() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn a_retry_waiting_in_backoff_holds_no_slot() {
    let registry = Registry::new();
    let mut call = tokio_test::task::spawn(registry.scope(waits()));
    assert!(call.poll().is_pending());
    assert_eq!(registry.bulkhead("waits").unwrap().available(), 1);
}

#[resilient(retry(max = 2, delay_ms = 10, jitter = "none"))]
async fn option(bodies: &AtomicU32) -> Option<u32> {
    let body = bodies.fetch_add(1, Ordering::Relaxed);
    (body == 2).then_some(body)
}

#[tokio::test(start_paused = true)]
async fn none_is_a_failure_that_is_tried_again() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    assert_eq!(registry.scope(option(&bodies)).await, Some(2));
}
