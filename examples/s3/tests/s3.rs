//! A real server that is killed and comes back.

use std::time::{Duration, Instant};

use resilience_example_s3::{Server, Store, StoreError};
use resilience_runtime::{CircuitState, Registry, ResilienceError};

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_server_that_dies_trips_the_circuit_and_its_return_closes_it() {
    let mut server = Server::start().await.unwrap();
    let store = Store::new(&server.endpoint(), "example");
    let registry = Registry::new();
    registry
        .scope(async {
            let circuit = || Registry::current().circuit("s3").unwrap().snapshot();
            store.create().await.unwrap();
            store.put("key", b"value").await.unwrap();
            assert_eq!(store.get("key").await.unwrap(), b"value");

            // The server is well, so a missing key is no failure and is not retried.
            let missing = store.get("nothing").await.unwrap_err();
            assert!(matches!(missing, StoreError::Status { status: 404, .. }), "{missing:?}");
            assert_eq!((circuit().state, circuit().failed), (CircuitState::Closed, 0));

            server.kill().unwrap();
            // Four attempts, and no retry of the SDK's own among them.
            let dead = store.get("key").await.unwrap_err();
            assert!(matches!(dead, StoreError::NoAnswer(_)), "{dead:?}");
            assert_eq!((circuit().state, circuit().failed), (CircuitState::Closed, 4));
            let start = Instant::now();
            while circuit().state != CircuitState::Open {
                assert!(start.elapsed() < PATIENCE);
                assert!(store.get("key").await.is_err());
            }
            let refused = store.get("key").await.unwrap_err();
            assert!(
                matches!(refused, StoreError::Refused(ResilienceError::CircuitOpen { .. })),
                "{refused:?}"
            );

            server.restart().await.unwrap();
            let start = Instant::now();
            while store.create().await.is_err() {
                assert!(start.elapsed() < PATIENCE, "no recovery");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            store.put("key", b"another").await.unwrap();
            assert_eq!(store.get("key").await.unwrap(), b"another");
            assert_eq!(circuit().state, CircuitState::Closed);
        })
        .await;
}
