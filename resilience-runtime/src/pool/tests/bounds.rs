//! Settings out of their range.

use std::time::Duration;

use super::*;

#[test]
fn every_bad_value_is_refused_with_its_key() {
    let builder = || ConnectionPool::builder("db", Scripted::default());
    let zero = Duration::ZERO;
    for (bad, key, reason) in [
        (builder().max_size(0), "max_size", "must be at least 1"),
        (builder().max_size(usize::MAX), "max_size", "must be at most 2,147,483,647"),
        (builder().max_size(3).min_idle(4), "min_idle", "must not be above `max_size`"),
        (builder().acquire_timeout(zero), "acquire_timeout", "must be longer than zero"),
        (builder().idle_timeout(zero), "idle_timeout", "must be longer than zero"),
        (builder().max_lifetime(zero), "max_lifetime", "must be longer than zero"),
        (builder().lifetime_jitter(-0.1), "lifetime_jitter", "must be at least 0 and at most 1"),
        (builder().lifetime_jitter(1.1), "lifetime_jitter", "must be at least 0 and at most 1"),
        (builder().lifetime_jitter(f64::NAN), "lifetime_jitter", "must be at least 0 and at most 1"),
        (builder().create_concurrency(0), "create_concurrency", "must be at least 1"),
    ] {
        let problem = bad.build().unwrap_err();
        assert_eq!((problem.key, problem.reason), (key, reason));
    }
    let pool = builder().min_idle(2).max_size(2).build().unwrap();
    assert_eq!(pool.resize(0).unwrap_err().key, "max_size");
    assert_eq!(pool.resize(1).unwrap_err().key, "min_idle");
    assert_eq!(pool.snapshot().max_size, 2);
}

#[test]
fn the_largest_pool_can_be_built() {
    let largest = ConnectionPool::builder("db", Scripted::default()).max_size(2_147_483_647).build().unwrap();
    assert_eq!(largest.snapshot().max_size, 2_147_483_647);
    assert_eq!(largest.resize(2_147_483_648).unwrap_err().key, "max_size");
}

#[test]
fn the_longest_durations_mean_never() {
    let pool = ConnectionPool::builder("db", Scripted::default())
        .acquire_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .max_lifetime(Duration::MAX)
        .lifetime_jitter(0.0)
        .max_size(1)
        .build()
        .unwrap();
    // There is no runtime here, so no timer could be armed.
    let held = now(pool.acquire()).unwrap();
    let mut waiting = Box::pin(pool.acquire());
    assert!(poll(&mut waiting).is_pending());
    drop(held);
    let Poll::Ready(Ok(held)) = poll(&mut waiting) else { panic!("not handed over") };
    drop(held);
    assert_eq!(pool.snapshot().idle, 1);
}

#[test]
fn pools_and_connections_cross_threads() {
    fn check<T: Send + Sync + 'static>() {}
    fn check_future<T: Send>(_: T) {}
    check::<ConnectionPool<Scripted>>();
    check::<ConnectionPoolBuilder<Scripted>>();
    check::<Pooled<Scripted>>();
    check::<PoolError<&'static str>>();
    let pool = pool(&Scripted::default(), 1);
    check_future(pool.acquire());
    check_future(pool.maintain());
    check_future(pool.drain(Duration::ZERO));
}
