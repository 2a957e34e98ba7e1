//! Retries through the attribute.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use resilience_runtime::{ErrorClass, ErrorKind, Event, Registry, resilient};

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

#[resilient(circuit = "hangs", retry(max = 1, delay_ms = 100, jitter = "none"), timeout_ms = 50)]
async fn hangs() -> Result<(), TestError> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_refused_after_a_timeout_is_a_refusal_and_no_timeout() {
    let registry = Registry::new();
    let circuit = registry.circuit("hangs").unwrap();
    let mut call = tokio_test::task::spawn(registry.scope(hangs()));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_millis(50)).await;
    assert!(call.poll().is_pending());
    circuit.force_open();
    tokio::time::advance(Duration::from_millis(100)).await;
    let error = tokio_test::assert_ready_err!(call.poll());
    assert_eq!(error.refusal().kind(), ErrorKind::CircuitOpen);
    let site = registry.site("behaviour::retry::hangs").unwrap();
    assert_eq!((site.refused_by_circuit, site.timed_out, circuit.snapshot().timed_out), (1, 0, 1));
}

#[resilient(retry(max = 1, delay_ms = 100, jitter = "none"), timeout_ms = 50, total_timeout_ms = 5_000)]
async fn second_is_slow(bodies: &AtomicU32) -> Result<(), TestError> {
    if bodies.fetch_add(1, Ordering::Relaxed) == 0 {
        return Err(TestError::Failed(ErrorClass::Transient));
    }
    tokio::time::sleep(Duration::from_millis(40)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_begins_late_has_all_its_time_and_the_call_took_the_whole() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let mut call = tokio_test::task::spawn(registry.scope(second_is_slow(&bodies)));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_millis(40)).await;
    tokio_test::assert_ready_ok!(call.poll());
    let latency = registry.site("behaviour::retry::second_is_slow").unwrap().latency.unwrap();
    assert_eq!((latency.count, latency.max), (1, Duration::from_millis(1_040)));
}

#[resilient(timeout_ms = 50, total_timeout_ms = 5_000)]
async fn limited_twice() -> Result<(), TestError> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_timeout_names_the_limit_that_was_met() {
    let error = Registry::new().scope(limited_twice()).await.unwrap_err().refusal();
    assert_eq!(error.to_string(), "`behaviour::retry::limited_twice` timed out after 50 ms");
}

/// The attempts and delays in milliseconds that a registry tells of while `call` runs.
async fn retries<T>(registry: &Registry, call: impl Future<Output = T>) -> Vec<(u32, u128)> {
    let mut events = registry.subscribe();
    registry.scope(call).await;
    std::iter::from_fn(|| events.try_recv())
        .filter_map(|event| match event {
            Event::Retrying { attempt, delay, .. } => Some((attempt, delay.as_millis())),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_retry_is_told_with_its_number_and_its_delay() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let told = retries(&registry, exhausted(&bodies)).await;
    assert_eq!(told, [(2, 100), (3, 200), (4, 400)]);
}

#[resilient(retry(max = 2, delay_ms = 100, backoff = "decorrelated"))]
async fn decorrelated() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn a_decorrelated_delay_is_drawn_up_to_three_times_the_one_before() {
    let mut delays = Vec::new();
    for seed in 0..50 {
        let told = retries(&Registry::new().jitter_seed(seed), decorrelated()).await;
        let [(2, first), (3, second)] = told[..] else { panic!("{told:?}") };
        assert!((100..=300).contains(&first) && (100..=3 * first).contains(&second), "{told:?}");
        delays.push((first, second));
    }
    assert!(delays.iter().any(|&(first, _)| first > 200) && delays.iter().any(|&(_, second)| second > 300));
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
