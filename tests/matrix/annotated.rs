//! Every shape of annotated function around the same body.

use std::{future::Future, pin::Pin};

use resilience_runtime::{CallError, ErrorClass, resilient};

use crate::faults::{Broken, Key, Point, dependency, reach};

#[resilient]
pub(crate) async fn measured() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(retry(max = 2, delay_ms = 3, jitter = "none"))]
pub(crate) async fn retried() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-timed", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    timeout_ms = 6
)]
pub(crate) async fn timed() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-all", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    timeout_ms = 6,
    total_timeout_ms = 60,
    bulkhead(max = 1, queue = 1, wait_ms = 15),
    rate_limit(max = 1, per_ms = 4, burst = 1, wait_ms = 20)
)]
pub(crate) async fn everything() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-now", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    timeout_ms = 6,
    bulkhead = 1,
    fallback = |_| {
        reach(Point::Fallback);
        Ok(0)
    }
)]
pub(crate) async fn falls_back_now() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-later", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    timeout_ms = 6,
    bulkhead(max = 1, queue = 1, wait_ms = 15),
    fallback = async |_| {
        reach(Point::Fallback);
        tokio::task::yield_now().await;
        reach(Point::FallbackResumed);
        Ok(0)
    }
)]
pub(crate) async fn falls_back_later() -> Result<u32, Broken> {
    dependency().await
}

async fn answer(_: CallError<Broken>) -> Result<u32, Broken> {
    reach(Point::Fallback);
    tokio::task::yield_now().await;
    reach(Point::FallbackResumed);
    Ok(0)
}

#[resilient(
    circuit(name = "matrix-path", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    rate_limit(max = 1, per_ms = 4, burst = 1),
    fallback = answer
)]
pub(crate) async fn falls_back_by_path() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-{key}", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    bulkhead(max = 1, queue = 1, wait_ms = 15),
    rate_limit(max = 1, per_ms = 4, burst = 1, wait_ms = 20)
)]
pub(crate) async fn dynamic(key: &Key) -> Result<u32, Broken> {
    let _ = key;
    dependency().await
}

#[resilient(
    circuit(name = "matrix-option", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    bulkhead = 1
)]
pub(crate) async fn optional() -> Option<u32> {
    dependency().await.ok()
}

#[resilient(
    circuit(name = "matrix-judged", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    bulkhead = 1,
    classify = |_| {
        reach(Point::Classify);
        ErrorClass::Transient
    },
    retry_if = |outcome| {
        reach(Point::RetryIf);
        outcome.is_err()
    },
    failure_if = |outcome| {
        reach(Point::FailureIf);
        outcome.is_err()
    }
)]
pub(crate) async fn judged() -> Result<u32, Broken> {
    dependency().await
}

#[resilient(
    circuit(name = "matrix-boxed", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    retry(max = 2, delay_ms = 3, jitter = "none"),
    timeout_ms = 6
)]
pub(crate) fn boxed() -> Pin<Box<dyn Future<Output = Result<u32, Broken>> + Send>> {
    Box::pin(async move { dependency().await })
}

#[derive(Debug, Default)]
pub(crate) struct Client {
    calls: u32,
}

impl Client {
    #[resilient(
        circuit(name = "matrix-method", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
        retry(max = 2, delay_ms = 3, jitter = "none"),
        timeout_ms = 6,
        bulkhead(max = 1, queue = 1, wait_ms = 15)
    )]
    pub(crate) async fn by_mutable_reference(&mut self) -> Result<u32, Broken> {
        self.calls += 1;
        dependency().await
    }
}

#[async_trait::async_trait]
pub(crate) trait Remote {
    async fn remote(&self) -> Result<u32, Broken>;
}

#[async_trait::async_trait]
impl Remote for Client {
    #[resilient(
        circuit(name = "matrix-remote", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
        retry(max = 2, delay_ms = 3, jitter = "none"),
        timeout_ms = 6,
        bulkhead(max = 1, queue = 1, wait_ms = 15)
    )]
    async fn remote(&self) -> Result<u32, Broken> {
        dependency().await
    }
}

pub(crate) struct Block;

#[resilient(
    circuit(name = "matrix-block", failure_rate = 0.9, min_calls = 3, open_ms = 50, probes = 1),
    rate_limit(max = 1, per_ms = 4, burst = 1, wait_ms = 20)
)]
impl Block {
    #[resilient(retry(max = 1, delay_ms = 3, jitter = "none"))]
    pub(crate) async fn method(&self) -> Result<u32, Broken> {
        dependency().await
    }
}
