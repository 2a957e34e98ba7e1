//! The attribute over the bare call: what each policy adds.

use std::time::Duration;

use resilience_benches::{Budget, Comparison, Contender};
use resilience_runtime::{CircuitBreaker, Name, registry, resilient};

use crate::body::{ApiError, Plain, pending, ready};

#[resilient]
pub(crate) async fn measured(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(retry = 3)]
pub(crate) async fn retried(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(circuit = "alone")]
pub(crate) async fn broken(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(timeout_ms = 500)]
pub(crate) async fn timed(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(timeout_ms = 500)]
pub(crate) async fn timed_pending(id: u64) -> Result<u64, ApiError> {
    pending(id).await
}

#[resilient(bulkhead = 10)]
pub(crate) async fn bulkheaded(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(rate_limit = 1_000_000_000)]
pub(crate) async fn limited(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(circuit = "four", retry = 3, timeout_ms = 500, bulkhead = 10)]
pub(crate) async fn four(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(circuit = "four-pending", retry = 3, timeout_ms = 500, bulkhead = 10)]
pub(crate) async fn four_pending(id: u64) -> Result<u64, ApiError> {
    pending(id).await
}

#[resilient(circuit = "host-{host}", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn dynamic(id: u64, host: &str) -> Result<u64, ApiError> {
    ready(id).await
}

#[resilient(circuit = "refusing", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn refused(id: u64) -> Result<u64, ApiError> {
    ready(id).await
}

/// Nobody calls it between the rounds, so it has to be the longest there is.
const OPEN: Duration = Duration::from_secs(86_400);

fn open() -> Result<CircuitBreaker, resilience_runtime::InvalidSettings> {
    let circuit =
        CircuitBreaker::builder(Name::from_static("open")).failure_threshold(1).open(OPEN).build()?;
    circuit.record_failure();
    Ok(circuit)
}

fn refusals(id: u64) -> impl Future<Output = Result<u64, ApiError>> {
    refused(id)
}

fn bare(name: &'static str) -> Contender {
    Contender::future(name, || ready::<ApiError>)
}

pub(crate) fn comparisons() -> Vec<Comparison> {
    let alone = |what, contender| Comparison::new(what, contender).against(bare("bare call"), Budget::None);
    vec![
        Comparison::new("clock", Contender::call("", || |_| resilience_runtime::Instant::now()))
            .against(Contender::call("tokio Instant", || |_| tokio_now()), Budget::None),
        alone("#[resilient] (measures only)", Contender::future("", || measured)),
        alone("... retry", Contender::future("", || retried)),
        alone("... circuit", Contender::future("", || broken)),
        alone("... timeout", Contender::future("", || timed)),
        alone("... bulkhead", Contender::future("", || bulkheaded)),
        alone("... rate_limit", Contender::future("", || limited)),
        Comparison::new("... circuit, retry, timeout, bulkhead", Contender::future("", || four))
            .against(bare("bare call"), Budget::Beyond(40.0)),
        Comparison::new(
            "... four, circuit = \"host-{host}\"",
            Contender::future("", || async |id| dynamic(id, "db-7.internal").await),
        )
        .against(Contender::future("static name", || four), Budget::Beyond(45.0)),
        Comparison::new("... four, body pending once", Contender::future("", || four_pending))
            .against(Contender::future("bare call", || pending::<ApiError>), Budget::None)
            .against(
                Contender::future("tokio timeout", || {
                    async |id| tokio::time::timeout(LIMIT, pending(id)).await.unwrap_or(Err(Plain::Refused))
                }),
                Budget::Times(1.1),
            ),
        Comparison::new(
            "refusal by an open circuit",
            Contender::call("", || {
                let circuit = open().unwrap_or_else(|error| panic!("{error}"));
                move |_| circuit.try_acquire().map(drop)
            }),
        )
        .against(bare("bare call"), Budget::Nanos(12.0)),
        Comparison::new(
            "... of the full policy",
            Contender::future("", || {
                registry().circuit("refusing").unwrap_or_else(|| panic!("declared")).force_open();
                refusals
            }),
        )
        .against(bare("bare call"), Budget::None),
    ]
}

pub(crate) const LIMIT: Duration = Duration::from_millis(500);

#[allow(clippy::disallowed_methods)]
fn tokio_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
