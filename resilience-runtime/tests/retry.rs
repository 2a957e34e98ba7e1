//! Retries through their public face, under paused time.

use std::{
    cell::{Cell, RefCell},
    future::{pending, ready},
    sync::Arc,
    time::Duration,
};

use resilience_runtime::{
    Backoff, CallError, Classified, Classify, ErrorClass, Instant, Jitter, Quota, RateLimiter, Retry,
    RetryBudget, RetryBuilder, RetrySettings,
};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, task};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// 100 ms, 200 ms, 400 ms, ..., without chance.
fn doubling(max: u32) -> RetryBuilder {
    Retry::builder().max(max).backoff(Backoff::exponential(MS(100)).jitter(Jitter::None))
}

/// What came of calling something that always fails with `error`, how often it was called, and how long it took.
async fn failing<E: Clone>(retry: &Retry, error: E, class: ErrorClass) -> (CallError<E>, u32, Duration) {
    let (start, calls) = (Instant::now(), Cell::new(0));
    let operation = || {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>(error.clone()))
    };
    let error = retry.run(operation).classify(|_| class).await.unwrap_err();
    (error, calls.get(), Instant::now().saturating_since(start))
}

#[tokio::test(start_paused = true)]
async fn no_sleep_after_the_last_failure() {
    let retry = doubling(3).build().unwrap();
    let expected = CallError::RetriesExhausted { attempts: 4, last: "no" };
    assert_eq!(failing(&retry, "no", ErrorClass::Transient).await, (expected, 4, MS(700)));
}

#[tokio::test(start_paused = true)]
async fn success_ends_the_call() {
    let (start, calls) = (Instant::now(), Cell::new(0));
    let operation = || {
        calls.set(calls.get() + 1);
        ready(if calls.get() < 3 { Err("no") } else { Ok(calls.get()) })
    };
    assert_eq!(doubling(5).build().unwrap().run(operation).await, Ok(3));
    assert_eq!(Instant::now().saturating_since(start), MS(300));
}

