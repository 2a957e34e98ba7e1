//! Values that are right alone and wrong together.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(timeout_ms = 500, total_timeout = "400ms")]
async fn total_below_one_attempt() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit(name = "a", probes = 2, probe_successes = 3, min_calls = 200, window = 100))]
async fn more_than_there_can_be() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit(name = "a", window = 5, window_ms = 5, slow_call_rate = 0.5, failure_reset_ms = 5))]
async fn two_windows() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry(max = 1, delay_ms = 500, max_delay_ms = 400))]
async fn crossed_delays() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry_if = |outcome| outcome.is_err())]
async fn retry_if_alone() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn main() {}
