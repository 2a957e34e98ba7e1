//! What needs tokio's timer: whatever has to wait, as its documentation says, and nothing else. No runtime runs here.

use std::{
    any::Any,
    future::{pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use resilience_runtime::{
    Bulkhead, Policy, Quota, RateLimiter, Retry, RetrySettings, Timeout,
    retry::{Attempt, Attempts},
};

const SECOND: Duration = Duration::from_secs(1);

/// The answer of a future that has one at its first poll, or the text it panics with.
fn answer<F: Future>(future: F) -> Result<F::Output, String> {
    let mut task = tokio_test::task::spawn(future);
    match catch_unwind(AssertUnwindSafe(|| task.poll())) {
        Ok(Poll::Ready(answer)) => Ok(answer),
        Ok(Poll::Pending) => panic!("it waits without a timer"),
        Err(panic) => Err(text(&*panic)),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    panic.downcast_ref::<&str>().map_or_else(
        || panic.downcast_ref::<String>().cloned().unwrap_or_default(),
        |text| (*text).to_owned(),
    )
}

#[track_caller]
fn needs_the_timer<F: Future>(future: F) {
    let text = answer(future).err().expect("a panic");
    assert!(text.starts_with("there is no reactor running"), "{text}");
}

fn ok() -> std::future::Ready<Result<u8, &'static str>> {
    ready(Ok(1))
}

fn failed() -> std::future::Ready<Result<u8, &'static str>> {
    ready(Err("down"))
}

fn endless() -> std::future::Pending<Result<u8, &'static str>> {
    pending()
}

#[test]
fn a_retry_waits_for_its_delay() {
    let retry = Retry::new(1);
    assert_eq!(answer(retry.run(ok)), Ok(Ok(1)));
    needs_the_timer(retry.run(failed));
    let mut attempts: Attempts<'_> = retry.attempts();
    assert_eq!(answer(attempts.next()).unwrap().map(Attempt::number), Some(1));
    needs_the_timer(attempts.next());
}

#[test]
fn a_limiter_waits_for_the_turn() {
    let limiter =
        RateLimiter::builder("x").quota(Quota::per_second(10).burst(1)).wait(SECOND).build().unwrap();
    assert_eq!(answer(limiter.run(ok())), Ok(Ok(1)));
    needs_the_timer(limiter.acquire());
    needs_the_timer(limiter.run(ok()));
}

#[test]
fn a_bulkhead_waits_in_its_queue() {
    let bulkhead = Bulkhead::builder("x").max(1).queue(1).wait(SECOND).build().unwrap();
    assert_eq!(answer(bulkhead.run(ok())), Ok(Ok(1)));
    let permit = bulkhead.try_acquire().unwrap();
    needs_the_timer(bulkhead.acquire());
    needs_the_timer(bulkhead.run(ok()));
    drop(permit);
}

#[test]
fn a_timeout_waits_for_its_limit() {
    let timeout = Timeout::new(SECOND);
    assert_eq!(answer(timeout.run(ok())), Ok(Ok(1)));
    needs_the_timer(timeout.run(endless()));
    needs_the_timer(timeout.wrap(endless()));
}

#[test]
fn a_policy_waits_for_each_of_them() {
    let bulkhead = Arc::new(Bulkhead::builder("x").max(1).queue(1).wait(SECOND).build().unwrap());
    let limiter = Arc::new(
        RateLimiter::builder("x").quota(Quota::per_second(10).burst(1)).wait(SECOND).build().unwrap(),
    );
    let retried = Policy::builder().retry(RetrySettings::new(1)).build().unwrap();
    let limited = Policy::builder().rate_limit(limiter).build().unwrap();
    let queued = Policy::builder().bulkhead(bulkhead.clone()).build().unwrap();
    let timed = Policy::builder().timeout(SECOND).build().unwrap();
    for policy in [&retried, &limited, &queued, &timed] {
        assert_eq!(answer(policy.run(ok)), Ok(Ok(1)));
    }
    needs_the_timer(retried.run(failed));
    needs_the_timer(limited.run(ok));
    needs_the_timer(timed.run(endless));
    let permit = bulkhead.try_acquire().unwrap();
    needs_the_timer(queued.run(ok));
    drop(permit);
}
