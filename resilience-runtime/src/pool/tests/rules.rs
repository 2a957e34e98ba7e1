//! One test for each rule, named after it.

use std::time::Duration;

use super::*;
use crate::{
    Backoff, ErrorKind, Gate, GateOutcome, Instant, Jitter, Name, ResilienceError,
    clock::{self, sleep_until},
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How long `future` takes in paused time, and its answer.
async fn timed<F: Future>(future: F) -> (Duration, F::Output) {
    let start = clock::now();
    let output = future.await;
    (clock::now().saturating_since(start), output)
}

fn kind(error: &PoolError<&'static str>) -> Option<ErrorKind> {
    error.refusal().map(ResilienceError::kind)
}

#[test]
fn a_dropped_connection_comes_back_at_once_without_a_runtime() {
    let pool = pool(&Scripted::default(), 2);
    let held = now(pool.acquire()).unwrap();
    assert_eq!((pool.snapshot().active, pool.snapshot().idle), (1, 0));
    drop(held);
    assert_eq!((pool.snapshot().active, pool.snapshot().idle), (0, 1));
    check_books(&pool, 0);
}

#[test]
fn the_connection_used_last_is_reused_first() {
    let pool = pool(&Scripted::default(), 3);
    let mut held: Vec<_> = (0..3).map(|_| now(pool.acquire()).unwrap()).collect();
    assert_eq!(held.iter().map(|c| c.number).collect::<Vec<_>>(), [0, 1, 2]);
    drop(held.remove(1));
    drop(held.remove(0));
    assert_eq!(now(pool.acquire()).unwrap().number, 0);
    let both = [now(pool.acquire()).unwrap(), now(pool.acquire()).unwrap()];
    assert_eq!(both.each_ref().map(|c| c.number), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_they_came_and_before_newcomers() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let (mut first, mut second) = (Box::pin(pool.acquire()), Box::pin(pool.acquire()));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(pool.snapshot().waiting, 2);
    drop(held);
    let mut newcomer = Box::pin(pool.acquire());
    assert!(poll(&mut newcomer).is_pending(), "a newcomer takes what was handed over");
    assert!(poll(&mut second).is_pending());
    let Poll::Ready(Ok(held)) = poll(&mut first) else { panic!("the first waiter got nothing") };
    drop(held);
    let Poll::Ready(Ok(held)) = poll(&mut second) else { panic!("the second waiter got nothing") };
    drop(held);
    assert!(poll(&mut newcomer).is_ready());
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_who_gives_up_passes_on_what_it_was_handed() {
    let pool = pool(&Scripted::default(), 1);
    for discard in [false, true] {
        let held = pool.acquire().await.unwrap();
        let (mut first, mut second) = (Box::pin(pool.acquire()), Box::pin(pool.acquire()));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        // A connection, or the right to create one.
        if discard {
            held.discard()
        } else {
            drop(held)
        }
        drop(first);
        assert!(poll(&mut second).is_ready());
    }
    let now = pool.snapshot();
    assert_eq!((now.cancelled, now.waiting, now.closed.of(CloseReason::Discarded)), (2, 0, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_who_gives_up_leaves_no_phantom_in_the_queue() {
    let pool = builder(&Scripted::default()).max_size(1).max_waiting(1).build().unwrap();
    let _held = pool.acquire().await.unwrap();
    for _ in 0..10 {
        let mut waiter = Box::pin(pool.acquire());
        assert!(poll(&mut waiter).is_pending());
        assert_eq!(pool.snapshot().waiting, 1);
        let error = now(pool.acquire()).unwrap_err();
        assert_eq!(error.to_string(), "pool `db` has no connection free of 1 after 0 ms");
        drop(waiter);
        assert_eq!(pool.snapshot().waiting, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_once_and_only_for_its_turn() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let wakes = [(); 3].map(|()| Arc::new(Wakes::default()));
    let mut waiters: Vec<_> = wakes.iter().map(|_| Box::pin(pool.acquire())).collect();
    for (waiter, wakes) in waiters.iter_mut().zip(&wakes) {
        let waker = Arc::clone(wakes).into();
        assert!(waiter.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let woken = || wakes.each_ref().map(|wakes| wakes.0.load(Relaxed));
    drop(held);
    assert_eq!(woken(), [1, 0, 0]);
    // Those who came while others waited left their wakers on arrival.
    drop(now(waiters.remove(0)).unwrap());
    assert_eq!(woken(), [1, 1, 0]);
    drop(now(waiters.remove(0)).unwrap());
    assert_eq!(woken(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_queue_creation_and_check() {
    /// Takes its time over everything.
    struct Slow;

    impl Manager for Slow {
        type Connection = ();
        type Error = &'static str;

        async fn create(&self) -> Result<(), &'static str> {
            tokio::time::sleep(secs(3)).await;
            Ok(())
        }

        async fn is_healthy(&self, (): &mut ()) -> Result<(), &'static str> {
            tokio::time::sleep(secs(4)).await;
            Err("sick")
        }
    }

    let pool = ConnectionPool::builder("db", Slow).max_size(1).acquire_timeout(secs(10)).build().unwrap();
    let (took, held) = timed(pool.acquire()).await;
    assert_eq!((took, held.is_ok()), (secs(3), true));
    // 5 s in the queue, 4 s of check, 1 s of creation.
    let caller = async { timed(pool.acquire()).await };
    let holder = async {
        tokio::time::sleep(secs(5)).await;
        drop(held);
    };
    let ((took, result), ()) = tokio::join!(caller, holder);
    assert_eq!((took, result.err()), (secs(10), Some(PoolError::Unhealthy("sick"))));
    // Creation alone is too slow.
    let (took, result) = timed(pool.acquire_within(secs(2))).await;
    let late = ResilienceError::TimedOut { site: Name::from_static("db"), after: secs(2) };
    assert_eq!((took, result.err()), (secs(2), Some(PoolError::Refused(late))));
    let now = pool.snapshot();
    assert_eq!((now.size(), now.creating, now.creations_failed), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_waited_in_vain_is_told_how_long() {
    let pool = builder(&Scripted::default()).max_size(1).acquire_timeout(secs(7)).build().unwrap();
    let _held = pool.acquire().await.unwrap();
    let (took, result) = timed(pool.acquire()).await;
    let (pool_name, waited) = (Name::from_static("db"), secs(7));
    let exhausted = ResilienceError::PoolExhausted { pool: pool_name, max: 1, waited };
    assert_eq!((took, result.err()), (secs(7), Some(PoolError::Refused(exhausted))));
    assert_eq!((pool.snapshot().refused, pool.snapshot().waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_was_handed_a_sick_connection_waits_in_front_of_those_who_had_no_turn() {
    let manager = Scripted::default();
    let pool = builder(&manager).max_size(2).create_concurrency(1).build().unwrap();
    pool.acquire().await.unwrap().sick.store(true, Relaxed);
    manager.0.pending.store(1, Relaxed);
    let mut callers = [Box::pin(pool.acquire()), Box::pin(pool.acquire()), Box::pin(pool.acquire())];
    assert!(callers.iter_mut().all(|caller| poll(caller).is_pending()));
    let [checking, creating, waiting] = &mut callers;
    assert!(poll(checking).is_pending(), "its connection is sick, and somebody is creating");
    assert_eq!(pool.snapshot().waiting, 2);
    let Poll::Ready(Ok(created)) = poll(creating) else { panic!("not created") };
    assert!(poll(waiting).is_pending() && poll(checking).is_pending());
    let Poll::Ready(Ok(second)) = poll(checking) else { panic!("overtaken") };
    assert_eq!((created.number, second.number, pool.snapshot().waiting), (1, 2, 1));
    drop((callers, created, second));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_time_gets_what_is_there_and_no_more() {
    let pool = pool(&Scripted::default(), 1);
    let (took, held) = timed(pool.acquire_within(Duration::ZERO)).await;
    assert_eq!((took, held.is_ok()), (Duration::ZERO, true));
    let (took, result) = timed(pool.acquire_within(Duration::ZERO)).await;
    assert_eq!((took, kind(&result.unwrap_err())), (Duration::ZERO, Some(ErrorKind::PoolExhausted)));
    drop(held);
    assert!(pool.acquire_within(Duration::ZERO).await.is_ok());
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_cancelled_closes_the_connection() {
    let manager = Scripted::default();
    let pool = pool(&manager, 1);
    drop(pool.acquire().await.unwrap());
    manager.0.pending.store(1, Relaxed);
    let mut caller = Box::pin(pool.acquire());
    assert!(poll(&mut caller).is_pending());
    drop(caller);
    let now = pool.snapshot();
    assert_eq!((now.idle, now.closed.of(CloseReason::Cancelled), now.cancelled), (0, 1, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_does_not_end_in_time_closes_the_connection() {
    let manager = Scripted::default();
    let pool = pool(&manager, 1);
    drop(pool.acquire().await.unwrap());
    manager.0.pending.store(usize::MAX, Relaxed);
    let mut caller = Box::pin(pool.acquire_within(secs(1)));
    assert!(poll(&mut caller).is_pending());
    sleep_until(clock::now().saturating_add(secs(1))).await;
    let Poll::Ready(Err(error)) = poll(&mut caller) else { panic!("its time is over") };
    assert_eq!(error.to_string(), "`db` timed out after 1.0 s");
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::Unhealthy)), (0, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn no_lock_is_held_across_a_check_or_a_creation() {
    let manager = Scripted::default();
    let pool = pool(&manager, 3);
    drop(pool.acquire().await.unwrap());
    manager.0.pending.store(1, Relaxed);
    let (mut checking, mut creating) = (Box::pin(pool.acquire()), Box::pin(pool.acquire()));
    assert!(poll(&mut checking).is_pending() && poll(&mut creating).is_pending());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.active, snapshot.creating), (1, 1));
    manager.0.pending.store(0, Relaxed);
    assert_eq!(now(pool.acquire()).unwrap().number, 2, "a third caller is held up");
    assert!(poll(&mut creating).is_ready() && poll(&mut checking).is_ready());
}

#[test]
fn callbacks_may_call_back_into_the_pool() {
    use std::sync::OnceLock;
    static POOL: OnceLock<ConnectionPool<Scripted>> = OnceLock::new();
    fn look() {
        if let Some(pool) = POOL.get() {
            let _ = pool.snapshot();
            pool.resize(pool.snapshot().max_size).unwrap();
        }
    }
    let pool = ConnectionPool::builder("db", Scripted::default())
        .on_create(|_, _| look())
        .on_acquire(|_, _| {
            look();
            true
        })
        .on_release(|_, _| {
            look();
            true
        })
        .on_close(|_, _| look())
        .build()
        .unwrap();
    let pool = POOL.get_or_init(|| pool);
    drop(now(pool.acquire()).unwrap());
    now(pool.acquire()).unwrap().discard();
    assert_eq!(pool.snapshot().closed.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn lifetime_counts_from_creation() {
    let pool = builder(&Scripted::default())
        .max_size(1)
        .max_lifetime(secs(10))
        .lifetime_jitter(0.0)
        .build()
        .unwrap();
    for elapsed in 0..10 {
        assert_eq!(pool.acquire().await.unwrap().number, 0, "after {elapsed} s of use");
        tokio::time::advance(secs(1)).await;
    }
    assert_eq!(pool.acquire().await.unwrap().number, 1);
    assert_eq!(pool.snapshot().closed.of(CloseReason::Expired), 1);
    // One that grows too old in use is closed on its return.
    let held = pool.acquire().await.unwrap();
    tokio::time::advance(secs(10)).await;
    assert_eq!((held.info().age, held.info().id, held.info().uses), (secs(10), 1, 2));
    drop(held);
    assert_eq!((pool.snapshot().closed.of(CloseReason::Expired), pool.snapshot().idle), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_end_of_connections_created_together() {
    let pool = builder(&Scripted::default())
        .max_size(100)
        .max_lifetime(secs(100))
        .lifetime_jitter(0.5)
        .jitter_seed(7)
        .build()
        .unwrap();
    let held: Vec<_> = (0..100).map(|_| now(pool.acquire()).unwrap()).collect();
    drop(held);
    let upkeep = tokio::spawn(pool.maintain());
    let mut left = Vec::new();
    for _ in 0..10 {
        tokio::time::sleep(secs(10)).await;
        tokio::task::yield_now().await;
        left.push(pool.snapshot().idle);
    }
    assert_eq!(left[..4], [100; 4], "none is younger than half of the lifetime");
    assert!(left[4..].windows(2).all(|pair| (5..40).contains(&(pair[0] - pair[1]))), "{left:?}");
    assert_eq!(left[9], 0);
    upkeep.abort();
}

#[tokio::test(start_paused = true)]
async fn a_sick_connection_is_closed_and_the_next_one_taken() {
    let manager = Scripted::default();
    let pool = pool(&manager, 2);
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    held[0].sick.store(true, Relaxed);
    drop(held);
    // They came back in the order of their numbers; the last one is taken first.
    let both = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    assert_eq!(both.each_ref().map(|c| c.number), [1, 2]);
    assert_eq!(pool.snapshot().closed.of(CloseReason::Unhealthy), 1);
}

#[tokio::test(start_paused = true)]
async fn health_is_checked_as_the_policy_says() {
    for (policy, expected) in [
        (HealthCheck::Always, [1, 2]),
        (HealthCheck::AfterIdle(secs(5)), [0, 1]),
        (HealthCheck::Never, [0, 0]),
    ] {
        let manager = Scripted::default();
        let pool = builder(&manager).health_check(policy).build().unwrap();
        drop(pool.acquire().await.unwrap());
        assert_eq!(manager.0.checks.load(Relaxed), 0, "a new connection needs no check");
        let checks = [secs(4), secs(5)].map(|idle| {
            let (pool, manager) = (&pool, &manager);
            async move {
                tokio::time::advance(idle).await;
                drop(pool.acquire().await.unwrap());
                manager.0.checks.load(Relaxed)
            }
        });
        for (check, expected) in checks.into_iter().zip(expected) {
            assert_eq!(check.await, expected, "{policy:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspect_connection_is_closed_when_it_is_dropped() {
    let pool = pool(&Scripted::default(), 1);
    let mut held = pool.acquire().await.unwrap();
    held.suspect();
    held.trust();
    drop(held);
    assert_eq!(pool.snapshot().idle, 1);
    pool.acquire().await.unwrap().suspect();
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::Discarded)), (0, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_unwound_over_is_closed() {
    let pool = Arc::new(pool(&Scripted::default(), 1));
    let user = Arc::clone(&pool);
    let task = tokio::spawn(async move {
        let _held = user.acquire().await.unwrap();
        panic!("in the middle of a query");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::Panicked)), (0, 1));
    check_slots(&pool);
}

#[test]
fn a_detached_connection_is_the_callers_and_its_slot_free() {
    let manager = Scripted::default();
    let pool = pool(&manager, 1);
    let mine = now(pool.acquire()).unwrap().detach();
    assert_eq!((mine.number, manager.0.closes.load(Relaxed)), (0, 0));
    assert_eq!(pool.snapshot().closed.iter().collect::<Vec<_>>(), [(CloseReason::Detached, 1)]);
    assert_eq!(now(pool.acquire()).unwrap().number, 1);
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn creations_are_bounded_and_their_rights_handed_on() {
    let manager = Scripted::default();
    manager.0.pending.store(1, Relaxed);
    let pool = builder(&manager).max_size(10).create_concurrency(2).build().unwrap();
    let mut callers: Vec<_> = (0..5).map(|_| Box::pin(pool.acquire())).collect();
    assert!(callers.iter_mut().all(|caller| poll(caller).is_pending()));
    assert_eq!((pool.snapshot().creating, pool.snapshot().waiting), (2, 3));
    let Poll::Ready(Ok(first)) = poll(&mut callers[0]) else { panic!("not created") };
    assert_eq!((pool.snapshot().creating, pool.snapshot().waiting), (2, 2));
    // What comes back goes to who waits, while the rights go on.
    drop(first);
    assert_eq!(pool.snapshot().waiting, 1);
    let mut held = Vec::new();
    for caller in &mut callers[1..] {
        held.push(loop {
            if let Poll::Ready(result) = poll(caller) {
                break result.unwrap();
            }
        });
    }
    assert_eq!((manager.0.creates.load(Relaxed), held.len()), (4, 4));
    drop((callers, held));
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn creation_is_retried_with_backoff_and_its_last_error_returned() {
    let manager = Scripted::default();
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    let backoff = Backoff::exponential(secs(1)).jitter(Jitter::None);
    let pool = builder(&manager).create_retries(3).create_backoff(backoff).build().unwrap();
    let (took, result) = timed(pool.acquire()).await;
    assert_eq!((took, result.err()), (secs(1 + 2 + 4), Some(PoolError::Create("no answer"))));
    assert_eq!((manager.0.creates.load(Relaxed), pool.snapshot().creations_failed), (4, 4));
    // It does not sleep towards a deadline.
    let (took, result) = timed(pool.acquire_within(secs(3))).await;
    assert_eq!((took, result.err()), (secs(1), Some(PoolError::Create("no answer"))));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_caller_in_backoff_takes_what_has_come_back_meanwhile() {
    let manager = Scripted::default();
    let backoff = Backoff::fixed(secs(1)).jitter(Jitter::None);
    let pool = builder(&manager).max_size(2).create_retries(9).create_backoff(backoff).build().unwrap();
    let held = pool.acquire().await.unwrap();
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    let holder = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        drop(held);
    };
    let ((took, result), ()) = tokio::join!(timed(pool.acquire()), holder);
    assert_eq!((took, result.unwrap().number), (secs(2), 0));
    check_slots(&pool);
}

/// A circuit that is open or not, and remembers what it was told.
#[derive(Default)]
struct Circuit {
    open: AtomicBool,
    told: Mutex<Vec<(u64, GateOutcome, Option<String>)>>,
}

impl Gate for Circuit {
    fn admit(&self, _: Instant) -> Result<u64, ResilienceError> {
        if self.open.load(Relaxed) {
            return Err(ResilienceError::CircuitOpen { circuit: Name::from_static("db"), retry_after: None });
        }
        Ok(7)
    }

    fn settle(
        &self,
        token: u64,
        outcome: GateOutcome,
        _: Duration,
        _: Instant,
        cause: Option<&dyn std::fmt::Display>,
    ) {
        self.told.lock().push((token, outcome, cause.map(ToString::to_string)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_creation_at_once_and_lets_idle_connections_be_used() {
    let (manager, circuit) = (Scripted::default(), Arc::new(Circuit::default()));
    let gate = Arc::clone(&circuit) as Arc<dyn Gate>;
    let pool = builder(&manager).max_size(2).circuit(gate).build().unwrap();
    drop(pool.acquire().await.unwrap());
    circuit.open.store(true, Relaxed);
    let held = pool.acquire().await.unwrap();
    let (took, result) = timed(pool.acquire()).await;
    assert_eq!((took, kind(&result.unwrap_err())), (Duration::ZERO, Some(ErrorKind::CircuitOpen)));
    assert_eq!(manager.0.creates.load(Relaxed), 1);
    drop(held);
    circuit.open.store(false, Relaxed);
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn the_circuit_is_told_of_every_creation_exactly_once() {
    let (manager, circuit) = (Scripted::default(), Arc::new(Circuit::default()));
    let gate = Arc::clone(&circuit) as Arc<dyn Gate>;
    let pool = builder(&manager).acquire_timeout(secs(1)).circuit(gate).build().unwrap();
    drop(pool.acquire().await.unwrap().detach());
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    assert!(pool.acquire().await.is_err());
    *manager.0.fault.lock() = Some(Fault::CreatePanics);
    let panicked = tokio::task::LocalSet::new();
    assert!(panicked.run_until(async { std::panic::AssertUnwindSafe(catch(pool.acquire())).await }).await);
    *manager.0.fault.lock() = None;
    manager.0.pending.store(1, Relaxed);
    let mut cancelled = Box::pin(pool.acquire());
    assert!(poll(&mut cancelled).is_pending());
    drop(cancelled);
    manager.0.pending.store(usize::MAX, Relaxed);
    let mut late = Box::pin(pool.acquire());
    assert!(poll(&mut late).is_pending());
    sleep_until(clock::now().saturating_add(secs(1))).await;
    assert!(poll(&mut late).is_ready());
    let error = Some("\"no answer\"".to_owned());
    let expected = [
        (7, GateOutcome::Success, None),
        (7, GateOutcome::Failure, error),
        (7, GateOutcome::Panicked, None),
        (7, GateOutcome::Cancelled, None),
        (7, GateOutcome::TimedOut, None),
    ];
    assert_eq!(*circuit.told.lock(), expected);
    // A panic counts as a failure, a caller who gives up as neither.
    let told = pool.snapshot();
    assert_eq!((told.acquired, told.failed, told.cancelled, told.refused), (1, 2, 1, 1));
    assert_eq!((told.created, told.creations_failed, told.creations_cancelled), (1, 3, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_panics_before_it_returns_a_future_has_panicked_all_the_same() {
    let (manager, circuit) = (Scripted::default(), Arc::new(Circuit::default()));
    let gate = Arc::clone(&circuit) as Arc<dyn Gate>;
    let pool = builder(&manager).circuit(gate).build().unwrap();
    drop(pool.acquire().await.unwrap());
    *manager.0.fault.lock() = Some(Fault::CheckPanicsAtOnce);
    assert!(catch(pool.acquire()).await);
    assert_eq!(pool.snapshot().closed.of(CloseReason::Panicked), 1);
    *manager.0.fault.lock() = Some(Fault::CreatePanicsAtOnce);
    assert!(catch(pool.acquire()).await);
    assert_eq!(circuit.told.lock().last(), Some(&(7, GateOutcome::Panicked, None)));
    let told = pool.snapshot();
    assert_eq!((told.acquired, told.failed, told.cancelled, told.creations_failed), (1, 2, 0, 1));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_panics_when_it_is_asked_for_its_text_is_a_failure_like_others() {
    struct Mute;

    impl std::fmt::Debug for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("as told: {}", "no text");
        }
    }

    struct Unlucky;

    impl Manager for Unlucky {
        type Connection = ();
        type Error = Mute;

        async fn create(&self) -> Result<(), Mute> {
            Err(Mute)
        }
    }

    let pool = ConnectionPool::builder("db", Unlucky).max_size(1).circuit(Arc::new(Circuit::default()));
    let pool = pool.build().unwrap();
    for calls in 1..3 {
        assert!(catch(pool.acquire()).await);
        let told = pool.snapshot();
        assert_eq!((told.failed, told.creations_failed, told.creating), (calls, calls, 0));
    }
}

/// Whether a future panics when it is polled.
async fn catch<F: Future>(future: F) -> bool {
    let mut future = Box::pin(future);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut future).is_ready())).is_err()
}

#[tokio::test(start_paused = true)]
async fn a_smaller_pool_closes_idle_connections_at_once_and_others_on_return() {
    let pool = pool(&Scripted::default(), 4);
    let mut held: Vec<_> = (0..4).map(|_| now(pool.acquire()).unwrap()).collect();
    drop(held.split_off(2));
    pool.resize(1).unwrap();
    assert_eq!((pool.snapshot().idle, pool.snapshot().active), (0, 2));
    let mut waiter = Box::pin(pool.acquire());
    assert!(poll(&mut waiter).is_pending());
    drop(held.pop());
    assert!(poll(&mut waiter).is_pending(), "one is out already");
    drop(held.pop());
    let Poll::Ready(Ok(last)) = poll(&mut waiter) else { panic!("not handed over") };
    assert_eq!((last.number, pool.snapshot().closed.of(CloseReason::Resized)), (0, 3));
    drop(last);
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_larger_pool_lets_waiters_create() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(pool.acquire())).collect();
    assert!(waiters.iter_mut().all(|waiter| poll(waiter).is_pending()));
    pool.resize(3).unwrap();
    let ready: Vec<_> = waiters.iter_mut().map(poll).collect();
    assert_eq!(ready.iter().map(Poll::is_ready).collect::<Vec<_>>(), [true, true, false]);
    drop((held, ready, waiters));
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_refuses_everybody_and_closes_what_comes_back() {
    let pool = pool(&Scripted::default(), 2);
    let (held, idle) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let mut waiter = Box::pin(pool.acquire());
    assert!(poll(&mut waiter).is_pending());
    drop(idle);
    let Poll::Ready(Ok(idle)) = poll(&mut waiter) else { panic!("not handed over") };
    drop(idle);
    let mut waiting = Box::pin(pool.acquire());
    let third = now(waiting.as_mut()).unwrap();
    let mut waiting = Box::pin(pool.acquire());
    assert!(poll(&mut waiting).is_pending());
    pool.close();
    let Poll::Ready(Err(error)) = poll(&mut waiting) else { panic!("not turned away") };
    assert_eq!(error.to_string(), "`db` is shut down");
    assert_eq!(kind(&now(pool.acquire()).unwrap_err()), Some(ErrorKind::ShutDown));
    drop((held, third));
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.size(), snapshot.closed.of(CloseReason::PoolClosed)), (0, 2));
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_for_a_closed_pool_by_those_who_could_have() {
    let manager = Scripted::default();
    let pool = builder(&manager).max_size(2).create_retries(3).build().unwrap();
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    let mut waiting = Box::pin(pool.acquire());
    assert!(poll(&mut waiting).is_pending());
    let [first, second] = held;
    first.discard();
    assert_eq!(pool.snapshot().creating, 1, "the right was handed over, and is not used yet");
    drop(second.detach());
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    let mut retrying = Box::pin(pool.acquire());
    assert!(poll(&mut retrying).is_pending(), "failed, and waits for its next attempt");
    *manager.0.fault.lock() = None;

    let mut draining = Box::pin(pool.drain(secs(60)));
    assert!(poll(&mut draining).is_pending());
    pool.close();
    for caller in [waiting, retrying] {
        assert_eq!(kind(&caller.await.unwrap_err()), Some(ErrorKind::ShutDown));
    }
    assert_eq!(now(draining), 0);
    assert_eq!(manager.0.creates.load(Relaxed), 3);
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn a_drained_pool_serves_those_who_wait_and_nobody_else() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let mut waiter = Box::pin(pool.acquire());
    assert!(poll(&mut waiter).is_pending());
    let mut drain = Box::pin(pool.drain(secs(60)));
    assert!(poll(&mut drain).is_pending());
    assert_eq!(kind(&now(pool.acquire()).unwrap_err()), Some(ErrorKind::ShutDown));
    drop(held);
    let Poll::Ready(Ok(held)) = poll(&mut waiter) else { panic!("not handed over") };
    assert!(poll(&mut drain).is_pending());
    drop(held);
    assert_eq!(poll(&mut drain), Poll::Ready(0));
    assert_eq!((pool.snapshot().size(), pool.snapshot().closed_down), (0, true));
}

#[tokio::test(start_paused = true)]
async fn draining_counts_what_is_held_and_what_is_being_created() {
    let manager = Scripted::default();
    let pool = pool(&manager, 3);
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    manager.0.pending.store(usize::MAX, Relaxed);
    let mut creating = Box::pin(pool.acquire());
    assert!(poll(&mut creating).is_pending());
    assert_eq!(timed(pool.drain(secs(5))).await, (secs(5), 3));
    drop((creating, held));
    assert_eq!(pool.snapshot().size(), 0);
}

#[test]
fn utilisation_is_the_share_of_connections_in_use() {
    let pool = pool(&Scripted::default(), 4);
    let held = [(); 3].map(|()| now(pool.acquire()).unwrap());
    let [idle, used, also] = held;
    drop(idle);
    assert_eq!(pool.snapshot().utilisation, 0.5);
    drop((used, also));
    assert_eq!(pool.snapshot().utilisation, 0.0);
}

#[test]
fn a_pool_of_any_kind_does_what_its_own_type_does() {
    let own = Arc::new(pool(&Scripted::default(), 2));
    let any: Arc<dyn AnyPool> = Arc::clone(&own) as _;
    drop(now(own.acquire()).unwrap());
    assert_eq!((any.name(), any.snapshot().acquired), ("db", 1));
    any.resize(3).unwrap();
    assert_eq!((own.snapshot().max_size, any.resize(0).unwrap_err().key), (3, "max_size"));
    any.reset();
    assert_eq!((own.snapshot().acquired, own.snapshot().idle), (0, 1));
    any.close();
    assert_eq!((own.snapshot().closed_down, own.snapshot().size()), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn hooks_turn_connections_away_and_hear_of_every_close() {
    let manager = Scripted::default();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    let pool =
        builder(&manager).max_size(1).on_close(move |_, reason| to.lock().push(reason)).build().unwrap();
    drop(pool.acquire().await.unwrap());
    *manager.0.fault.lock() = Some(Fault::OnAcquireRejects);
    let _ = timed(pool.acquire()).await;
    assert_eq!(heard.lock().first(), Some(&CloseReason::Rejected));
    assert_eq!(heard.lock().len() as u64, pool.snapshot().closed.total());
}

#[tokio::test(start_paused = true)]
async fn draining_ends_at_its_deadline() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let mut waiter = Box::pin(pool.acquire());
    assert!(poll(&mut waiter).is_pending());
    assert_eq!(timed(pool.drain(secs(5))).await, (secs(5), 1));
    let Poll::Ready(Err(error)) = poll(&mut waiter) else { panic!("not turned away") };
    assert_eq!(kind(&error), Some(ErrorKind::ShutDown));
    drop(held);
    assert_eq!(pool.snapshot().size(), 0);
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn who_drains_hears_of_the_last_connection_also_when_its_check_fails() {
    let manager = Scripted::default();
    let pool = pool(&manager, 1);
    pool.acquire().await.unwrap().sick.store(true, Relaxed);
    manager.0.pending.store(1, Relaxed);
    let mut caller = Box::pin(pool.acquire());
    assert!(poll(&mut caller).is_pending());
    let wakes = Arc::new(Wakes::default());
    let mut drain = Box::pin(pool.drain(secs(60)));
    let waker = Arc::clone(&wakes).into();
    assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pool.close();
    assert!(matches!(poll(&mut caller), Poll::Ready(Err(PoolError::Refused(_)))));
    assert_eq!((wakes.0.load(Relaxed), poll(&mut drain)), (1, Poll::Ready(0)));
}

#[test]
fn an_idle_pool_is_drained_without_a_runtime() {
    let pool = pool(&Scripted::default(), 1);
    drop(now(pool.acquire()).unwrap());
    assert_eq!(now(pool.drain(secs(5))), 0);
    check_books(&pool, 0);
}

#[test]
fn a_dropped_pool_closes_its_connections_those_in_use_on_their_return() {
    let manager = Scripted::default();
    let pool = pool(&manager, 2);
    let (held, idle) = (now(pool.acquire()).unwrap(), now(pool.acquire()).unwrap());
    drop(idle);
    drop(pool);
    assert_eq!((manager.0.closes.load(Relaxed), held.number), (1, 0));
    drop(held);
    assert_eq!((manager.0.closes.load(Relaxed), Arc::strong_count(&manager.0)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn wait_and_use_times_are_exact() {
    let pool = pool(&Scripted::default(), 1);
    let held = pool.acquire().await.unwrap();
    let holder = async {
        tokio::time::sleep(secs(2)).await;
        drop(held);
    };
    let (waiter, ()) = tokio::join!(pool.acquire(), holder);
    tokio::time::sleep(secs(1)).await;
    drop(waiter.unwrap());
    let snapshot = pool.snapshot();
    let (wait, in_use) = (snapshot.wait.unwrap(), snapshot.in_use.unwrap());
    assert_eq!((wait.count, wait.max, in_use.count, in_use.max), (2, secs(2), 2, secs(2)));
    assert_eq!((snapshot.acquired, snapshot.utilisation), (2, 0.0));
    // The time in which it lay idle is no use.
    tokio::time::sleep(secs(5)).await;
    drop(pool.acquire().await.unwrap());
    assert_eq!(pool.snapshot().in_use.unwrap().max, secs(2));
}
