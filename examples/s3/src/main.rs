//! Stores and loads objects, kills the server in between, and prints what circuit and retries made of it.

use std::{collections::BTreeMap, error::Error, time::Duration};

use resilience_example_s3::{Server, Store, StoreError};
use resilience_runtime::{ErrorKind, ResilienceError, registry};
use tokio::task::JoinSet;

/// Forty callers, four objects each.
async fn load(store: &Store, title: &str) {
    let mut callers = JoinSet::new();
    for caller in 0..40 {
        let store = store.clone();
        callers.spawn(async move {
            let mut answers = Vec::new();
            for number in 0..4 {
                let (key, bytes) = (format!("{caller}/{number}"), vec![caller; 1_000]);
                let answer = match store.put(&key, &bytes).await {
                    Ok(()) => store.get(&key).await.map(|loaded| loaded == bytes),
                    Err(error) => Err(error),
                };
                answers.push(summary(&answer));
            }
            answers
        });
    }
    let mut counts = BTreeMap::<_, u32>::new();
    for answer in callers.join_all().await.into_iter().flatten() {
        *counts.entry(answer).or_default() += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(answer, count)| format!("{answer} {count}")).collect();
    println!("{title:<10} {}", counts.join(", "));
}

fn summary(answer: &Result<bool, StoreError>) -> &'static str {
    match answer {
        Ok(true) => "ok",
        Ok(false) => "WRONG",
        Err(StoreError::Refused(refusal)) => match refusal.kind() {
            ErrorKind::CircuitOpen => "circuit open",
            ErrorKind::BulkheadFull => "bulkhead full",
            _ => "timed out",
        },
        Err(StoreError::NoAnswer(_)) => "no answer",
        Err(StoreError::Status { .. }) => "the server said no",
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::start().await?;
    let store = Store::new(&server.endpoint(), "example");
    store.create().await?;
    load(&store, "healthy").await;

    match store.get("nothing").await {
        Err(StoreError::Status { status, code }) => {
            println!("missing    {status} {code}, which is no failure")
        }
        other => println!("missing    {other:?}"),
    }

    server.kill()?;
    load(&store, "killed").await;
    let refused = store.get("0/0").await;
    println!("then       {}", refused.as_ref().map_or_else(ToString::to_string, |_| "an answer".to_owned()));

    server.restart().await?;
    if let Err(StoreError::Refused(ResilienceError::CircuitOpen { retry_after: Some(wait), .. })) = refused {
        tokio::time::sleep(wait.max(Duration::from_millis(500))).await;
    }
    // Two probes, one after the other, close the circuit; of many callers at once all but two would be refused.
    store.create().await?;
    store.put("probe", b"").await?;
    load(&store, "restarted").await;
    println!("\n{}", registry().health());
    Ok(())
}
