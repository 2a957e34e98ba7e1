//! The table "what counts", row by row, through an annotated function.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use resilience_runtime::{ErrorClass, ErrorKind, Registry, ResilienceError, SiteSnapshot, resilient};

use crate::error::TestError;

/// What the dependency does next.
#[derive(Clone, Copy, Debug)]
enum Script {
    Answer,
    Fail(ErrorClass),
    Hang,
    Panic,
}

#[resilient(
    circuit(name = "counts", failure_rate = 1.0, min_calls = 100),
    retry(max = 2, delay_ms = 10, jitter = "none"),
    timeout_ms = 50,
    bulkhead = 1
)]
async fn call(script: Script, bodies: &AtomicU32) -> Result<(), TestError> {
    bodies.fetch_add(1, Ordering::Relaxed);
    match script {
        Script::Answer => Ok(()),
        Script::Fail(class) => Err(TestError::Failed(class)),
        Script::Hang => std::future::pending().await,
        Script::Panic => panic!("scripted"),
    }
}

fn site(registry: &Registry, function: &str) -> SiteSnapshot {
    registry.site(&format!("behaviour::counts::{function}")).expect("declared at link time")
}

/// Runs one call in a registry of its own; the bodies run, and the registry after it.
async fn run(script: Script) -> (Result<(), TestError>, u32, Registry) {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let result = registry.scope(call(script, &bodies)).await;
    assert_eq!(registry.bulkhead("counts").unwrap().available(), 1, "the bulkhead got its slot back");
    (result, bodies.into_inner(), registry)
}

/// (succeeded, failed, timed out, ignored, cancelled) of the circuit.
fn circuit(registry: &Registry) -> (u64, u64, u64, u64, u64) {
    let circuit = registry.circuit("counts").unwrap().snapshot();
    (circuit.succeeded, circuit.failed, circuit.timed_out, circuit.ignored, circuit.cancelled)
}

