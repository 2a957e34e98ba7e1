//! Fallbacks and judges of the wrong type.

use resilience_runtime::{CallError, ErrorClass, ResilienceError, resilient};

#[resilient(circuit = "a", fallback = |_| 7)]
async fn another_answer() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn wrong_argument(_: String) -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit = "a", fallback = wrong_argument)]
async fn another_argument() -> Result<u8, ResilienceError> {
    Ok(1)
}

async fn wrong_answer(_: CallError<ResilienceError>) -> u8 {
    1
}

#[resilient(circuit = "a", fallback = wrong_answer)]
async fn another_async_answer() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit = "a", fallback = missing)]
async fn a_missing_function() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(classify = |_| ErrorClass::Permanent)]
async fn nothing_to_classify() -> Option<u8> {
    None
}

#[resilient(retry = 1, classify = |error| error.is_timeout())]
async fn a_judge_without_a_class() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry = 1, retry_if = |outcome| outcome)]
async fn a_judge_without_a_bool() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn main() {}
