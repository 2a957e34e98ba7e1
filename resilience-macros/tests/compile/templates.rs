//! Templates whose arguments do not exist or cannot be displayed: rustc's own words, inside the literal.

use resilience_runtime::{ResilienceError, resilient};

#[resilient(circuit = "host-{hots}")]
async fn a_missing_argument(host: &str) -> Result<usize, ResilienceError> {
    Ok(host.len())
}

struct Opaque;

#[resilient(circuit = "host-{host}")]
async fn not_displayed(host: Opaque) -> Result<u8, ResilienceError> {
    let Opaque = host;
    Ok(1)
}

fn main() {}
