//! Names that calls fill in, for circuits, bulkheads and limiters.

use resilience_runtime::{ErrorKind, ResilienceError, resilient};

use crate::support::{Error, now};

struct Tenant {
    id: u8,
}

impl Tenant {
    #[resilient(circuit(name = "names-{tenant:>3}-{{x}}", tenant = self.id, failure_threshold = 1))]
    async fn call(&self, fail: bool) -> Result<u8, Error> {
        if fail { Err(Error::Failed("no")) } else { Ok(self.id) }
    }
}

#[resilient(bulkhead(name = "names-bulkhead-{host}", max = 1))]
async fn by_host(host: String) -> Result<String, ResilienceError> {
    std::future::pending::<()>().await;
    Ok(host)
}

#[resilient(rate_limit(name = "names-limiter-{{}}", max = 1))]
async fn escaped_only() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(rate_limit(name = "names-limiter-{key}", max = 1, per_ms = 60_000), circuit = "names-both-{key}")]
async fn by_key(key: &str) -> Result<usize, ResilienceError> {
    Ok(key.len())
}

fn refused<T>(answer: Result<T, Error>) -> Option<String> {
    match answer {
        Err(Error::Refused(refusal)) => Some(refusal.name().to_owned()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn each_name_has_its_own_circuit() {
    let (one, two) = (Tenant { id: 1 }, Tenant { id: 2 });
    assert_eq!(one.call(true).await, Err(Error::Failed("no")));
    assert_eq!(refused(one.call(false).await), Some("names-  1-{x}".to_owned()));
    assert_eq!(two.call(false).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn arguments_may_be_consumed_by_the_body() {
    let mut first = tokio_test::task::spawn(by_host("a".to_owned()));
    assert!(first.poll().is_pending());
    let error = now(by_host("a".to_owned())).expect_err("one is inside");
    assert_eq!((error.kind(), error.name()), (ErrorKind::BulkheadFull, "names-bulkhead-a"));
    let mut other = tokio_test::task::spawn(by_host("b".to_owned()));
    assert!(other.poll().is_pending());
}

#[tokio::test(start_paused = true)]
async fn limiters_are_named_as_well() {
    assert_eq!(by_key("abc").await, Ok(3));
    let error = by_key("abc").await.expect_err("the quota is used up");
    assert_eq!((error.kind(), error.name()), (ErrorKind::RateLimited, "names-limiter-abc"));
    assert_eq!(by_key("ab").await, Ok(2));
    assert_eq!(escaped_only().await, Ok(1));
    assert_eq!(escaped_only().await.expect_err("the quota is used up").name(), "names-limiter-{}");
}
