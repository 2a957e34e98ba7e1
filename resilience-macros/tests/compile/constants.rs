//! Const expressions with bad values or types fail where they stand, with the key's name.

use resilience_runtime::{ResilienceError, resilient};

const NONE: u64 = 0;
const PERCENT: f64 = 50.0;
const SUCCESSES: usize = 3;
const PLACES: usize = 3_000_000_000;
const NEGATIVE: i32 = 3;

mod limits {
    pub const ATTEMPT: u64 = 500;
}

#[resilient(timeout_ms = NONE * 2)]
async fn zero() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit(name = "a", failure_rate = PERCENT))]
async fn percent() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(bulkhead = PLACES)]
async fn more_than_a_bulkhead_has() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit(name = "b", probe_successes = SUCCESSES))]
async fn more_than_there_can_be() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(timeout_ms = limits::ATTEMPT, total_timeout_ms = 400)]
async fn total_below_one_attempt() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry = NEGATIVE)]
async fn wrong_type() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(bulkhead = places)]
async fn not_a_constant(places: usize) -> Result<usize, ResilienceError> {
    Ok(places)
}

fn main() {}
