//! Upkeep, with and without a task for it.

use std::time::Duration;

use super::*;
use crate::{Backoff, Jitter};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lets the upkeep's task run.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_for_too_long_is_never_handed_out() {
    let pool = builder(&Scripted::default()).max_size(3).idle_timeout(secs(10)).build().unwrap();
    let held: Vec<_> = (0..3).map(|_| now(pool.acquire()).unwrap()).collect();
    drop(held);
    tokio::time::advance(secs(10)).await;
    assert_eq!(pool.acquire().await.unwrap().number, 3);
    assert_eq!(pool.snapshot().closed.of(CloseReason::IdleTimeout), 3);
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn each_return_closes_one_that_was_idle_for_too_long() {
    let pool = builder(&Scripted::default()).max_size(4).idle_timeout(secs(10)).build().unwrap();
    let held: Vec<_> = (0..4).map(|_| now(pool.acquire()).unwrap()).collect();
    drop(held);
    tokio::time::advance(secs(6)).await;
    drop(pool.acquire().await.unwrap());
    tokio::time::advance(secs(6)).await;
    for idle in [3, 2, 1, 1] {
        drop(pool.acquire().await.unwrap());
        assert_eq!(pool.snapshot().idle, idle);
    }
    assert_eq!(pool.acquire().await.unwrap().number, 3);
}

#[tokio::test(start_paused = true)]
async fn upkeep_closes_connections_at_the_moment_their_time_is_over() {
    let pool = builder(&Scripted::default())
        .max_size(2)
        .idle_timeout(secs(10))
        .max_lifetime(secs(12))
        .lifetime_jitter(0.0)
        .build()
        .unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    settle().await;
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    tokio::time::sleep(secs(5)).await;
    drop(held);
    settle().await;
    // Created at 0, idle since 5: the lifetime ends first.
    tokio::time::sleep(Duration::from_millis(6_999)).await;
    settle().await;
    assert_eq!(pool.snapshot().idle, 2);
    tokio::time::sleep(Duration::from_millis(1)).await;
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::Expired)), (0, 2));
    drop(pool.acquire().await.unwrap());
    settle().await;
    tokio::time::sleep(secs(10)).await;
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::IdleTimeout)), (0, 1));
    drop(pool);
    upkeep.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn upkeep_creates_what_is_missing_to_min_idle_and_spares_it() {
    let manager = Scripted::default();
    let pool = builder(&manager).max_size(4).min_idle(2).idle_timeout(secs(1)).build().unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    settle().await;
    assert_eq!(pool.snapshot().idle, 2);
    let held = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().active), (2, 2));
    let more = pool.acquire().await.unwrap();
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().active), (1, 3), "never above the size");
    drop((held, more));
    settle().await;
    tokio::time::sleep(secs(60)).await;
    settle().await;
    assert_eq!(pool.snapshot().idle, 2);
    let kept = pool.acquire().await.unwrap();
    assert!(kept.number < 4, "spared ones may be handed out");
    drop(kept);
    pool.close();
    upkeep.await.unwrap();
    check_books(&pool, 0);
}

#[tokio::test(start_paused = true)]
async fn upkeep_that_fails_to_create_backs_off() {
    let manager = Scripted::default();
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    let backoff = Backoff::exponential(secs(1)).max_delay(secs(4)).jitter(Jitter::None);
    let pool = builder(&manager).min_idle(1).create_backoff(backoff).build().unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    let mut attempts = Vec::new();
    for _ in 0..12 {
        settle().await;
        attempts.push(manager.0.creates.load(Relaxed));
        tokio::time::sleep(secs(1)).await;
    }
    // At 0, 1, 3, 7, 11 s.
    assert_eq!(attempts, [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5]);
    *manager.0.fault.lock() = None;
    tokio::time::sleep(secs(3)).await;
    settle().await;
    assert_eq!(pool.snapshot().idle, 1);
    upkeep.abort();
    assert!(upkeep.await.unwrap_err().is_cancelled());
    check_slots(&pool);
}

