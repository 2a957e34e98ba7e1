//! Twenty lines: an annotated function, a dependency that fails twice, and the health table.

use resilience_runtime::{ResilienceError, registry, resilient};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("connection reset")]
    Reset,
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

static CALLS: AtomicU32 = AtomicU32::new(0);

#[resilient(circuit = "api", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn fetch_user(id: u64) -> Result<String, ApiError> {
    match CALLS.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(ApiError::Reset),
        _ => Ok(format!("user {id}")),
    }
}

#[tokio::main]
async fn main() -> Result<(), ApiError> {
    println!("{}\n", fetch_user(42).await?);
    println!("{}", registry().health());
    Ok(())
}
