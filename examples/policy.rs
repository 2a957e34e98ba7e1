//! The attribute's chain without the attribute, for code whose settings are only known at run time.

use std::{cell::Cell, sync::Arc, time::Duration};

use resilience_runtime::{
    Bulkhead, CallError, CircuitBreaker, Classify, ErrorClass, Policy, RetrySettings, registry,
};

#[derive(Debug)]
enum StoreError {
    Busy,
    NoSuchKey,
}

impl Classify for StoreError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Busy => ErrorClass::Transient,
            Self::NoSuchKey => ErrorClass::Permanent,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Registered, the circuit shows up in health beside those of annotated functions.
    let circuit = registry().register_circuit(CircuitBreaker::builder("store").build()?)?;
    let policy = Policy::builder()
        .name("store")
        .circuit(circuit.clone())
        .bulkhead(Arc::new(Bulkhead::new("store", 8)?))
        .retry(RetrySettings::new(3).delay_ms(5))
        .timeout(Duration::from_millis(200))
        .total_timeout(Duration::from_secs(2))
        .build()?;

    println!("A store that is busy twice:");
    let calls = Cell::new(0);
    let answer = policy
        .run(|| async {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(StoreError::Busy) } else { Ok("value") }
        })
        .classify(Classify::classify)
        .await;
    println!("  {answer:?} at attempt {}", calls.get());
    assert!(matches!(answer, Ok("value")) && calls.get() == 3);

    println!("A key that does not exist is an answer: it is not retried, and no failure to the circuit.");
    let answer =
        policy.run(|| async { Err::<(), _>(StoreError::NoSuchKey) }).classify(Classify::classify).await;
    println!("  {answer:?}");
    assert!(matches!(answer, Err(CallError::Failed(StoreError::NoSuchKey))));

    let (site, circuit) = (policy.snapshot(), circuit.snapshot());
    println!("{} calls, {} attempts, {} retries", site.calls, site.attempts, site.retries);
    assert_eq!((site.calls, site.attempts, site.retries), (2, 4, 2));
    assert_eq!((circuit.succeeded, circuit.failed), (2, 2));
    Ok(())
}
