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
