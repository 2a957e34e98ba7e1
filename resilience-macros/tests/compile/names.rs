//! Names that are no literals, and templates that name no argument.

use resilience_runtime::{ResilienceError, resilient};

const NAME: &str = "api";

#[resilient(circuit = NAME)]
async fn a_constant() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit = "")]
async fn empty() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(circuit = "host-{}", bulkhead(max = 1, name = "b-{self.id}"), rate_limit(max = 1, name = "a}"))]
async fn not_named() -> Result<u8, ResilienceError> {
    Ok(1)
}

fn main() {}
