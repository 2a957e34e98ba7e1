//! Timeouts through their public face, under paused time.

use std::{
    cell::Cell,
    future::{pending, poll_fn, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use resilience_runtime::{CallError, Instant, Registry, ResilienceError, Timeout};
use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, task};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn timed_out(site: &'static str, millis: u64) -> ResilienceError {
    ResilienceError::TimedOut { site: site.into(), after: MS(millis) }
}

#[tokio::test(start_paused = true)]
async fn stops_at_the_limit() {
    let start = Instant::now();
    let timeout = Timeout::named("users", MS(250));
    let slow = async {
        sleep(MS(251)).await;
        Ok::<_, ()>(1)
    };
    let answer = timeout.run(slow).await;
    assert_eq!(answer, Err(CallError::Refused(timed_out("users", 250))));
    assert_eq!(Instant::now().saturating_since(start), MS(250));
    assert_eq!(timeout.wrap(async { sleep(MS(249)).await }).await, Ok(()));
    assert_eq!((timeout.name(), timeout.limit()), (Some("users"), MS(250)));
}

#[tokio::test(start_paused = true)]
async fn errors_pass_unchanged() {
    let timeout = Timeout::new(MS(250));
    assert_eq!(timeout.run(ready(Ok::<_, ()>(1))).await, Ok(1));
    assert_eq!(timeout.run(ready(Err::<(), _>("no"))).await, Err(CallError::Failed("no")));
    assert_eq!(timeout.wrap(pending::<()>()).await, Err(timed_out("call", 250)));
}

#[test]
fn no_timer_is_armed_for_a_body_that_is_ready() {
    // Outside a runtime arming one would panic.
    let mut call = task::spawn(Timeout::new(MS(1)).wrap(ready(7)));
    assert_eq!(assert_ready!(call.poll()), Ok(7));
    let mut call = task::spawn(Timeout::new(MS(1)).wrap(pending::<()>()));
    assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_limit_counts_from_the_first_poll() {
    let mut call = task::spawn(Timeout::new(MS(100)).wrap(pending::<()>()));
    advance(MS(500)).await;
    assert_pending!(call.poll());
    sleep(MS(99)).await;
    assert!(!call.is_woken());
    sleep(MS(1)).await;
    assert!(call.is_woken());
    assert_ready_err!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn time_spent_in_the_first_poll_counts() {
    let mut first = true;
    let body = poll_fn(move |cx| {
        if std::mem::take(&mut first) {
            // What a body that blocks does to the clock.
            let mut advance = std::pin::pin!(advance(MS(80)));
            let _ = advance.as_mut().poll(cx);
        }
        Poll::<()>::Pending
    });
    let start = Instant::now();
    assert!(Timeout::new(MS(100)).wrap(body).await.is_err());
    assert_eq!(Instant::now().saturating_since(start), MS(100));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_the_limit_is_an_answer() {
    let mut call = task::spawn(Timeout::new(MS(100)).wrap(sleep(MS(100))));
    assert_pending!(call.poll());
    sleep(MS(100)).await;
    assert_eq!(assert_ready!(call.poll()), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_body_is_dropped_before_the_error_is_returned() {
    let held = Rc::new(());
    let body = {
        let held = held.clone();
        async move {
            pending::<()>().await;
            drop(held);
        }
    };
    let mut call = task::spawn(Timeout::new(MS(100)).wrap(body));
    assert_pending!(call.poll());
    assert_eq!(Rc::strong_count(&held), 2);
    sleep(MS(100)).await;
    assert_ready_err!(call.poll());
    assert_eq!(Rc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_uses_up_the_tasks_budget_is_stopped_all_the_same() {
    // The budget of progress is a task's: outside one there is none to use up.
    let greedy = tokio::spawn(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let body = poll_fn(move |cx| {
            for _ in 0..1_000 {
                sender.send(()).unwrap();
            }
            while receiver.poll_recv(cx).is_ready() {}
            let mut advance = std::pin::pin!(advance(MS(10)));
            let _ = advance.as_mut().poll(cx);
            Poll::<()>::Pending
        });
        let start = Instant::now();
        let answer = Timeout::new(MS(100)).wrap(body).await;
        (answer, Instant::now().saturating_since(start))
    });
    assert_eq!(greedy.await.unwrap(), (Err(timed_out("call", 100)), MS(100)));
}

#[test]
fn a_limit_beyond_all_time_needs_no_timer() {
    // Outside a runtime arming one would panic.
    let mut call = task::spawn(Timeout::new(Duration::MAX).wrap(pending::<()>()));
    assert_pending!(call.poll());
    assert_pending!(call.poll());
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_stops_what_is_not_ready_at_once() {
    let timeout = Timeout::new(Duration::ZERO);
    assert_eq!(timeout.wrap(ready(1)).await, Ok(1));
    assert_eq!(timeout.wrap(pending::<()>()).await, Err(timed_out("call", 0)));
}

#[tokio::test(start_paused = true)]
async fn a_pending_body_is_polled_when_it_is_woken_and_at_the_limit() {
    let polls = Cell::new(0);
    let body = poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    });
    assert!(Timeout::new(MS(100)).wrap(body).await.is_err());
    assert_eq!(polls.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_named_timeout_counts_every_end_of_a_call_once() {
    let registry = Registry::new();
    let calls = async {
        let timeout = || Timeout::named("users", MS(100));
        for millis in [30, 70] {
            timeout().wrap(sleep(MS(millis))).await.unwrap();
        }
        assert!(timeout().wrap(pending::<()>()).await.is_err());
        let mut dropped = task::spawn(timeout().wrap(pending::<()>()));
        assert_pending!(dropped.poll());
        drop(dropped);
        drop(timeout().wrap(pending::<()>()));
        let mut panicking = task::spawn(timeout().wrap(async { panic!("of the body's own making") }));
        assert!(catch_unwind(AssertUnwindSafe(|| panicking.poll())).is_err());
    };
    registry.scope(calls).await;
    let [users] = &registry.timeouts()[..] else { panic!("{:?}", registry.timeouts()) };
    assert_eq!((users.name.as_str(), users.limit), ("users", MS(100)));
    assert_eq!((users.completed, users.timed_out, users.cancelled), (3, 1, 1));
    let latency = users.latency.unwrap();
    assert_eq!((latency.count, latency.max), (4, MS(100)));
    registry.reset();
    assert_eq!((registry.timeouts()[0].completed, registry.timeouts()[0].latency), (0, None));
}

#[test]
fn names_beyond_ten_thousand_share_one_entry() {
    let registry = Registry::new();
    let names = async {
        let name = |number: usize| Timeout::named(format!("t{number}"), MS(1)).name().map(str::to_owned);
        (0..10_000).for_each(|number| assert_eq!(name(number), Some(format!("t{number}"))));
        [10_000, 10_001, 9_999].map(name)
    };
    let further = Some("(further timeouts)".to_owned());
    assert_eq!(
        tokio_test::block_on(registry.scope(names)),
        [further.clone(), further, Some("t9999".to_owned())]
    );
    assert_eq!(registry.timeouts().len(), 10_001);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "polled after completion")]
async fn polling_after_completion_panics() {
    let mut call = task::spawn(Timeout::new(MS(1)).wrap(ready(())));
    assert!(assert_ready!(call.poll()).is_ok());
    let _ = call.poll();
}

#[test]
fn futures_are_small() {
    let timeout = Timeout::new(MS(1));
    let beyond = size_of_val(&timeout.wrap([0_u8; 1_024])) - 1_024;
    assert!(beyond <= 184, "{beyond}");
    assert_eq!(size_of_val(&timeout.run([0_u8; 1_024])) - 1_024, beyond);
}