#[tokio::test(start_paused = true)]
async fn ok_is_a_success_and_is_not_retried() {
    let (result, bodies, registry) = run(Script::Answer).await;
    assert!(result.is_ok());
    assert_eq!((bodies, circuit(&registry)), (1, (1, 0, 0, 0, 0)));
    let site = site(&registry, "call");
    assert_eq!((site.calls, site.succeeded, site.attempts, site.retries), (1, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_is_a_failure_and_is_retried() {
    let (result, bodies, registry) = run(Script::Fail(ErrorClass::Transient)).await;
    assert!(matches!(result, Err(TestError::Failed(ErrorClass::Transient))));
    assert_eq!((bodies, circuit(&registry)), (3, (0, 3, 0, 0, 0)));
    let site = site(&registry, "call");
    assert_eq!((site.calls, site.failed, site.attempts, site.retries), (1, 1, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_a_success_of_the_dependency_and_is_not_retried() {
    let (_, bodies, registry) = run(Script::Fail(ErrorClass::Permanent)).await;
    assert_eq!((bodies, circuit(&registry)), (1, (1, 0, 0, 0, 0)));
    assert_eq!(site(&registry, "call").failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_is_a_failure_and_is_not_retried() {
    let (_, bodies, registry) = run(Script::Fail(ErrorClass::Fatal)).await;
    assert_eq!((bodies, circuit(&registry)), (1, (0, 1, 0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_error_counts_nothing_and_is_not_retried() {
    let (_, bodies, registry) = run(Script::Fail(ErrorClass::Ignored)).await;
    assert_eq!((bodies, circuit(&registry)), (1, (0, 0, 0, 1, 0)));
    assert_eq!(registry.circuit("counts").unwrap().snapshot().window_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_failure_and_a_floor_for_the_delay() {
    let start = tokio::time::Instant::now();
    let wait = Duration::from_secs(3);
    let (_, bodies, registry) = run(Script::Fail(ErrorClass::RetryAfter(wait))).await;
    assert_eq!((bodies, circuit(&registry)), (3, (0, 3, 0, 0, 0)));
    assert_eq!(start.elapsed(), 2 * wait);
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_the_largest_delay_is_not_retried() {
    let start = tokio::time::Instant::now();
    let (_, bodies, _) = run(Script::Fail(ErrorClass::RetryAfter(Duration::from_secs(60)))).await;
    assert_eq!((bodies, start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_is_a_failure_and_is_retried() {
    let start = tokio::time::Instant::now();
    let (result, bodies, registry) = run(Script::Hang).await;
    let error = result.unwrap_err().refusal();
    assert_eq!(error.to_string(), "`behaviour::counts::call` timed out after 50 ms");
    assert_eq!((bodies, circuit(&registry)), (3, (0, 0, 3, 0, 0)));
    // Three limits, and delays of 10 and 20 ms.
    assert_eq!(start.elapsed(), Duration::from_millis(3 * 50 + 30));
    assert_eq!(site(&registry, "call").timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_nothing_and_is_not_retried() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let held = registry.bulkhead("counts").unwrap().try_acquire_owned().unwrap();
    let refused = registry.scope(call(Script::Answer, &bodies)).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::BulkheadFull);
    drop(held);
    registry.circuit("counts").unwrap().force_open();
    let refused = registry.scope(call(Script::Answer, &bodies)).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::CircuitOpen);
    assert_eq!((bodies.into_inner(), circuit(&registry)), (0, (0, 0, 0, 0, 0)));
    let site = site(&registry, "call");
    assert_eq!((site.refused_by_bulkhead, site.refused_by_circuit, site.attempts), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_is_neutral_and_counted_as_cancelled() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    let mut hanging = tokio_test::task::spawn(registry.scope(call(Script::Hang, &bodies)));
    assert!(hanging.poll().is_pending());
    assert_eq!(registry.bulkhead("counts").unwrap().available(), 0);
    drop(hanging);
    assert_eq!(registry.bulkhead("counts").unwrap().available(), 1);
    assert_eq!(circuit(&registry), (0, 0, 0, 0, 1));
    let site = site(&registry, "call");
    assert_eq!((site.calls, site.cancelled, site.in_flight), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_goes_on() {
    let registry = Registry::new();
    let scoped = registry.clone();
    let task = tokio::spawn(async move {
        let bodies = AtomicU32::new(0);
        scoped.scope(call(Script::Panic, &bodies)).await
    });
    assert!(task.await.unwrap_err().is_panic());
    let circuit = registry.circuit("counts").unwrap().snapshot();
    assert_eq!((circuit.panicked, circuit.window_failures, circuit.cancelled), (1, 1, 0));
    assert_eq!(registry.bulkhead("counts").unwrap().available(), 1);
    let site = site(&registry, "call");
    assert_eq!((site.panicked, site.cancelled, site.in_flight), (1, 0, 0));
}

#[resilient(circuit(name = "outer", failure_threshold = 5), retry(max = 2, delay_ms = 10))]
async fn outer(inner: ErrorKind, bodies: &AtomicU32) -> Result<(), TestError> {
    bodies.fetch_add(1, Ordering::Relaxed);
    let name = resilience_runtime::Name::from_static("inner");
    Err(TestError::Refused(match inner {
        ErrorKind::TimedOut => ResilienceError::TimedOut { site: name, after: Duration::ZERO },
        _ => ResilienceError::CircuitOpen { circuit: name, retry_after: None },
    }))
}

#[tokio::test(start_paused = true)]
async fn a_nested_refusal_is_neutral_and_a_nested_timeout_is_transient() {
    for (kind, attempts, failures) in [(ErrorKind::CircuitOpen, 1, 0), (ErrorKind::TimedOut, 3, 3)] {
        let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
        registry.scope(outer(kind, &bodies)).await.unwrap_err();
        let circuit = registry.circuit("outer").unwrap().snapshot();
        assert_eq!((bodies.into_inner(), circuit.failed), (attempts, failures), "{kind:?}");
    }
}

#[resilient(circuit = "values", retry(max = 2, delay_ms = 10), retry_if = |r: &Result<u32, _>| matches!(r, Ok(0)),
    failure_if = |r: &Result<u32, _>| matches!(r, Ok(0)))]
async fn value(bodies: &AtomicU32) -> Result<u32, TestError> {
    Ok(bodies.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn values_can_be_failures_and_retried() {
    let (registry, bodies) = (Registry::new(), AtomicU32::new(0));
    assert_eq!(registry.scope(value(&bodies)).await.unwrap(), 1);
    let circuit = registry.circuit("values").unwrap().snapshot();
    assert_eq!((circuit.failed, circuit.succeeded), (1, 1));
}

#[resilient(timeout_ms = 10, fallback = |error: resilience_runtime::CallError<TestError>| fallback(error, seen))]
async fn with_fallback(script: Script, seen: &AtomicU32) -> Result<(), TestError> {
    match script {
        Script::Hang => std::future::pending().await,
        _ => Err(TestError::Failed(ErrorClass::Transient)),
    }
}

fn fallback(error: resilience_runtime::CallError<TestError>, seen: &AtomicU32) -> Result<(), TestError> {
    seen.store(if error.refusal().is_some() { 1 } else { 2 }, Ordering::Relaxed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_and_the_call_is_counted_by_how_it_ended_before() {
    for (script, told, failed, timed_out) in
        [(Script::Hang, 1, 0, 1), (Script::Fail(ErrorClass::Transient), 2, 1, 0)]
    {
        let (registry, seen) = (Registry::new(), AtomicU32::new(0));
        registry.scope(with_fallback(script, &seen)).await.unwrap();
        let site = site(&registry, "with_fallback");
        assert_eq!((seen.into_inner(), site.fallbacks), (told, 1));
        assert_eq!((site.failed, site.timed_out, site.in_flight), (failed, timed_out, 0));
    }
}

/// An argument that an attempt owns.
struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("loud");
    }
}

#[resilient(circuit = "counts-loud")]
async fn loud(argument: Loud) -> Result<(), TestError> {
    std::mem::forget(argument);
    Ok(())
}

#[test]
fn a_refusal_is_one_though_an_argument_panics_on_its_way_out() {
    let registry = Registry::new();
    tokio_test::block_on(registry.scope(loud(Loud))).unwrap();
    registry.circuit("counts-loud").unwrap().force_open();
    let refused = || tokio_test::block_on(registry.scope(loud(Loud)));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(refused)).unwrap_err();
    let site = site(&registry, "loud");
    assert_eq!((site.calls, site.succeeded, site.refused_by_circuit), (2, 1, 1));
    assert_eq!((site.cancelled, site.panicked, site.in_flight), (0, 0, 0));
    assert_eq!(registry.circuit("counts-loud").unwrap().snapshot().refused, 1);
}