#[tokio::test(start_paused = true)]
async fn upkeep_that_is_stopped_leaks_nothing_wherever_it_stands() {
    for polls in 1..8 {
        let manager = Scripted::default();
        manager.0.pending.store(2, Relaxed);
        let pool = builder(&manager).max_size(2).min_idle(2).build().unwrap();
        let mut upkeep = Box::pin(pool.maintain());
        (0..polls).for_each(|_| assert!(poll(&mut upkeep).is_pending()));
        drop(upkeep);
        check_books(&pool, 0);
        check_slots(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn upkeep_survives_a_manager_that_panics() {
    let manager = Scripted::default();
    *manager.0.fault.lock() = Some(Fault::CreatePanics);
    let backoff = Backoff::fixed(secs(1)).jitter(Jitter::None);
    let pool = builder(&manager).min_idle(2).create_backoff(backoff).build().unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    settle().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!((manager.0.creates.load(Relaxed), pool.snapshot().creations_failed), (3, 3));
    *manager.0.fault.lock() = None;
    tokio::time::sleep(secs(1)).await;
    settle().await;
    assert_eq!(pool.snapshot().idle, 2);
    drop(pool);
    upkeep.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_does_the_upkeep_and_another_takes_over() {
    let manager = Scripted::default();
    *manager.0.fault.lock() = Some(Fault::CreateFails);
    let pool = builder(&manager).min_idle(1).build().unwrap();
    let [mut first, mut second] = [Box::pin(pool.maintain()), Box::pin(pool.maintain())];
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(manager.0.creates.load(Relaxed), 1);
    *manager.0.fault.lock() = None;
    drop(first);
    assert!(poll(&mut second).is_pending());
    assert_eq!((manager.0.creates.load(Relaxed), pool.snapshot().idle), (2, 1));
    let mut third = Box::pin(pool.maintain());
    assert!(poll(&mut third).is_pending());
    pool.close();
    assert!(poll(&mut second).is_ready() && poll(&mut third).is_ready());
    check_books(&pool, 0);
}

/// Creates its first connections at once and then none any more.
struct Hanging(AtomicUsize);

impl Manager for Hanging {
    type Connection = ();
    type Error = &'static str;

    async fn create(&self) -> Result<(), &'static str> {
        match self.0.fetch_sub(1, Relaxed) {
            0 => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_hangs_keeps_upkeep_from_nothing_else() {
    let pool = ConnectionPool::builder("db", Hanging(AtomicUsize::new(1)))
        .min_idle(2)
        .max_lifetime(secs(5))
        .lifetime_jitter(0.0)
        .acquire_timeout(Duration::MAX)
        .build()
        .unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().creating), (1, 1));
    tokio::time::sleep(secs(5)).await;
    settle().await;
    assert_eq!((pool.snapshot().idle, pool.snapshot().closed.of(CloseReason::Expired)), (0, 1));
    assert_eq!(pool.drain(secs(60)).await, 0, "a connection that nobody needs holds nobody up");
    assert_eq!(pool.snapshot().creations_cancelled, 1);
    upkeep.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn upkeep_hears_of_every_lack() {
    let manager = Scripted::default();
    let pool = builder(&manager).max_size(2).min_idle(2).build().unwrap();
    let upkeep = tokio::spawn(pool.maintain());
    settle().await;
    let mut held = vec![pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    settle().await;
    pool.resize(4).unwrap();
    settle().await;
    assert_eq!(pool.snapshot().idle, 2, "the pool has grown");
    held.pop().unwrap().discard();
    held.push(pool.acquire().await.unwrap());
    settle().await;
    assert_eq!(pool.snapshot().idle, 2, "one was taken and another closed");
    held.clear();
    settle().await;
    let all = [pool.acquire().await.unwrap(), pool.acquire().await.unwrap(), pool.acquire().await.unwrap()];
    assert_eq!((pool.snapshot().idle, pool.snapshot().active), (1, 3));
    all[0].sick.store(true, Relaxed);
    let [sick, .., other] = all;
    drop(other);
    drop(sick);
    settle().await;
    assert_eq!(pool.snapshot().size(), 4);
    // The sick one is closed, the next one taken: only now is there room for more.
    let _held = pool.acquire().await.unwrap();
    settle().await;
    assert_eq!(pool.snapshot().idle, 2, "one was found sick");
    upkeep.abort();
}

/// Kept up by tasks that nobody has asked for.
#[cfg(feature = "rt")]
mod on_the_callers_runtime {
    use tokio::runtime::{Builder, Handle, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
    }

    fn tasks() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_fills_itself_and_its_task_ends_with_it() {
        let pool = builder(&Scripted::default()).min_idle(2).build().unwrap();
        settle().await;
        assert_eq!((pool.snapshot().idle, tasks()), (2, 1));
        pool.acquire().await.unwrap().discard();
        settle().await;
        assert_eq!((pool.snapshot().idle, tasks()), (2, 1));
        drop(pool);
        settle().await;
        assert_eq!(tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_pool_starts_no_task() {
        let pool = builder(&Scripted::default()).min_idle(2).build().unwrap();
        pool.close();
        settle().await;
        assert!(pool.acquire().await.is_err());
        assert_eq!(tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_with_nothing_to_keep_up_starts_no_task() {
        let pool = builder(&Scripted::default()).build().unwrap();
        drop(pool.acquire().await.unwrap());
        assert_eq!(tasks(), 0);
    }

    #[test]
    fn the_first_caller_has_to_do_if_the_pool_was_built_outside_and_the_next_after_a_shutdown() {
        let pool = builder(&Scripted::default()).max_size(4).min_idle(2).build().unwrap();
        for _ in 0..2 {
            runtime().block_on(async {
                assert_eq!(tasks(), 0);
                pool.acquire().await.unwrap().discard();
                settle().await;
                assert_eq!((pool.snapshot().idle, tasks()), (2, 1));
            });
        }
    }

    #[test]
    fn without_a_time_driver_one_task_fails_and_not_one_for_every_call() {
        let pool = builder(&Scripted::default()).idle_timeout(secs(1)).build().unwrap();
        Builder::new_current_thread().build().unwrap().block_on(async {
            for started in [1, 0, 0] {
                drop(pool.acquire().await.unwrap());
                assert_eq!(tasks(), started);
                settle().await;
                assert_eq!(tasks(), 0);
            }
        });
    }
}
