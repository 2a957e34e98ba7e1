//! DESIGN's guarantees, each by name. The first needs a process of its own: `tests/allocation.rs`.
//! The tenth is in `dynamic.rs`.

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

use resilience_runtime::{CircuitState, ErrorClass, Event, Registry, resilient};

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

#[resilient(circuit(name = "calls_back", failure_threshold = 1), bulkhead = 1, fallback = |_| calls_back_from_fallback())]
async fn calls_back() -> Result<(), TestError> {
    look_at_everything("body");
    Err(TestError::Failed(ErrorClass::Transient))
}

fn calls_back_from_fallback() -> Result<(), TestError> {
    look_at_everything("fallback");
    Ok(())
}

thread_local! {
    static SEEN: std::cell::RefCell<Vec<&'static str>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Takes every lock that this library has; under one of them it would wait for ever.
fn look_at_everything(from: &'static str) {
    let registry = Registry::current();
    let circuit = registry.circuit("calls_back").unwrap();
    circuit.configure(circuit.settings()).unwrap();
    circuit.on_failure(|_| {}).cancel();
    registry.bulkhead("calls_back").unwrap().resize(1).unwrap();
    let _ = (registry.health().to_string(), registry.conflicts(), registry.subscribe());
    SEEN.with_borrow_mut(|seen| seen.push(from));
}

#[tokio::test(start_paused = true)]
async fn guarantee_2_no_lock_is_held_across_a_callback() {
    let registry = Registry::new();
    let circuit = registry.circuit("calls_back").unwrap();
    let _change = circuit.on_state_change(|_| look_at_everything("state change"));
    let _failure = circuit.on_failure(|_| look_at_everything("failure"));
    registry.scope(calls_back()).await.unwrap();
    SEEN.with_borrow_mut(|seen| {
        seen.sort_unstable();
        assert_eq!(*seen, ["body", "failure", "fallback", "state change"]);
    });
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

#[resilient(
    circuit(name = "probed", failure_threshold = 1, open_ms = 1_000, probes = 3, half_open_max_ms = 500),
    fallback = |_| Answer::Refused
)]
async fn probed(hang: bool) -> Answer {
    if hang {
        std::future::pending::<()>().await;
    }
    Answer::Ran
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Ran,
    Refused,
}

#[tokio::test(start_paused = true)]
async fn guarantee_5_a_circuit_leaves_open_and_half_open_by_time_alone() {
    let registry = Registry::new();
    let circuit = registry.circuit("probed").unwrap();
    circuit.record_failure();
    tokio::time::advance(Duration::from_nanos(999_999_999)).await;
    assert_eq!(circuit.state(), CircuitState::Open);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    let mut hung = tokio_test::task::spawn(registry.scope(probed(true)));
    assert!(hung.poll().is_pending());
    tokio::time::advance(Duration::from_nanos(499_999_999)).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(circuit.state(), CircuitState::Open);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    drop(hung);
    assert_eq!(circuit.snapshot().probes_admitted, 0, "the hung probe's slot is not of this period");
}

#[tokio::test(start_paused = true)]
async fn guarantee_6_never_more_than_probes_run_in_a_half_open_period() {
    let registry = Registry::new();
    registry.circuit("probed").unwrap().record_failure();
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut callers: Vec<_> =
        (0..500).map(|_| tokio_test::task::spawn(registry.scope(probed(true)))).collect();
    let pending = callers.iter_mut().filter_map(|caller| caller.poll().is_pending().then_some(())).count();
    assert_eq!(pending, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guarantee_9_every_transition_is_told_exactly_once() {
    let registry = Registry::new();
    let circuit = registry.circuit("all").unwrap();
    circuit.configure(circuit.settings().failure_threshold(1).min_calls(100)).unwrap();
    let mut events = registry.subscribe();
    for _ in 0..100 {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let circuit = circuit.clone();
                tokio::spawn(async move { circuit.record_failure() })
            })
            .collect();
        for racer in racers {
            racer.await.unwrap();
        }
        circuit.close();
    }
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv())
        .filter_map(|event| match event {
            Event::Transition(change) => Some((change.from, change.to)),
            _ => None,
        })
        .collect();
    let round = [(CircuitState::Closed, CircuitState::Open), (CircuitState::Open, CircuitState::Closed)];
    assert_eq!(told, round.repeat(100));
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

/// Never ready, and always out of tokio's cooperative budget, of which the timer needs some as well.
#[resilient(timeout_ms = 100)]
async fn greedy() -> Result<(), TestError> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    std::future::poll_fn(move |cx| {
        (0..1_000).for_each(|_| sender.send(()).unwrap());
        while receiver.poll_recv(cx).is_ready() {}
        let mut advance = pin!(tokio::time::advance(Duration::from_millis(10)));
        let _ = advance.as_mut().poll(cx);
        Poll::<()>::Pending
    })
    .await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn guarantee_8_a_busy_body_is_stopped_at_its_limit() {
    let elapsed = tokio::spawn(async {
        let start = tokio::time::Instant::now();
        Registry::new().scope(greedy()).await.unwrap_err();
        start.elapsed()
    });
    assert_eq!(elapsed.await.unwrap(), Duration::from_millis(100));
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
