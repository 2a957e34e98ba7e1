//! Health reports.

use std::{convert::Infallible, sync::mpsc, time::Duration};

use resilience_runtime::{
    ConnectionPool, ErrorClass, HealthStatus, Manager, Registry, WorkerPool, resilient,
};
use tokio::sync::oneshot;

use crate::error::TestError;

#[resilient(circuit(name = "reported", failure_rate = 0.5, window = 50, min_calls = 50, open_ms = 20_000))]
async fn reported(fail: bool) -> Result<(), TestError> {
    if fail { Err(TestError::Failed(ErrorClass::Transient)) } else { Ok(()) }
}

#[resilient(circuit(name = "vital", failure_threshold = 1, critical = true))]
async fn vital() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

fn reasons(registry: &Registry) -> Vec<String> {
    registry.unhealthy().into_iter().filter(|item| item.kind == "circuit").map(|item| item.reason).collect()
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_degrades_and_says_why() {
    let registry = Registry::new();
    assert_eq!(registry.health().status, HealthStatus::Healthy);
    for call in 0..50 {
        let _ = registry.scope(reported(call >= 19)).await;
    }
    tokio::time::advance(Duration::from_millis(1_800)).await;
    assert_eq!(registry.health().status, HealthStatus::Degraded);
    let reason = "circuit `reported` is open: failure rate 62 % over 50 calls, next probe in 18.2 s \
                  (last error: failed as Transient)";
    assert_eq!(reasons(&registry), [reason]);
}

#[tokio::test(start_paused = true)]
async fn only_a_critical_circuit_that_is_open_makes_it_unhealthy() {
    let registry = Registry::new();
    registry.scope(vital()).await.unwrap_err();
    assert_eq!(registry.health().status, HealthStatus::Unhealthy);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(reasons(&registry), ["circuit `vital` is half-open: the open time has passed"]);
    assert_eq!(
        registry.health().status,
        HealthStatus::Degraded,
        "an idle process stays in service for the probe"
    );
    registry.circuit("vital").unwrap().force_open();
    assert_eq!(registry.health().status, HealthStatus::Unhealthy);
    registry.circuit("vital").unwrap().close();
    assert_eq!(registry.health().status, HealthStatus::Healthy);
}

/// Connects to nothing.
struct Units;

impl Manager for Units {
    type Connection = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn one_is_told_as_well_as_many() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let pool = registry.register_pool(ConnectionPool::builder("db", Units).max_size(1).build()?)?;
    let workers = registry.register_worker_pool(WorkerPool::builder("cpu").threads(1).build()?)?;
    let connection = pool.acquire().await?;
    let mut caller = tokio_test::task::spawn(pool.acquire());
    tokio_test::assert_pending!(caller.poll());
    let (started, begun) = oneshot::channel();
    let (end, ended) = mpsc::channel::<()>();
    let mut job = tokio_test::task::spawn(workers.run(move || {
        let _ = started.send(());
        let _ = ended.recv();
    }));
    tokio_test::assert_pending!(job.poll());
    begun.await?;
    drop(job);
    let reasons: Vec<_> = registry
        .unhealthy()
        .into_iter()
        .filter(|item| item.kind.ends_with("pool"))
        .map(|item| item.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "pool `db` is full with 1 in use and 1 waiting",
            "worker pool `cpu` has 1 of 1 running for callers that gave up"
        ]
    );
    drop((end, connection));
    Ok(())
}

#[resilient(bulkhead(max = 1, queue = 1, wait_ms = 60_000, name = "full"))]
async fn queues() -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_well() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    registry.register_pool(ConnectionPool::builder("db", Units).max_size(1).build()?)?;
    registry.register_worker_pool(WorkerPool::builder("cpu").threads(1).build()?)?;
    let unhealthy = || -> Vec<_> {
        let items = registry.unhealthy().into_iter().filter(|item| item.kind != "conflict");
        items.map(|item| (item.kind, item.reason)).collect()
    };
    assert_eq!(unhealthy(), []);
    let held = registry.bulkhead("full").unwrap().try_acquire_owned()?;
    assert_eq!(unhealthy(), []);
    let mut queued = tokio_test::task::spawn(registry.scope(queues()));
    tokio_test::assert_pending!(queued.poll());
    assert_eq!(
        unhealthy(),
        [("bulkhead", "bulkhead `full` is full with 1 running and 1 waiting".to_owned())]
    );
    drop((queued, held));
    assert_eq!(unhealthy(), []);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_table_fits_a_terminal_and_names_everything() {
    let registry = Registry::new();
    for _ in 0..50 {
        registry.scope(reported(true)).await.unwrap_err();
    }
    let table = registry.health().to_string();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    for name in ["reported", "vital", "behaviour::health::reported"] {
        assert!(table.contains(name), "{table}");
    }
    let row = table.lines().find(|line| line.starts_with("reported ")).unwrap();
    let cells: Vec<_> = row.split_whitespace().take(6).collect();
    assert_eq!(cells, ["reported", "open", "0", "50", "0", "100"]);
}
