//! DESIGN's guarantees, each by name. Those that need a process of their own are elsewhere: allocation in
//! `tests/allocation.rs`, the circuit's in the runtime crate's `tests/circuit`.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use resilience_runtime::{CircuitState, ErrorClass, Registry, resilient};

use crate::error::TestError;

/// Answers "pending" this often, waking itself, before it fails, fails, and succeeds.
#[resilient(
    circuit(name = "all", min_calls = 100),
    retry(max = 2, delay_ms = 10, jitter = "none"),
    timeout_ms = 1_000,
    total_timeout_ms = 5_000,
    bulkhead(max = 1, queue = 1, wait_ms = 1_000),
    rate_limit(max = 1_000, burst = 1, wait_ms = 1_000)
)]
async fn all_policies(attempts: &AtomicUsize, stalls: usize) -> Result<usize, TestError> {
    for _ in 0..stalls {
        tokio::task::yield_now().await;
    }
    match attempts.fetch_add(1, Ordering::Relaxed) {
        attempt @ 0..2 => Err(TestError::Failed(if attempt == 0 {
            ErrorClass::Transient
        } else {
            ErrorClass::RetryAfter(Duration::from_millis(15))
        })),
        attempt => Ok(attempt),
    }
}

/// Polls a future so often, letting time pass between the polls; its answer if it came.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn guarantee_3_dropping_a_future_at_any_await_leaks_nothing_and_changes_only_cancelled() {
    let mut answered = None;
    for polls in 0..200 {
        let (registry, attempts) = (Registry::new(), AtomicUsize::new(0));
        let output = poll_times(registry.scope(all_policies(&attempts, 3)), polls).await;
        let (circuit, bulkhead) = (registry.circuit("all").unwrap(), registry.bulkhead("all").unwrap());
        let (snapshot, site) =
            (circuit.snapshot(), registry.site("behaviour::guarantees::all_policies").unwrap());
        assert_eq!((bulkhead.available(), bulkhead.waiting(), site.in_flight), (1, 0, 0), "{polls} polls");
        assert_eq!(registry.limiter("all").unwrap().snapshot().waiting, 0, "{polls} polls");
        assert_eq!(circuit.state(), CircuitState::Closed);
        let failed = attempts.load(Ordering::Relaxed).min(2) as u64;
        assert_eq!(
            snapshot.failed, failed,
            "{polls} polls: finished attempts count, the dropped one does not"
        );
        match output {
            Some(output) => {
                assert_eq!((output.unwrap(), site.succeeded, site.cancelled), (2, 1, 0));
                answered = Some(polls);
                break;
            }
            None => {
                let begun = u64::from(polls > 0);
                assert_eq!((site.calls, site.cancelled, site.succeeded), (begun, begun, 0), "{polls} polls");
                assert_eq!(snapshot.cancelled, site.attempts - failed, "{polls} polls");
            }
        }
    }
    assert!(answered.is_some_and(|polls| polls > 20), "every await was reached: {answered:?}");
}

#[tokio::test(start_paused = true)]
async fn guarantee_3_a_caller_dropped_while_queued_leaves_the_queue() {
    let (registry, attempts) = (Registry::new(), AtomicUsize::new(2));
    let bulkhead = registry.bulkhead("all").unwrap();
    let held = bulkhead.try_acquire_owned().unwrap();
    let mut queued = tokio_test::task::spawn(registry.scope(all_policies(&attempts, 0)));
    assert!(queued.poll().is_pending());
    assert_eq!(bulkhead.waiting(), 1);
    // Handed over, then dropped before it could be used: the slot passes on.
    drop(held);
    assert!(queued.is_woken());
    drop(queued);
    assert_eq!((bulkhead.waiting(), bulkhead.available()), (0, 1));
    assert_eq!(attempts.load(Ordering::Relaxed), 2, "the body never ran");
}

/// Panics when dropped, with a future of an annotated function in its care.
struct Bystander<F>(Option<F>);

