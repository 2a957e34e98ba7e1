//! Loads pages over connections that are kept, from a server that dies and comes back.

use std::{collections::BTreeMap, error::Error, time::Duration};

use reqwest::Client;
use resilience_example_http::{FetchError, Server, client, fetch};
use resilience_runtime::{ErrorKind, registry};
use tokio::task::JoinSet;

/// A hundred callers, ten pages each.
async fn load(client: &Client, host: &str, title: &str) {
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (client, host) = (client.clone(), host.to_owned());
        callers.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..10 {
                answers.push(match fetch(&client, &host).await {
                    Ok(_) => "ok",
                    Err(FetchError::Http(_)) => "no answer",
                    Err(FetchError::Refused(refusal)) => match refusal.kind() {
                        ErrorKind::CircuitOpen => "circuit open",
                        ErrorKind::BulkheadFull => "bulkhead full",
                        _ => "timed out",
                    },
                });
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::start().await?;
    let (client, host) = (client()?, server.address().to_string());
    load(&client, &host, "healthy").await;
    println!("           over {} connections", server.connections());
    server.stop().await;
    load(&client, &host, "stopped").await;
    server.restart().await?;
    // The circuit's open time. Two probes, one after the other, close it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    fetch(&client, &host).await?;
    fetch(&client, &host).await?;
    load(&client, &host, "restarted").await;
    println!("\n{}", registry().health());
    Ok(())
}
