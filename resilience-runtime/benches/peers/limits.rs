//! Bulkhead and limiter, each alone.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    time::Duration,
};

use resilience_benches::{Budget, Comparison, Contender};
use resilience_runtime::{Bulkhead, Quota, RateLimiter};
use tokio::sync::Semaphore;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_resilience_bulkhead::BulkheadLayer;

use crate::{
    body::{Plain, ready, work},
    ours,
};

pub(crate) fn comparisons() -> Vec<Comparison> {
    vec![bulkhead(), bulkhead_of_futures(), limiter(), limiter_of_futures()]
}

pub(crate) fn bulkhead_contender(name: &'static str) -> Contender {
    static BULKHEAD: LazyLock<Bulkhead> =
        LazyLock::new(|| Bulkhead::new("bench", 10).unwrap_or_else(|error| panic!("{error}")));
    Contender::call(name, || {
        let bulkhead: &Bulkhead = &BULKHEAD;
        move |id| bulkhead.try_acquire().map(|_permit| work::<Plain>(id))
    })
}

pub(crate) fn semaphore() -> Contender {
    let semaphore = Arc::new(Semaphore::new(10));
    Contender::call("tokio Semaphore", move || {
        let semaphore = semaphore.clone();
        move |id| semaphore.try_acquire().map(|_permit| work::<Plain>(id))
    })
}

fn bulkhead() -> Comparison {
    Comparison::new("bulkhead", bulkhead_contender("")).against(semaphore(), Budget::Times(1.0))
}

fn bulkhead_of_futures() -> Comparison {
    Comparison::new("bulkhead of futures (attribute)", Contender::future("", || ours::bulkheaded))
        .against(
            Contender::future("tower limit + load shed", || {
                let mut service = ServiceBuilder::new()
                    .load_shed()
                    .concurrency_limit(10)
                    .service(service_fn(ready::<Plain>));
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
        .against(
            Contender::future("tower-resilience 0.14", || {
                let layer = BulkheadLayer::builder().max_concurrent_calls(10).reject_when_full();
                let mut service = ServiceBuilder::new()
                    .layer(layer.build().unwrap_or_else(|error| panic!("{error}")))
                    .service(service_fn(ready::<Plain>));
                async move |id| service.ready().await?.call(id).await
            }),
            Budget::None,
        )
}

/// So many a second that no call is refused: a limiter that refuses does less.
const RATE: NonZero<u32> = NonZero::<u32>::MAX;

pub(crate) fn limiter_contender(name: &'static str) -> Contender {
    let limiter = Arc::new(RateLimiter::new("bench", Quota::per_second(1_000_000_000)));
    Contender::call(name, move || {
        let limiter = limiter.clone();
        move |id| limiter.try_acquire().map(|()| work::<Plain>(id))
    })
}

pub(crate) fn governor() -> Contender {
    let limiter = Arc::new(governor::RateLimiter::direct(governor::Quota::per_second(RATE)));
    Contender::call("governor 0.10", move || {
        let limiter = limiter.clone();
        move |id| limiter.check().map(|()| work::<Plain>(id))
    })
}

fn limiter() -> Comparison {
    Comparison::new("limiter", limiter_contender("")).against(governor(), Budget::Times(1.0)).against(
        Contender::call("ratelimit 2.0", || {
            let limiter = ratelimit::Ratelimiter::builder(1_000_000_000)
                .max_tokens(1_000_000_000)
                .initial_available(1_000_000_000)
                .build();
            let limiter = limiter.unwrap_or_else(|error| panic!("{error}"));
            move |id| limiter.try_wait().map(|()| work::<Plain>(id))
        }),
        Budget::None,
    )
}

fn limiter_of_futures() -> Comparison {
    Comparison::new("limiter of futures (attribute)", Contender::future("", || ours::limited)).against(
        Contender::future("leaky-bucket 1.1", || {
            let limiter = leaky_bucket::RateLimiter::builder()
                .max(1_000_000_000)
                .initial(1_000_000_000)
                .refill(1_000_000)
                .interval(Duration::from_millis(1))
                .build();
            async move |id| {
                limiter.acquire_one().await;
                ready::<Plain>(id).await
            }
        }),
        Budget::None,
    )
}
