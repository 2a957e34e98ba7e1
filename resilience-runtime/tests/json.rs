//! Health reports as JSON.
#![cfg(feature = "serde")]

use std::time::Duration;

use resilience_runtime::{
    Bulkhead, CircuitBreaker, ConnectionPool, Manager, Quota, RateLimiter, Registry, Timeout, WorkerPool,
};
use serde_json::{Value, json};

struct Units;

impl Manager for Units {
    type Connection = ();
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_health_report_serialises_with_everything_in_it() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let circuit = registry.register_circuit(CircuitBreaker::builder("api").failure_threshold(1).build()?)?;
    registry.register_bulkhead(Bulkhead::new("db", 3)?)?;
    registry.register_limiter(RateLimiter::new("mail", Quota::per_second(5)))?;
    registry.register_pool(ConnectionPool::builder("units", Units).build()?)?;
    registry.register_worker_pool(WorkerPool::builder("cpu").threads(1).build()?)?;
    let timeout =
        async { Timeout::named("users", Duration::from_millis(250)).run(async { Ok::<_, ()>(()) }).await };
    registry.scope(timeout).await.map_err(|error| format!("{error:?}"))?;
    circuit.record_failure();
    tokio::time::advance(Duration::from_millis(1_500)).await;

    let report: Value = serde_json::to_value(registry.health())?;
    assert_eq!(report["status"], "degraded");
    let api = &report["circuits"][0];
    assert_eq!((&api["name"], &api["state"], &api["failed"]), (&json!("api"), &json!("open"), &json!(1)));
    assert_eq!(api["next_probe_in_ms"], json!(28_500.0));
    assert_eq!(
        api["last_transition"],
        json!({
            "from": "closed",
            "to": "open",
            "reason": {"tripped": {"consecutive_failures": {"count": 1}}},
            "ago_ms": 1_500.0,
        })
    );
    assert_eq!((&report["bulkheads"][0]["name"], &report["bulkheads"][0]["max"]), (&json!("db"), &json!(3)));
    assert_eq!(report["limiters"][0]["name"], "mail");
    assert_eq!(
        (&report["timeouts"][0]["name"], &report["timeouts"][0]["limit_ms"]),
        (&json!("users"), &json!(250.0))
    );
    assert_eq!(
        (&report["pools"][0]["name"], &report["workers"][0]["name"]),
        (&json!("units"), &json!("cpu"))
    );
    assert_eq!(report["dynamic_names"], json!({"names": 0, "most": 10_000, "evicted": 0, "shared": 0}));
    let unhealthy = serde_json::to_value(registry.unhealthy())?;
    assert_eq!(unhealthy[0]["kind"], "circuit");
    Ok(())
}
