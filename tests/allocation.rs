//! Guarantee 1: no allocation per call, ready or pending, all policies together, retries and refusals included; the
//! first use of a name aside.
//!
//! A binary of its own, because the allocator that counts is the whole process's.

#![allow(clippy::redundant_pattern_matching, reason = "the macro takes any pattern")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use resilience_runtime::{
    Bulkhead, CircuitBreaker, ConnectionPool, Manager, Policy, Pooled, Quota, RateLimiter, ResilienceError,
    RetrySettings, registry, resilient,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("not yet")]
    NotYet,
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// Calls before anything is counted: the first fills in handles, windows and names.
const WARM: u32 = 5;

const CALLS: u32 = 200;

/// Makes calls, and counts what they allocate once everything is warm.
async fn allocations<R>(mut call: impl AsyncFnMut(u32) -> R, expected: impl Fn(&R) -> bool) -> usize {
    let mut before = 0;
    for id in 0..WARM + CALLS {
        if id == WARM {
            before = ALLOCATIONS.get();
        }
        assert!(expected(&call(id).await), "call {id} ended in another way than it should");
    }
    ALLOCATIONS.get() - before
}

/// Time stands still but for what the calls themselves wait for.
fn paused<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

macro_rules! allocates_nothing {
    ($($case:ident: $call:expr => $expected:pat,)*) => {$(
        #[test]
        fn $case() {
            let allocations = paused(allocations($call, |answer| matches!(answer, $expected)));
            assert_eq!(allocations, 0, "{}: {CALLS} calls", stringify!($case));
        }
    )*};
}

#[resilient(
    circuit = "all",
    retry = 3,
    timeout_ms = 500,
    total_timeout_ms = 5_000,
    bulkhead(max = 10, queue = 10, wait_ms = 50),
    rate_limit = 1_000_000
)]
async fn all(id: u32) -> Result<u32, Error> {
    Ok(id)
}

#[resilient(
    circuit = "all-pending",
    retry = 3,
    timeout_ms = 500,
    total_timeout_ms = 5_000,
    bulkhead(max = 10, queue = 10, wait_ms = 50),
    rate_limit = 1_000_000
)]
async fn all_pending(id: u32) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(id)
}

#[resilient(
    circuit(name = "retried", failure_rate = 1.0),
    retry(max = 2, budget = false),
    timeout_ms = 500,
    bulkhead = 10
)]
async fn retried(attempts: &AtomicU32) -> Result<u32, Error> {
    match attempts.fetch_add(1, Ordering::Relaxed) {
        attempt if attempt % 3 == 2 => Ok(attempt),
        _ => Err(Error::NotYet),
    }
}

#[resilient(circuit(name = "exhausted", failure_threshold = 1_000_000), retry(max = 2, budget = false))]
async fn exhausted() -> Result<u32, Error> {
    Err(Error::NotYet)
}

#[resilient(circuit(name = "budget", failure_threshold = 1_000_000), retry(max = 2, budget = 0.1))]
async fn out_of_budget() -> Result<u32, Error> {
    Err(Error::NotYet)
}

#[resilient(circuit(name = "slow", failure_threshold = 1_000_000), timeout_ms = 5, bulkhead = 10)]
async fn timed_out() -> Result<u32, Error> {
    std::future::pending().await
}

#[resilient(circuit = "open", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn refused_by_the_circuit() -> Result<u32, Error> {
    Ok(1)
}

#[resilient(bulkhead = 1)]
async fn holds<F: Future>(meanwhile: F) -> Result<F::Output, Error> {
    Ok(meanwhile.await)
}

#[resilient(bulkhead(max = 1, queue = 4, wait_ms = 1_000, name = "queue"), timeout_ms = 500)]
async fn queued() -> Result<u32, Error> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(1)
}

#[resilient(rate_limit(max = 1, per_ms = 3_600_000))]
async fn limited() -> Result<u32, Error> {
    Ok(1)
}

#[resilient(rate_limit(max = 100, burst = 1, wait_ms = 1_000))]
async fn turn() -> Result<u32, Error> {
    Ok(1)
}

#[resilient(circuit = "open-fallback", retry = 3, fallback = |_error| 7)]
async fn fell_back() -> u32 {
    1
}

#[resilient(circuit = "host-{host}", retry = 3, timeout_ms = 500, bulkhead = 10, rate_limit = 1_000_000)]
async fn dynamic(host: &str) -> Result<u32, Error> {
    Ok(1)
}

