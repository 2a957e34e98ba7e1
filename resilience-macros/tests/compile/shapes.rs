//! Items that cannot be protected, each with what to write instead.

use std::future::Future;

use resilience_runtime::{ResilienceError, resilient};

#[resilient(retry = 1)]
fn not_async() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(retry = 1)]
fn statements_before_the_block() -> impl Future<Output = Result<u8, ResilienceError>> {
    let one = 1;
    async move { Ok(one) }
}

#[resilient]
struct NotAFunction;

trait Bodiless {
    #[resilient(retry = 1)]
    async fn method(&self) -> Result<u8, ResilienceError>;
}

#[resilient]
async fn never() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

#[resilient(retry = 1)]
#[resilient(timeout_ms = 5)]
async fn two_attributes() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[tracing::instrument]
#[resilient(retry = 1)]
async fn below_instrument() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(skip)]
async fn skipped_alone() -> Result<u8, ResilienceError> {
    Ok(1)
}

struct Client;

#[resilient(retry = 1)]
impl Client {
    fn nothing_async(&self) {}
}

#[resilient(retri = 1)]
impl Client {
    #[resilient(skip)]
    async fn one(&self) {}
    #[resilient(timeout_ms = 0)]
    async fn two(&self) {}
}

async fn no_follow_up_errors(client: Client) {
    let _ = (not_async(), NotAFunction);
    let _ = (statements_before_the_block().await, two_attributes().await, below_instrument().await);
    client.nothing_async();
    client.one().await;
    client.two().await;
}

struct Gated;

#[resilient(retry = 1)]
impl Gated {
    #[cfg_attr(all(), resilient(skip))]
    async fn skipped_by_cfg_attr(&self) -> Result<u8, ResilienceError> {
        Ok(1)
    }
}

fn main() {}