#[tokio::test(start_paused = true)]
async fn without_retries_the_error_is_just_a_failure() {
    let retry = Retry::new(0);
    assert_eq!(failing(&retry, "no", ErrorClass::Transient).await, (CallError::Failed("no"), 1, MS(0)));
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_would_not_change_is_not_retried() {
    let retry = doubling(3).build().unwrap();
    for class in [ErrorClass::Permanent, ErrorClass::Fatal, ErrorClass::Ignored] {
        assert_eq!(failing(&retry, "no", class).await, (CallError::Failed("no"), 1, MS(0)));
    }
    let operation = || ready(Err::<(), _>(Classified::permanent("no")));
    let error = retry.run(operation).classify(Classify::classify).await.unwrap_err();
    assert_eq!(error.into_inner().unwrap().into_inner(), "no");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_an_inner_primitive_is_not_retried() {
    let limiter = RateLimiter::new("x", Quota::per_second(1));
    let retry = doubling(3).build().unwrap();
    let call = || limiter.run(ready(Err::<(), _>("no")));
    let error = retry.run(call).classify(Classify::classify).await.unwrap_err();
    // The first attempt failed and was retried; the second was refused, and that was the end.
    assert!(matches!(error, CallError::Failed(CallError::Refused(_))), "{error:?}");
    assert_eq!(limiter.snapshot().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_floor_and_never_shortens_a_delay() {
    let retry = doubling(2).build().unwrap();
    let exhausted = CallError::RetriesExhausted { attempts: 3, last: "busy" };
    for (asked, took) in [(10, 300), (150, 350), (5_000, 10_000)] {
        let class = ErrorClass::RetryAfter(MS(asked));
        assert_eq!(failing(&retry, "busy", class).await, (exhausted.clone(), 3, MS(took)));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_the_longest_delay_or_the_deadline_ends_the_call() {
    let class = ErrorClass::RetryAfter(MS(60_000));
    let retry = doubling(3).build().unwrap();
    assert_eq!(failing(&retry, "busy", class).await, (CallError::Failed("busy"), 1, MS(0)));
    let retry = doubling(3).max_delay(MS(90_000)).max_elapsed(MS(59_999)).build().unwrap();
    assert_eq!(failing(&retry, "busy", class).await, (CallError::Failed("busy"), 1, MS(0)));
    let retry = doubling(1).max_delay(MS(90_000)).max_elapsed(MS(60_000)).build().unwrap();
    assert_eq!(failing(&retry, "busy", class).await.2, MS(60_000));
}

#[tokio::test(start_paused = true)]
async fn never_sleeps_towards_the_end_of_its_time() {
    // 100 + 200 ms fit, another 400 ms do not.
    let retry = doubling(9).max_elapsed(MS(699)).build().unwrap();
    assert_eq!(failing(&retry, "no", ErrorClass::Transient).await, (CallError::Failed("no"), 3, MS(300)));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_attempts_counts() {
    let retry = doubling(9).max_elapsed(MS(1_000)).build().unwrap();
    let start = Instant::now();
    let operation = || async {
        sleep(MS(450)).await;
        Err::<(), _>("slow")
    };
    assert_eq!(retry.run(operation).await, Err(CallError::Failed("slow")));
    // 450 + 100 + 450, and then 200 more would be too late.
    assert_eq!(Instant::now().saturating_since(start), MS(1_000));
}

#[tokio::test(start_paused = true)]
async fn retries_never_exceed_the_budget() {
    let budget = Arc::new(RetryBudget::new(0.2).reserve(0));
    let retry = doubling(3).shared_budget(budget.clone()).build().unwrap();
    let mut attempts = 0;
    for _ in 0..100 {
        attempts += failing(&retry, "down", ErrorClass::Transient).await.1;
        advance(MS(1)).await;
    }
    let snapshot = budget.snapshot(Instant::now());
    assert!(snapshot.withdrawn <= snapshot.allowed, "{snapshot:?}");
    assert_eq!(attempts, 100 + 20, "twenty of a hundred calls were retried once");
}

#[tokio::test(start_paused = true)]
async fn clones_share_a_budget_and_policies_do_not() {
    let policy = || doubling(1).budget(1.0).build().unwrap();
    let (retry, other) = (policy(), policy());
    failing(&retry.clone(), "no", ErrorClass::Transient).await;
    let withdrawn = |retry: &Retry| retry.budget().unwrap().snapshot(Instant::now()).withdrawn;
    assert_eq!((withdrawn(&retry), withdrawn(&other)), (1, 0));
    assert!(doubling(1).no_budget().build().unwrap().budget().is_none());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_attempts() {
    let backoff =
        Backoff::exponential(Duration::from_nanos(1)).factor(1e300).max_delay(MS(10)).jitter(Jitter::None);
    let retry = Retry::builder().max(9_999).backoff(backoff).no_budget().build().unwrap();
    let (error, calls, took) = failing(&retry, (), ErrorClass::Transient).await;
    assert_eq!((error, calls), (CallError::RetriesExhausted { attempts: 10_000, last: () }, 10_000));
    // The first delay is a nanosecond, for which the timer takes a millisecond.
    assert_eq!(took, MS(1 + 9_998 * 10));
}

#[tokio::test(start_paused = true)]
async fn a_seed_fixes_the_jitter() {
    let delays = |seed| async move {
        let retry = Retry::builder().max(5).seed(seed).build().unwrap();
        let moments = RefCell::new(Vec::new());
        let operation = || {
            moments.borrow_mut().push(Instant::now());
            ready(Err::<(), _>(()))
        };
        let _ = retry.run(operation).await;
        moments.borrow().windows(2).map(|two| two[1].saturating_since(two[0])).collect::<Vec<_>>()
    };
    let (once, again, other) = (delays(1).await, delays(1).await, delays(2).await);
    assert_eq!((once.len(), &once), (5, &again));
    assert_ne!(once, other);
}

#[tokio::test(start_paused = true)]
async fn full_jitter_is_the_default() {
    let delays: Vec<_> = Backoff::from(&RetrySettings::new(3)).seeded_delays(3).take(200).collect();
    assert!(
        delays[7..].iter().any(|delay| *delay < MS(1_000)) && delays.iter().all(|delay| *delay <= MS(10_000))
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_dropped_before_the_sleep() {
    let held = Arc::new(());
    let retry = doubling(1).build().unwrap();
    let operation = || {
        let held = held.clone();
        async move {
            let _held = held;
            tokio::task::yield_now().await;
            Err::<(), _>(())
        }
    };
    let mut call = task::spawn(retry.run(operation));
    assert_pending!(call.poll());
    assert_eq!(Arc::strong_count(&held), 2);
    assert_pending!(call.poll());
    assert_eq!(Arc::strong_count(&held), 1, "while it waits for the next attempt nothing is held");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "`RetryRun` polled after completion")]
async fn polling_after_completion_makes_no_further_attempt() {
    let retry = Retry::new(0);
    let mut call = task::spawn(retry.run(|| ready(Err::<(), _>(()))));
    assert_ready_err!(call.poll());
    let _ = call.poll();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_nothing_behind() {
    let retry = doubling(3).build().unwrap();
    let mut call = task::spawn(retry.run(pending::<Result<(), ()>>));
    assert_pending!(call.poll());
    drop(call);
    let snapshot = retry.budget().unwrap().snapshot(Instant::now());
    assert_eq!((snapshot.calls, snapshot.withdrawn), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_call_sleeps_in_one_timer() {
    let retry = doubling(1).build().unwrap();
    let mut call = task::spawn(retry.run(|| ready(Err::<(), _>("no"))));
    assert_pending!(call.poll());
    sleep(MS(99)).await;
    assert!(!call.is_woken());
    sleep(MS(1)).await;
    assert_ready_err!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn attempts_one_by_one() {
    let retry = doubling(3).build().unwrap();
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut attempts = retry.attempts();
    while let Some(attempt) = attempts.next().await {
        let millis = Instant::now().saturating_since(start).as_millis();
        seen.push((attempt.number(), attempt.is_last(), millis));
    }
    assert_eq!(seen, [(1, false, 0), (2, false, 100), (3, false, 300), (4, true, 700)]);
    assert_eq!((attempts.made(), Instant::now().saturating_since(start)), (4, MS(700)));
    assert_eq!(attempts.next().await, None, "and it stays at its end");
    assert_eq!(attempts.made(), 4);
}

#[tokio::test(start_paused = true)]
async fn attempts_heed_what_the_server_asks_for() {
    let retry = doubling(3).build().unwrap();
    let start = Instant::now();
    let mut attempts = retry.attempts();
    attempts.next().await;
    attempts.retry_after(MS(1_000));
    assert_eq!(attempts.next().await.map(|attempt| attempt.number()), Some(2));
    assert_eq!(Instant::now().saturating_since(start), MS(1_000));
    // It was asked for once; the next delay is the usual one.
    attempts.next().await;
    assert_eq!(Instant::now().saturating_since(start), MS(1_200));
    attempts.retry_after(MS(60_000));
    assert_eq!(attempts.next().await, None);
    assert_eq!(Instant::now().saturating_since(start), MS(1_200));
}

#[tokio::test(start_paused = true)]
async fn attempts_end_with_the_budget() {
    let budget = Arc::new(RetryBudget::new(1.0).reserve(0));
    let retry = doubling(9).shared_budget(budget).build().unwrap();
    let mut attempts = retry.attempts();
    while attempts.next().await.is_some() {}
    assert_eq!(attempts.made(), 2, "one call allows one retry");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_keeps_its_moment_and_asks_the_budget_once() {
    let retry = doubling(3).build().unwrap();
    let start = Instant::now();
    let mut attempts = retry.attempts();
    attempts.next().await;
    for _ in 0..4 {
        let mut next = task::spawn(attempts.next());
        assert_pending!(next.poll());
        drop(next);
        sleep(MS(20)).await;
    }
    assert_eq!(attempts.next().await.map(|attempt| attempt.number()), Some(2));
    assert_eq!(Instant::now().saturating_since(start), MS(100));
    assert_eq!(retry.budget().unwrap().snapshot(Instant::now()).withdrawn, 1);
}

#[test]
fn a_call_that_succeeds_needs_no_timer() {
    // Outside a runtime arming one would panic.
    let retry = Retry::new(3);
    let mut call = task::spawn(retry.run(|| ready(Ok::<_, ()>(1))));
    assert_eq!(assert_ready!(call.poll()), Ok(1));
}

#[test]
fn the_bounds_of_a_policy_can_be_read() {
    let bounds = |builder: RetryBuilder| {
        let retry = builder.build().unwrap();
        (retry.max_attempts(), retry.max_elapsed())
    };
    assert_eq!(bounds(doubling(3)), (4, None));
    assert_eq!(bounds(doubling(u32::MAX).max_elapsed(MS(700))), (u32::MAX, Some(MS(700))));
}

#[test]
fn bad_settings_are_refused_with_their_key() {
    for (builder, key) in [
        (Retry::builder().delay(Duration::ZERO), "delay"),
        (Retry::builder().max_delay(MS(99)), "max_delay"),
        (Retry::builder().factor(f64::NAN), "factor"),
        (Retry::builder().jitter(Jitter::Share(2.0)), "jitter"),
        (Retry::builder().budget(0.0), "budget"),
        (Retry::builder().max_elapsed(Duration::ZERO), "max_elapsed"),
        (Retry::builder().settings(RetrySettings::new(1).delay_ms(0)), "delay"),
    ] {
        assert_eq!(builder.build().unwrap_err().key, key);
    }
}

#[test]
fn futures_are_send_and_small() {
    fn send<T: Send>(future: &T) -> usize {
        size_of_val(future)
    }
    let retry = Retry::new(3);
    let call = retry.run(|| ready(Ok::<_, ()>([0_u8; 1_024])));
    assert!(send(&call) - 1_024 <= 160, "{}", send(&call) - 1_024);
    assert!(send(&retry.attempts().next()) <= 160);
}
