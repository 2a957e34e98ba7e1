//! Connections are kept and bounded, and a dead server is noticed.

use std::time::{Duration, Instant};

use resilience_example_http::{FetchError, Server, client, fetch};
use resilience_runtime::{CircuitState, Registry, ResilienceError};
use tokio::task::JoinSet;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_thousand_requests_go_over_as_many_connections_as_the_bulkhead_lets_through() {
    let server = Server::start().await.unwrap();
    let (client, host) = (client().unwrap(), server.address().to_string());
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let (client, host) = (client.clone(), host.clone());
        calls.spawn(async move {
            for _ in 0..10 {
                assert_eq!(fetch(&client, &host).await.unwrap(), "hello");
            }
        });
    }
    calls.join_all().await;
    assert!(server.connections() <= 8, "{} connections", server.connections());
}

#[tokio::test]
async fn a_server_that_stops_trips_its_circuit_and_its_return_closes_it() {
    let mut server = Server::start().await.unwrap();
    let (client, host) = (client().unwrap(), server.address().to_string());
    Registry::new()
        .scope(async {
            let state = || Registry::current().circuit(&format!("http-{host}")).unwrap().state();
            fetch(&client, &host).await.unwrap();
            server.stop().await;
            let start = Instant::now();
            loop {
                let error = fetch(&client, &host).await.unwrap_err();
                if let FetchError::Refused(ResilienceError::CircuitOpen { .. }) = error {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "{error}");
            }
            assert_eq!(state(), CircuitState::Open);
            server.restart().await.unwrap();
            let start = Instant::now();
            while state() != CircuitState::Closed {
                assert!(start.elapsed() < PATIENCE, "no recovery");
                let _ = fetch(&client, &host).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(fetch(&client, &host).await.unwrap(), "hello");
        })
        .await;
}
