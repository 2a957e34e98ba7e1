//! Return types without a place for a refusal: one error at the return type, with the ways out.

use resilience_runtime::resilient;

#[derive(Debug)]
struct Failure;

#[resilient(circuit = "a", timeout_ms = 5, retry = 1)]
async fn no_conversion() -> Result<(), Failure> {
    Ok(())
}

#[resilient(bulkhead = 5)]
async fn a_plain_value() -> u32 {
    1
}

#[resilient(rate_limit = 5)]
async fn nothing_at_all() {}

#[resilient(timeout_ms = 5)]
async fn any_error<E>(error: E) -> Result<(), E> {
    Err(error)
}

type Answer<T> = Result<T, Failure>;

struct Client;

impl Client {
    #[resilient(circuit = "a")]
    async fn alias(&self) -> Answer<u8> {
        Ok(1)
    }
}

fn main() {}
