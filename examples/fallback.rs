//! Fallbacks: an answer in place of any final error.

use resilience_runtime::{CallError, ErrorKind, registry, resilient};

#[derive(Debug, thiserror::Error)]
#[error("the exchange does not answer")]
struct Down;

/// A closure sees the error and the function's arguments. The return type need not know this library's errors.
#[resilient(circuit(name = "rates", failure_threshold = 2), fallback = |_| Ok(format!("{currency}: last week's rate")))]
async fn rate(currency: &str) -> Result<String, Down> {
    Err(Down)
}

/// A path is called with the error; it may be an `async fn`.
#[resilient(retry(max = 2, delay_ms = 5), fallback = from_cache)]
async fn headlines() -> Result<&'static str, Down> {
    Err(Down)
}

async fn from_cache(error: CallError<Down>) -> Result<&'static str, Down> {
    match error {
        CallError::RetriesExhausted { attempts: 3, .. } => Ok("yesterday's headlines"),
        CallError::Failed(error) | CallError::RetriesExhausted { last: error, .. } => Err(error),
        CallError::Refused(_) => Ok("no headlines"),
    }
}

/// A function that returns no `Result` at all can still be refused.
#[resilient(timeout_ms = 20, fallback = |error| { assert_eq!(error.kind(), ErrorKind::TimedOut); 0 })]
async fn visitors() -> u64 {
    std::future::pending().await
}

#[tokio::main]
async fn main() -> Result<(), Down> {
    for _ in 0..3 {
        println!("{}", rate("EUR").await?);
    }
    println!("{}", headlines().await?);
    println!("{} visitors\n", visitors().await);

    println!("{}", registry().health());
    let fallbacks: u64 = registry().sites().iter().map(|site| site.fallbacks).sum();
    assert_eq!(fallbacks, 5);
    let rates = registry().site("fallback::rate").expect("it is annotated");
    assert_eq!((rates.failed, rates.refused_by_circuit), (2, 1));
    Ok(())
}
