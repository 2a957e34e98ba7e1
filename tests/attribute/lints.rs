//! Under every lint a project may deny, the expansion is silent. This file compiles or fails.

#![deny(
    warnings,
    keyword_idents,
    let_underscore,
    nonstandard_style,
    refining_impl_trait,
    rust_2018_idioms,
    unused,
    missing_docs,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unreachable_pub,
    unsafe_code,
    unused_import_braces,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    variant_size_differences,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
#![allow(clippy::redundant_pub_crate)]

use std::{convert::Infallible, future::Future, pin::Pin};

use resilience_runtime::{ConnectionPool, ErrorClass, Manager, Pooled, registry, resilient};

use crate::support::{Error, now};

/// A limit.
const LIMIT: u64 = 500;

/// Documented.
#[resilient]
pub(crate) async fn bare(id: u8) -> u8 {
    std::future::ready(id).await
}

#[resilient(retry = 1)]
pub(crate) async fn retry(id: &u8) -> Result<u8, String> {
    std::future::ready(Ok(*id)).await
}

#[resilient(
    circuit(name = "lints-{id}", failure_rate = 0.5, probes = 1),
    retry(max = 1, backoff = "linear", jitter = 0.5),
    timeout_ms = LIMIT,
    total_timeout_ms = LIMIT * 2,
    bulkhead(max = 10, queue = 5, wait_ms = 5),
    rate_limit(max = 10, burst = 2),
    classify = |error| match error {
        Error::Refused(_) => ErrorClass::Ignored,
        Error::Failed(_) => ErrorClass::Transient,
    },
    retry_if = Result::is_err,
    failure_if = Result::is_err,
    clone(list),
)]
pub(crate) async fn everything(id: u8, mut list: Vec<u8>) -> Result<Vec<u8>, Error> {
    list.push(std::future::ready(id).await);
    Ok(list)
}

#[resilient(timeout_ms = 500, fallback = |_| id)]
pub(crate) async fn fallback(id: u8) -> u8 {
    if id == 7 {
        return 1;
    }
    std::future::ready(id).await
}

#[resilient(timeout_ms = 500, fallback = async |_| std::future::ready(2).await)]
pub(crate) async fn async_fallback(id: u8) -> u8 {
    std::future::ready(id).await
}

async fn answer(_: resilience_runtime::ResilienceError) -> u8 {
    std::future::ready(3).await
}

#[resilient(timeout_ms = 500, fallback = answer)]
pub(crate) async fn path_fallback(id: u8) -> u8 {
    std::future::ready(id).await
}

#[resilient(timeout_ms = 500, retry = 1)]
pub(crate) fn boxed(id: u8) -> Pin<Box<dyn Future<Output = Result<u8, Error>> + Send>> {
    Box::pin(async move { std::future::ready(Ok(id)).await })
}

#[resilient(timeout_ms = 500, retry = 1)]
pub(crate) async fn nothing() -> Result<(), Error> {
    std::future::ready(()).await;
    Ok(())
}

struct Numbers;

impl Manager for Numbers {
    type Connection = u8;
    type Error = Infallible;

    async fn create(&self) -> Result<u8, Infallible> {
        std::future::ready(Ok(5)).await
    }
}

#[resilient(pool(name = "lints", manager = Numbers))]
pub(crate) async fn pooled(#[pooled] number: &mut u8) -> Result<u8, Error> {
    std::future::ready(Ok(*number)).await
}

#[resilient(pool = "lints", retry = 1, timeout_ms = 500, classify = |_| ErrorClass::Fatal)]
pub(crate) async fn pooled_again(#[pooled] number: &mut Pooled<Numbers>, id: u8) -> Result<u8, Error> {
    **number = 5;
    std::future::ready(Ok(**number + id)).await
}

#[resilient(workers(name = "lints", threads = 1), timeout_ms = LIMIT)]
pub(crate) fn on_thread(mut list: Vec<u8>) -> Result<Vec<u8>, Error> {
    list.push(1);
    Ok(list)
}

#[resilient(workers = "lints", retry = 1, clone(list), fallback = |_| ())]
pub(crate) fn on_thread_again(list: Vec<u8>) {
    drop(list);
}

pub(crate) struct Service {
    calls: u8,
}

#[resilient(retry = 1, timeout_ms = 500)]
impl Service {
    pub(crate) async fn reads(&self) -> Result<u8, Error> {
        std::future::ready(Ok(self.calls)).await
    }

    pub(crate) async fn writes(&mut self) -> Result<u8, Error> {
        self.calls += std::future::ready(1).await;
        Ok(self.calls)
    }
}

#[test]
fn the_expansion_is_silent() {
    assert_eq!(now(bare(1)), 1);
    assert_eq!(now(retry(&1)), Ok(1));
    assert_eq!(now(everything(1, vec![])), Ok(vec![1]));
    assert_eq!(
        (now(fallback(1)), now(fallback(7)), now(async_fallback(1)), now(path_fallback(1))),
        (1, 1, 1, 1)
    );
    assert_eq!((now(boxed(1)), now(nothing())), (Ok(1), Ok(())));
    let mut service = Service { calls: 1 };
    assert_eq!(now(service.reads()), Ok(1));
    assert_eq!(now(service.writes()), Ok(2));
}

#[tokio::test]
async fn the_expansion_is_silent_about_connections_and_threads() {
    let pool = ConnectionPool::builder("lints", Numbers).build().expect("settings in range");
    drop(registry().register_pool(pool).expect("the name is free"));
    assert_eq!((pooled().await, pooled_again(1).await), (Ok(5), Ok(6)));
    assert_eq!(on_thread(vec![]).await, Ok(vec![1]));
    on_thread_again(vec![]).await;
}
