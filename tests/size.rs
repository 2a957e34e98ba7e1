//! What an annotated function's future holds beyond its body's own, and what a circuit takes: ceilings.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use resilience_runtime::{CircuitBreaker, ResilienceError, resilient};

struct Measuring;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every method hands its arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Error(#[from] ResilienceError);

async fn body(id: u64) -> Result<u64, Error> {
    tokio::task::yield_now().await;
    Ok(id)
}

#[resilient]
async fn measured(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[resilient(retry = 3)]
async fn retried(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[resilient(circuit = "size")]
async fn broken(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[resilient(timeout_ms = 500)]
async fn timed(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[resilient(circuit = "size", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn four(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[resilient(circuit = "size-{id}", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn four_named(id: u64) -> Result<u64, Error> {
    body(id).await
}

#[test]
fn futures_stay_small() {
    let own = size_of_val(&body(1));
    let beyond = [
        ("measures only", size_of_val(&measured(1)), 112),
        ("retry", size_of_val(&retried(1)), 224),
        ("circuit", size_of_val(&broken(1)), 112),
        ("timeout", size_of_val(&timed(1)), 224),
        ("circuit, retry, timeout, bulkhead", size_of_val(&four(1)), 256),
        ("the same with a dynamic name", size_of_val(&four_named(1)), 256),
    ];
    for (policies, size, ceiling) in beyond {
        let beyond = size - own;
        println!("{policies}: {beyond} bytes beyond the body's {own}");
        assert!(beyond <= ceiling, "{policies}: {beyond} bytes beyond the body's {own}, at most {ceiling}");
    }
}

#[resilient(circuit = "memory-{id}")]
async fn named(id: u64) -> Result<u64, Error> {
    Ok(id)
}

/// What a call leaves on the heap.
fn left<F: Future>(call: F) -> isize {
    let before = BYTES.get();
    tokio_test::block_on(call);
    BYTES.get() - before
}

#[test]
fn circuits_stay_small() {
    // The process's registry, and what the test's runtime keeps, exist from here on.
    left(named(0));
    let fixed = left(async {
        let circuit = CircuitBreaker::builder("memory").latency(true).build().expect("valid settings");
        std::mem::forget(Box::new(circuit));
    });
    println!("a circuit with its histogram: {fixed} bytes, all stripes included");
    assert!(fixed <= 24 * 1024, "a circuit takes {fixed} bytes");

    let names = left(async {
        for id in 1..=NAMES {
            named(id).await.expect("its circuit is closed");
        }
    });
    let each = names / NAMES as isize;
    println!(
        "a dynamic name: {each} bytes, circuit, histogram, handles and the entries in the registry together"
    );
    assert!(each <= 2_304, "a dynamic name takes {each} bytes");
}

const NAMES: u64 = 512;
