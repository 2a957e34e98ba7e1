//! Twenty lines: an annotated function, a dependency that fails twice, and the health table.

use std::sync::atomic::{AtomicU32, Ordering};

use resilience_runtime::{ResilienceError, registry, resilient};

#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error("connection reset")]
    Reset,
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

#[resilient(circuit = "api", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn fetch_user(id: u64) -> Result<String, ApiError> {
    if ATTEMPTS.fetch_add(1, Ordering::Relaxed) < 2 { Err(ApiError::Reset) } else { Ok(format!("user {id}")) }
}

static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

#[tokio::main]
async fn main() -> Result<(), ApiError> {
    let user = fetch_user(42).await?;
    println!("{user} after {} attempts\n\n{}", ATTEMPTS.load(Ordering::Relaxed), registry().health());
    Ok(())
}
