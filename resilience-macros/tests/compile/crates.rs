//! `crate = ..` where the runtime is not.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(crate = renamed, circuit = "api", retry = 1, bulkhead = 10)]
async fn nowhere(id: u64) -> Result<u64, ResilienceError> {
    Ok(id)
}

#[resilient(crate = std::io, timeout_ms = 5)]
async fn elsewhere(id: u64) -> Result<u64, ResilienceError> {
    Ok(id)
}

fn main() {}
