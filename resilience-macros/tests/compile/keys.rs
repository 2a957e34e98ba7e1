//! Keys that do not exist, are given twice, or lack their value: all of one attribute are reported at once.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(circut = "api", retries = 3, max_attempts = 4, bulkhaed = 10, colour = 1)]
async fn misspelt() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry = 3, bulkhead = 1, retry = 4, timeout = "1s", timeout_ms = 5)]
async fn twice() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit, retry(max), timeout_ms =, bulkhead: 3, 7, "api", fallback)]
async fn without_value() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(failure_rate = 0.5, backoff = "fixed", retry(max = 1, timeout_ms = 5), circuit(name = "a", threshold = 5))]
async fn in_the_wrong_place() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry = 3 bulkhead = 4)]
async fn without_comma() -> Result<u8, ResilienceError> {
    Ok(1)
}

async fn no_follow_up_errors() {
    let _ = misspelt().await;
    let _ = twice().await;
    let _ = without_value().await;
    let _ = in_the_wrong_place().await;
    let _ = without_comma().await;
}

#[resilient(TIMEOUT_MS = 3)]
async fn in_capitals() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn main() {}
