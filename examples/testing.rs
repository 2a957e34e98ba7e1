//! How to test annotated code of your own: no waiting, no shared state, the same result in every run.
//!
//! `cargo test --example testing` runs the tests; `cargo run --example testing` shows that ten minutes of them pass in
//! no time.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use resilience_runtime::{ErrorKind, Instant, Registry, ResilienceError, resilient};

/// The dependency; a test says how often it fails before it answers.
#[derive(Default)]
struct Backend {
    failures: AtomicU32,
    calls: AtomicU32,
}

#[derive(Debug, thiserror::Error)]
enum BackendError {
    #[error("bad gateway")]
    BadGateway,
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// The code under test.
#[resilient(
    circuit(name = "backend", failure_threshold = 5, open_ms = 600_000),
    retry = 2,
    timeout_ms = 1_000
)]
async fn load(backend: &Backend) -> Result<&'static str, BackendError> {
    if backend.calls.fetch_add(1, Ordering::Relaxed) < backend.failures.load(Ordering::Relaxed) {
        return Err(BackendError::BadGateway);
    }
    Ok("page")
}

/// Retries are seen by the backend, not by the caller.
async fn a_short_outage_is_not_noticed() {
    let backend = Backend { failures: 2.into(), ..Backend::default() };
    // A registry of its own: circuits are closed, budgets full, and no other test sees them.
    let registry = Registry::new();
    let page = registry.scope(load(&backend)).await;
    assert_eq!(page.ok(), Some("page"));
    assert_eq!(backend.calls.load(Ordering::Relaxed), 3);
}

/// Time that is paused jumps ahead as soon as everything waits for it.
async fn a_long_outage_opens_the_circuit_for_ten_minutes() {
    let backend = Backend { failures: u32::MAX.into(), ..Backend::default() };
    // With a seed the jitter of the backoff is the same in every run.
    let registry = Registry::new().jitter_seed(1);
    for _ in 0..2 {
        let error = registry.scope(load(&backend)).await.unwrap_err();
        assert!(matches!(error, BackendError::BadGateway));
    }
    let error = registry.scope(load(&backend)).await.unwrap_err();
    assert!(matches!(error, BackendError::Refused(refusal) if refusal.kind() == ErrorKind::CircuitOpen));
    assert_eq!(backend.calls.load(Ordering::Relaxed), 5, "the circuit has stopped the last retry, too");

    let circuit = registry.circuit("backend").expect("declared by the attribute");
    tokio::time::advance(Duration::from_millis(599_999)).await;
    assert!(circuit.is_open());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(circuit.is_half_open());
}

/// A state can be brought about by hand, too.
async fn an_open_circuit_keeps_the_backend_alone() {
    let (backend, registry) = (Backend::default(), Registry::new());
    registry.circuit("backend").expect("declared by the attribute").force_open();
    assert!(registry.scope(load(&backend)).await.is_err());
    assert_eq!(backend.calls.load(Ordering::Relaxed), 0);
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let begun = Instant::now();
    a_short_outage_is_not_noticed().await;
    a_long_outage_opens_the_circuit_for_ten_minutes().await;
    an_open_circuit_keeps_the_backend_alone().await;
    let passed = Instant::now().saturating_since(begun);
    println!("Three tests; {} s went by on their clock.", passed.as_secs());
    assert!(passed >= Duration::from_secs(600));
}

#[cfg(test)]
mod tests {
    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_not_noticed() {
        super::a_short_outage_is_not_noticed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_outage_opens_the_circuit_for_ten_minutes() {
        super::a_long_outage_opens_the_circuit_for_ten_minutes().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_circuit_keeps_the_backend_alone() {
        super::an_open_circuit_keeps_the_backend_alone().await;
    }
}
