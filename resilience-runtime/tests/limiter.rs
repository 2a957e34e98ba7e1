//! The rate limiter through its public face, under paused time.

#![allow(clippy::disallowed_types, reason = "tests stand outside the crate and its locks")]

use std::{
    future::{pending, ready},
    panic,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use resilience_runtime::{
    CallError, ErrorKind, Instant, LimiterSettings, Quota, RateLimiter, ResilienceError,
};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn waiting(quota: Quota, wait: Duration) -> RateLimiter {
    RateLimiter::builder("x").quota(quota).wait(wait).build().unwrap()
}

fn accepted(limiter: &RateLimiter, calls: usize) -> usize {
    (0..calls).filter(|_| limiter.try_acquire().is_ok()).count()
}

#[test]
fn a_bad_quota_panics_where_it_is_asked_for() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (to, here, usual) = (told.clone(), thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == here {
            to.lock().unwrap().push(info.location().unwrap().line());
        } else {
            usual(info);
        }
    }));
    let first = line!() + 2;
    for bad in [
        || Quota::per_second(0),
        || Quota::per_minute(0),
        || Quota::per_hour(0),
        || Quota::new(0, MS(1)),
        || Quota::per_second(1).burst(0),
    ] {
        assert!(panic::catch_unwind(bad).is_err());
    }
    let _ = panic::take_hook();
    assert_eq!(*told.lock().unwrap(), (first..first + 5).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn starts_full_and_refills() {
    let limiter = RateLimiter::new("x", Quota::per_second(3));
    assert_eq!((limiter.available(), accepted(&limiter, 10)), (3, 3));
    // A third of a second is not a whole number of nanoseconds; after a whole one the bucket is full all the same.
    advance(MS(333)).await;
    assert_eq!(accepted(&limiter, 10), 0);
    advance(MS(1)).await;
    assert_eq!(accepted(&limiter, 10), 1);
    advance(MS(1_000)).await;
    assert_eq!((limiter.available(), accepted(&limiter, 10)), (3, 3));
    advance(Duration::from_secs(86_400 * 365)).await;
    assert_eq!(accepted(&limiter, 10), 3, "a quiet year saves up one burst");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let limiter = RateLimiter::new("mail", Quota::per_second(10).burst(1));
    limiter.try_acquire().unwrap();
    advance(MS(40)).await;
    let refusal = limiter.try_acquire().unwrap_err();
    assert_eq!(refusal, ResilienceError::RateLimited { limiter: "mail".into(), retry_after: MS(60) });
    assert_eq!(limiter.acquire().await, Err(refusal), "without `wait` nobody waits");
    advance(MS(60)).await;
    limiter.try_acquire().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_concurrent_callers_let_exactly_the_burst_through() {
    // So slow that no second call comes free however long the test takes.
    let limiter = Arc::new(RateLimiter::new("x", Quota::new(10, Duration::from_secs(86_400))));
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.acquire().await.is_ok() })
        })
        .collect();
    let mut through = 0;
    for caller in callers {
        through += usize::from(caller.await.unwrap());
    }
    let snapshot = limiter.snapshot();
    assert_eq!((through, snapshot.accepted, snapshot.refused), (10, 10, 190));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_of_ten_a_second_take_nineteen_seconds() {
    let limiter = waiting(Quota::per_second(10), Duration::MAX);
    let start = Instant::now();
    let mut callers: Vec<_> = (0..200).map(|_| task::spawn(limiter.acquire())).collect();
    let mut through = callers.iter_mut().map(|caller| usize::from(caller.poll().is_ready())).sum::<usize>();
    assert_eq!(through, 10);
    while through < 200 {
        assert_eq!(limiter.waiting(), 200 - through);
        sleep(MS(100)).await;
        // Woken, and only the one whose turn it is: the others have moments of their own.
        let woken: Vec<_> = callers.iter_mut().filter(|caller| caller.is_woken()).collect();
        assert_eq!(woken.len(), 1, "after {through}");
        for caller in woken {
            assert_ready_ok!(caller.poll());
        }
        through += 1;
    }
    assert_eq!(Instant::now().saturating_since(start), MS(19_000));
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.accepted, snapshot.waiting, snapshot.cancelled), (200, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_waiter_reserves_its_slot_and_they_are_spaced_exactly() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(300));
    let start = Instant::now();
    let call = |number: u32| {
        let limiter = &limiter;
        async move {
            let answer = limiter.acquire().await.map_err(|error| error.retry_after());
            (number, answer, Instant::now().saturating_since(start))
        }
    };
    let answers = tokio::join!(call(1), call(2), call(3), call(4), call(5));
    assert_eq!(answers.0, (1, Ok(()), MS(0)));
    assert_eq!(answers.1, (2, Ok(()), MS(100)));
    assert_eq!(answers.2, (3, Ok(()), MS(200)));
    assert_eq!(answers.3, (4, Ok(()), MS(300)));
    assert_eq!(answers.4, (5, Err(Some(MS(400))), MS(0)), "refused at once: its turn would come too late");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_polled_twice() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(1_000));
    limiter.try_acquire().unwrap();
    let mut waiter = task::spawn(limiter.acquire());
    assert_pending!(waiter.poll());
    sleep(MS(99)).await;
    assert!(!waiter.is_woken());
    sleep(MS(1)).await;
    assert!(waiter.is_woken());
    assert_ready_ok!(waiter.poll());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_returns_its_reservation_if_nobody_reserved_after_it() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(1_000));
    limiter.try_acquire().unwrap();
    let start = Instant::now();
    let mut last = task::spawn(limiter.acquire());
    assert_pending!(last.poll());
    drop(last);
    limiter.acquire().await.unwrap();
    assert_eq!(Instant::now().saturating_since(start), MS(100));
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.accepted, snapshot.waiting, snapshot.cancelled), (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_in_the_middle_lets_its_reservation_lapse() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(1_000));
    limiter.try_acquire().unwrap();
    let mut waiters = [100, 200, 300].map(|_| task::spawn(limiter.acquire()));
    waiters.iter_mut().for_each(|waiter| assert_pending!(waiter.poll()));
    let [mut first, second, mut third] = waiters;
    drop(second);
    assert_eq!(limiter.waiting(), 2);
    // Nobody who comes later takes the turn of the third, and the third keeps its own.
    let mut fourth = task::spawn(limiter.acquire());
    assert_pending!(fourth.poll());
    sleep(MS(100)).await;
    assert_ready_ok!(first.poll());
    sleep(MS(199)).await;
    assert!(!third.is_woken() && !fourth.is_woken());
    sleep(MS(1)).await;
    assert_ready_ok!(third.poll());
    assert!(!fourth.is_woken());
    sleep(MS(100)).await;
    assert_ready_ok!(fourth.poll());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_at_any_point_leaks_nothing() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(1_000));
    drop(limiter.acquire());
    drop(limiter.run(ready(Ok::<_, ()>(()))));
    let snapshot = limiter.snapshot();
    assert_eq!((limiter.available(), snapshot.accepted, snapshot.cancelled), (1, 0, 0));

    let mut running = task::spawn(limiter.run(pending::<Result<(), ()>>()));
    assert_pending!(running.poll());
    let mut waiting = task::spawn(limiter.run(pending::<Result<(), ()>>()));
    assert_pending!(waiting.poll());
    drop(running);
    assert_eq!((limiter.snapshot().accepted, limiter.waiting()), (1, 1), "a call that ran has used its turn");
    drop(waiting);
    let snapshot = limiter.snapshot();
    assert_eq!((snapshot.accepted, snapshot.waiting, snapshot.cancelled), (1, 0, 1));

    // Woken and dropped before it is polled again.
    let mut woken = task::spawn(limiter.acquire());
    assert_pending!(woken.poll());
    sleep(MS(100)).await;
    assert!(woken.is_woken());
    drop(woken);
    assert_eq!((limiter.available(), limiter.waiting()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn run_refuses_without_touching_the_future() {
    let limiter = RateLimiter::new("x", Quota::per_second(1));
    assert_eq!(limiter.run(ready(Ok::<_, ()>(1))).await, Ok(1));
    let body = async {
        assert!(limiter.available() > 9, "the body ran although it was refused");
        Ok::<(), ()>(())
    };
    let error = limiter.run(body).await.unwrap_err();
    assert_eq!(error.refusal().map(ResilienceError::kind), Some(ErrorKind::RateLimited));
    advance(MS(1_000)).await;
    let slow = async {
        sleep(MS(5)).await;
        Ok::<_, ()>(2)
    };
    assert_eq!(limiter.run(slow).await, Ok(2), "its turn is taken once, however often it is polled");
    advance(MS(1_000)).await;
    assert_eq!(limiter.run(ready(Err::<(), _>("no"))).await, Err(CallError::Failed("no")));
}

#[tokio::test(start_paused = true)]
async fn the_quota_changes_while_calls_go_on() {
    let limiter = waiting(Quota::per_second(10), MS(5_000));
    assert_eq!(accepted(&limiter, 4), 4);
    limiter.configure(Quota::per_second(5));
    assert_eq!((limiter.available(), limiter.quota()), (1, Quota::per_second(5)));
    assert_eq!(accepted(&limiter, 4), 1);
    let mut old = task::spawn(limiter.acquire());
    assert_pending!(old.poll());
    limiter.configure(Quota::per_second(100));
    let mut new = task::spawn(limiter.acquire());
    assert_pending!(new.poll());
    sleep(MS(199)).await;
    assert!(!old.is_woken());
    sleep(MS(1)).await;
    assert_ready_ok!(old.poll());
    assert_pending!(new.poll());
    sleep(MS(10)).await;
    assert_ready_ok!(new.poll());
    advance(MS(1_000)).await;
    assert_eq!(limiter.available(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_larger_burst_is_there_at_once_but_for_what_was_just_used() {
    let limiter = waiting(Quota::per_second(10).burst(1), Duration::ZERO);
    assert_eq!(accepted(&limiter, 2), 1);
    limiter.configure(Quota::per_second(10).burst(5));
    assert_eq!((limiter.available(), accepted(&limiter, 9)), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_lets_nobody_through_twice() {
    // A second paused runtime of one process starts before the first one's time.
    let limiter = RateLimiter::new("x", Quota::per_second(2));
    let ahead = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(async {
                advance(MS(5_000)).await;
                (accepted(&limiter, 9), Instant::now())
            })
        });
        thread.join().unwrap()
    });
    assert_eq!(ahead.0, 2);
    let refusal = limiter.try_acquire().unwrap_err();
    let at = Instant::now().saturating_add(refusal.retry_after().unwrap());
    assert_eq!(at, ahead.1.saturating_add(MS(500)));
}

#[tokio::test(start_paused = true)]
async fn a_reset_fills_it_and_voids_older_reservations() {
    let limiter = waiting(Quota::per_second(10).burst(1), MS(1_000));
    limiter.try_acquire().unwrap();
    let mut old = task::spawn(limiter.acquire());
    assert_pending!(old.poll());
    limiter.reset();
    assert_eq!((limiter.available(), limiter.waiting(), limiter.snapshot().refused), (1, 1, 0));
    limiter.try_acquire().unwrap();
    let mut new = task::spawn(limiter.acquire());
    assert_pending!(new.poll());
    // The same moment, reserved twice: what the old one returns is not the new one's.
    drop(old);
    assert_eq!(limiter.try_acquire().unwrap_err().retry_after(), Some(MS(200)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_all_time_is_refused() {
    let limiter = waiting(Quota::new(1, Duration::from_secs(86_400 * 365 * 30)), Duration::MAX);
    limiter.try_acquire().unwrap();
    let mut waiters: Vec<_> = (0..200).map(|_| task::spawn(limiter.acquire())).collect();
    let refused = waiters.iter_mut().map(|waiter| usize::from(waiter.poll().is_ready())).sum::<usize>();
    assert!(refused > 100 && limiter.waiting() == 200 - refused, "{refused}");
}

#[test]
fn bad_settings_are_refused_with_their_key() {
    let builder = || RateLimiter::builder("x").max(10);
    for (builder, key) in [
        (RateLimiter::builder("x"), "max"),
        (builder().max(0), "max"),
        (builder().per(Duration::ZERO), "per"),
        (builder().per(Duration::from_nanos(9)), "max"),
        (builder().burst(0), "burst"),
        (builder().per(Duration::MAX), "per"),
        (builder().settings(LimiterSettings::new(0)), "max"),
    ] {
        assert_eq!(builder.build().unwrap_err().key, key);
    }
    assert_eq!(builder().per(MS(100)).burst(3).build().unwrap().quota(), Quota::new(10, MS(100)).burst(3));
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after completion")]
async fn polling_after_completion_takes_no_second_turn() {
    let limiter = RateLimiter::new("x", Quota::per_second(10));
    let mut acquire = task::spawn(limiter.acquire());
    assert_ready_ok!(acquire.poll());
    let _ = acquire.poll();
}

#[tokio::test(start_paused = true)]
async fn refusals_count_and_name() {
    let limiter = RateLimiter::new(String::from("mail"), Quota::per_second(1));
    let mut calls = [(); 3].map(|()| task::spawn(limiter.acquire()));
    assert_ready_ok!(calls[0].poll());
    assert_eq!(assert_ready_err!(calls[1].poll()).name(), "mail");
    assert!(assert_ready!(calls[2].poll()).is_err());
    let snapshot = limiter.snapshot();
    assert_eq!((limiter.name(), snapshot.accepted, snapshot.refused, snapshot.available), ("mail", 1, 2, 0));
}

#[test]
fn futures_are_send_and_small() {
    fn send<T: Send>(future: &T) -> usize {
        size_of_val(future)
    }
    let limiter = RateLimiter::new("x", Quota::per_second(1));
    assert!(send(&limiter.acquire()) <= 192, "{}", send(&limiter.acquire()));
    assert!(send(&limiter.run(ready(Ok::<(), ()>(())))) <= 208);
}