impl<F> Drop for Bystander<F> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

#[tokio::test(start_paused = true)]
async fn guarantee_4_a_neighbours_panic_is_a_cancellation_not_a_failure() {
    let registry = Registry::new();
    let scoped = registry.clone();
    let task = tokio::spawn(async move {
        let attempts = AtomicUsize::new(0);
        let mut call = Box::pin(scoped.scope(all_policies(&attempts, 3)));
        assert!(futures_poll(call.as_mut()).is_pending());
        let _bystander = Bystander(Some(call));
        panic!("somebody else's");
    });
    assert!(task.await.unwrap_err().is_panic());
    let snapshot = registry.circuit("all").unwrap().snapshot();
    assert_eq!((snapshot.panicked, snapshot.cancelled, snapshot.window_failures), (0, 1, 0));
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[resilient(bulkhead(max = 10, queue = 1_000, wait_ms = 60_000, name = "narrow"))]
async fn narrow(running: &AtomicUsize, most: &AtomicUsize) -> Result<(), TestError> {
    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::task::yield_now().await;
    running.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guarantee_7_a_thousand_callers_never_more_than_ten_bodies_everybody_answered() {
    let registry = Registry::new();
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let (registry, counts) = (registry.clone(), counts.clone());
            tokio::spawn(async move { registry.scope(narrow(&counts.0, &counts.1)).await })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    let bulkhead = registry.bulkhead("narrow").unwrap();
    assert!((1..=10).contains(&counts.1.load(Ordering::SeqCst)));
    assert_eq!((bulkhead.available(), bulkhead.waiting()), (10, 0));
    let site = registry.site("behaviour::guarantees::narrow").unwrap();
    assert_eq!((site.succeeded, site.in_flight), (1_000, 0));
}

#[resilient(
    circuit(name = "total", min_calls = 100),
    retry(max = 100, delay_ms = 30, backoff = "fixed", jitter = "none"),
    total_timeout_ms = 200
)]
async fn total(stall_ms: u64) -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_millis(stall_ms)).await;
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn guarantee_8_total_time_never_exceeds_the_total_timeout() {
    for stall in 0..250 {
        let (registry, start) = (Registry::new(), tokio::time::Instant::now());
        let error = registry.scope(total(stall)).await.unwrap_err();
        assert!(start.elapsed() <= Duration::from_millis(200), "{stall}: {:?}", start.elapsed());
        // An answer that is there at the last moment counts.
        if stall > 200 {
            assert_eq!(error.refusal().to_string(), "`behaviour::guarantees::total` timed out after 200 ms");
        }
    }
}

#[resilient(
    circuit(name = "storm", min_calls = 1_000_000, window_ms = 1_000),
    retry(max = 5, delay_ms = 1, backoff = "fixed", jitter = "none")
)]
async fn storm() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn guarantee_8_retries_never_exceed_the_budget() {
    let registry = Registry::new();
    for _ in 0..1_000 {
        registry.scope(storm()).await.unwrap_err();
    }
    let site = registry.site("behaviour::guarantees::storm").unwrap();
    // The reserve of ten a second over the ten seconds of the window, and a fifth of the calls.
    assert_eq!(site.retries, 100 + 1_000 / 5);
    assert!(site.budget_exhausted > 0);
}

#[resilient(circuit(name = "seeded", min_calls = 100), retry(max = 5, delay_ms = 100))]
async fn seeded() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn guarantee_11_everything_is_deterministic_under_paused_time_and_a_seed() {
    let mut durations = Vec::new();
    for seed in [7, 7, 8] {
        let (registry, start) = (Registry::new().jitter_seed(seed), tokio::time::Instant::now());
        registry.scope(seeded()).await.unwrap_err();
        durations.push(start.elapsed());
    }
    assert_eq!(durations[0], durations[1]);
    assert_ne!(durations[0], durations[2]);
}
