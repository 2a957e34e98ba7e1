//! Retries on their own: as a future, and attempt by attempt.

use std::{cell::Cell, io, sync::Arc, time::Duration};

use resilience_runtime::{Backoff, CallError, Classify, Instant, Jitter, Retry, RetryBudget};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backoff = Backoff::exponential(Duration::from_millis(20)).jitter(Jitter::None);
    let retry = Retry::builder().max(3).backoff(backoff).build()?;

    println!("Two connections are reset, the third one answers.");
    let (begun, calls) = (Instant::now(), Cell::new(0));
    let answer = retry
        .run(async || {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(io::Error::from(io::ErrorKind::ConnectionReset)) } else { Ok("hello") }
        })
        .await?;
    let elapsed = Instant::now().saturating_since(begun);
    println!("\"{answer}\" after {} attempts and {} ms of backoff", calls.get(), elapsed.as_millis());
    assert_eq!(calls.get(), 3);
    assert!(elapsed >= Duration::from_millis(20 + 40));

    println!("\nA file that is not there will not be there in a moment: classified, the error is final.");
    let error =
        retry.run(async || std::fs::read("no such file")).classify(Classify::classify).await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, CallError::Failed(_)));

    println!("\nThree servers are down; the attempts are ours to spend.");
    let mut attempts = retry.attempts();
    while let Some(attempt) = attempts.next().await {
        let server = ["a", "b", "c", "d"][attempt.number() as usize - 1];
        println!("attempt {}: server {server}", attempt.number());
        if server == "d" {
            break;
        }
    }
    assert_eq!(attempts.made(), 4);

    println!(
        "\nTwenty calls fail; a budget of a tenth, shared by all who call that server, allows two retries."
    );
    let budget = Arc::new(RetryBudget::new(0.1).reserve(0));
    let retry = Retry::builder().max(3).backoff(backoff).shared_budget(budget).build()?;
    let calls = Cell::new(0);
    for _ in 0..20 {
        let down = async || {
            calls.set(calls.get() + 1);
            Err::<(), _>("down")
        };
        assert!(retry.run(down).await.is_err());
    }
    println!("{} attempts for 20 calls", calls.get());
    assert_eq!(calls.get(), 22);
    Ok(())
}
