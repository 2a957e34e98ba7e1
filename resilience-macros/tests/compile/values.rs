//! Values of the wrong type or out of range.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(retry = "3", bulkhead = 0, rate_limit = -5, timeout_ms = 1.5, total_timeout_ms = true)]
async fn numbers() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit(name = "a", failure_rate = 50, slow_call_rate = 0.0, window = 2_000_000, critical = 1))]
async fn rates() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry(max = 1, backoff = "exponental", jitter = "some", budget = true, factor = 0.5))]
async fn words() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout = 500)]
async fn no_unit() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout = "500")]
async fn no_unit_in_the_string() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout = "5h", total_timeout = "soon")]
async fn unknown_units() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout_ms = "2s")]
async fn a_string_for_milliseconds() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(fallback = 5, retry = 1, retry_if = true, classify = "Permanent", clone = a, crate = "x")]
async fn functions() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout = 5s, retry = 3i32, circuit(name = "a", failure_rate = 0.5f32, probes = 2u8))]
async fn of_other_types() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn main() {}
