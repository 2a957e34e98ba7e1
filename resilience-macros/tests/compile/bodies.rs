//! Mistakes in the user's own body are reported as they are without the attribute, where they stand.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(circuit = "a", retry = 1, timeout_ms = 5)]
async fn mismatched() -> Result<u8, ResilienceError> {
    "text"
}

#[resilient(circuit = "a", retry = 1, timeout_ms = 5)]
async fn returned() -> Result<u8, ResilienceError> {
    return Ok("text");
}

#[resilient(circuit = "a", retry = 1, timeout_ms = 5)]
async fn misspelt(text: &str) -> Result<usize, ResilienceError> {
    Ok(text.lne())
}

#[resilient(circuit = "a", retry = 1, timeout_ms = 5)]
async fn unanswered() -> Result<u8, ResilienceError> {
    unanswered_helper();
}

fn unanswered_helper() {}

#[resilient(retry = 1)]
async fn sees_nothing_of_the_expansion() -> Result<u8, String> {
    __call.finish(false);
    Ok(__out)
}

fn main() {}