#[resilient(circuit = "peer-{host}", retry = 3, timeout_ms = 500, bulkhead = 10, rate_limit = 1_000_000)]
async fn dynamic_pending(host: &str) -> Result<u32, Error> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(1)
}

#[resilient(circuit = "gone-{host}", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn dynamic_refused(host: &str) -> Result<u32, Error> {
    Ok(1)
}

fn open(name: &str) {
    registry().circuit(name).expect("it was declared, or called before").force_open();
}

struct Numbers;

impl Manager for Numbers {
    type Connection = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(0)
    }
}

#[resilient(pool = "allocation", circuit = "pooled", retry = 1, timeout_ms = 500)]
async fn pooled(#[pooled] number: &mut Pooled<Numbers>, id: u32) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    Ok(**number + id)
}

allocates_nothing! {
    a_ready_call_through_every_policy: async |id| all(id).await => Ok(_),
    a_call_with_a_connection: {
        let pool = ConnectionPool::builder("allocation", Numbers).build().expect("settings in range");
        drop(registry().register_pool(pool).expect("the name is free"));
        async |id| pooled(id).await
    } => Ok(_),
    a_pending_call_through_every_policy: async |id| all_pending(id).await => Ok(_),
    a_call_that_succeeds_at_the_third_attempt: {
        let attempts = AtomicU32::new(0);
        async move |_| retried(&attempts).await
    } => Ok(_),
    a_call_that_uses_up_its_retries: async |_| exhausted().await => Err(Error::NotYet),
    a_call_whose_retry_the_budget_forbids: async |_| out_of_budget().await => Err(Error::NotYet),
    a_call_that_times_out: async |_| timed_out().await => Err(Error::Refused(ResilienceError::TimedOut { .. })),
    a_refusal_by_an_open_circuit: {
        open("open");
        async |_| refused_by_the_circuit().await
    } => Err(Error::Refused(ResilienceError::CircuitOpen { .. })),
    a_refusal_by_a_full_bulkhead: async |_| {
        // The outer call holds the only permit while the inner one asks for it.
        holds(std::pin::pin!(holds(std::future::ready(1_u32)))).await.expect("the outer one has it")
    } => Err(Error::Refused(ResilienceError::BulkheadFull { .. })),
    a_call_that_waits_in_the_bulkhead_s_queue: async |_| tokio::join!(queued(), queued()) => (Ok(_), Ok(_)),
    a_refusal_by_a_limiter: {
        paused(async { drop(limited().await) });
        async |_| limited().await
    } => Err(Error::Refused(ResilienceError::RateLimited { .. })),
    a_call_that_waits_for_its_turn: async |_| turn().await => Ok(_),
    a_fallback: {
        open("open-fallback");
        async |_| fell_back().await
    } => 7,
    a_ready_call_of_a_dynamic_name: async |id| dynamic(HOSTS[id as usize % 4]).await => Ok(_),
    a_pending_call_of_a_dynamic_name: async |id| dynamic_pending(HOSTS[id as usize % 4]).await => Ok(_),
    a_refusal_of_a_dynamic_name: {
        paused(async { drop(dynamic_refused("db").await) });
        open("gone-db");
        async |_| dynamic_refused("db").await
    } => Err(Error::Refused(ResilienceError::CircuitOpen { .. })),
    a_call_that_is_dropped_while_it_waits: async |id| {
        let mut call = std::pin::pin!(all_pending(id));
        std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await
    } => true,
    the_policy_without_the_attribute: {
        let circuit = CircuitBreaker::builder("by hand").build().expect("valid settings");
        let policy = Policy::builder().name("by hand")
            .circuit(Arc::new(circuit))
            .retry(RetrySettings::new(2))
            .timeout(Duration::from_millis(500))
            .bulkhead(Arc::new(Bulkhead::new("by hand", 10).expect("valid settings")))
            .build()
            .expect("valid settings");
        async move |id| policy.run(|| async move { Ok::<u32, Error>(id) }).await.is_ok()
    } => true,
    each_primitive_alone: {
        let circuit = CircuitBreaker::builder("alone").build().expect("valid settings");
        let bulkhead = Bulkhead::new("alone", 10).expect("valid settings");
        let limiter = RateLimiter::new("alone", Quota::per_second(1_000_000));
        async move |_| {
            circuit.try_acquire().expect("it is closed").success();
            drop(bulkhead.try_acquire().expect("it is empty"));
            limiter.try_acquire().is_ok()
        }
    } => true,
}

const HOSTS: [&str; 4] = ["db-1.internal", "db-2.internal", "db-3.internal", "db-4.internal"];
