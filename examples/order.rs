//! Another order of the same policies: nest the primitives' own `run`.
//!
//! The attribute's circuit sees every attempt. Here it stands outside the retry and sees whole calls: three attempts
//! that fail count once, and a call that succeeds at its third attempt is a success.
//!
//! By itself a primitive takes every error for a failure, also the refusal of another one inside.
//! `classify(Classify::classify)` tells them apart: a full bulkhead says nothing about the ledger.

use std::{cell::Cell, time::Duration};

use resilience_runtime::{Backoff, Bulkhead, CircuitBreaker, Classify, Jitter, Retry, Timeout};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let circuit = CircuitBreaker::builder("ledger").failure_threshold(2).build()?;
    let bulkhead = Bulkhead::new("ledger", 5)?;
    let backoff = Backoff::fixed(Duration::from_millis(1)).jitter(Jitter::None);
    let retry = Retry::builder().max(2).backoff(backoff).build()?;
    let attempt = Timeout::new(Duration::from_millis(200));
    let total = Timeout::new(Duration::from_secs(1));

    // total timeout > circuit > bulkhead > retry > attempt timeout > body; the permit is kept between attempts.
    let attempts = Cell::new(0);
    let call = async |succeeds_at: u32| {
        attempts.set(0);
        let body = async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() == succeeds_at { Ok(attempts.get()) } else { Err("deadlock detected") }
        };
        let retried = retry.run(|| attempt.run(body())).classify(Classify::classify);
        total.run(circuit.run(bulkhead.run(retried)).classify(Classify::classify)).await
    };

    println!("A call that succeeds at its third attempt:");
    let answer = call(3).await.map_err(|error| error.to_string())?;
    println!("  attempt {answer} answers; the circuit counts {} failures", circuit.snapshot().failed);
    assert_eq!((answer, circuit.snapshot().succeeded, circuit.snapshot().failed), (3, 1, 0));

    println!("A call for which there is no room:");
    let permits: Vec<_> = std::iter::from_fn(|| bulkhead.try_acquire().ok()).collect();
    println!("  {}", call(1).await.unwrap_err());
    drop(permits);
    println!("  the circuit counts {} failures", circuit.snapshot().failed);
    assert_eq!((attempts.get(), circuit.snapshot().failed, circuit.snapshot().ignored), (0, 0, 1));

    println!("Two calls whose attempts all fail:");
    for _ in 0..2 {
        println!("  {}", call(0).await.unwrap_err());
    }
    println!("  {}", circuit.snapshot());
    assert_eq!((circuit.snapshot().failed, circuit.is_open()), (2, true));

    println!("A call that is refused makes no attempt:");
    println!("  {}", call(1).await.unwrap_err());
    assert_eq!(attempts.get(), 0);
    Ok(())
}
