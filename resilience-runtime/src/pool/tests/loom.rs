//! Checkout, return, cancellation and resizing under every interleaving.
//!
//! Mutations that were seen to fail: a waiter that gives up drops the connection it was handed
//! (`hand_over_against_cancel`), or the right to create one (`right_against_cancel`); `put` looks for waiters and
//! stores the connection under two separate locks (`return_against_checkout`); a freed slot is not handed on
//! (`discard_against_waiting`), nor the slots of a larger pool (`resize_against_waiting`); a closed pool does not
//! dismiss its waiters (`close_against_return_and_waiting`); a caller who finds the pool closed keeps its slot
//! (`close_against_a_right_that_was_handed_over`).

use std::time::Duration;

use ::loom::{
    future::block_on,
    thread::{self, JoinHandle},
};

use super::*;

fn small_pool(max_size: usize) -> Pool {
    let pool = builder(&Scripted::default()).max_size(max_size).acquire_timeout(Duration::MAX);
    Arc::new(pool.build().unwrap())
}

type Pool = Arc<ConnectionPool<Scripted>>;

fn on_a_thread<R: 'static>(pool: &Pool, run: impl FnOnce(&Pool) -> R + 'static) -> JoinHandle<R> {
    let pool = Arc::clone(pool);
    thread::spawn(move || run(&pool))
}

/// Waits for a connection, and gives it back.
fn patient(pool: &Pool) -> JoinHandle<()> {
    on_a_thread(pool, |pool| drop(block_on(pool.acquire()).unwrap()))
}

/// Asks for a connection once, and goes.
fn fickle(pool: &Pool) -> JoinHandle<()> {
    on_a_thread(pool, |pool| {
        let mut caller = Box::pin(pool.acquire());
        let _ = poll(&mut caller);
    })
}

#[test]
fn return_against_checkout() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let caller = patient(&pool);
        drop(held);
        caller.join().unwrap();
        check_books(&pool, 0);
        assert_eq!(pool.snapshot().idle, 1);
    });
}

#[test]
fn hand_over_against_cancel() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let fickle = fickle(&pool);
        let patient = patient(&pool);
        drop(held);
        fickle.join().unwrap();
        patient.join().unwrap();
        check_books(&pool, 0);
        assert_eq!(pool.snapshot().size(), 1);
    });
}

#[test]
fn discard_against_waiting() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let caller = patient(&pool);
        held.discard();
        caller.join().unwrap();
        check_books(&pool, 0);
        assert_eq!(pool.snapshot().size(), 1);
    });
}

#[test]
fn right_against_cancel() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let fickle = fickle(&pool);
        let patient = patient(&pool);
        held.discard();
        fickle.join().unwrap();
        patient.join().unwrap();
        check_books(&pool, 0);
        assert_eq!(pool.snapshot().size(), 1);
    });
}

#[test]
fn resize_against_waiting() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let caller = patient(&pool);
        pool.resize(2).unwrap();
        caller.join().unwrap();
        drop(held);
        check_books(&pool, 0);
        assert!(pool.snapshot().idle <= 2);
    });
}

#[test]
fn shrinking_against_return() {
    ::loom::model(|| {
        let pool = small_pool(2);
        let held = [now(pool.acquire()).unwrap(), now(pool.acquire()).unwrap()];
        let holder = thread::spawn(move || drop(held));
        pool.resize(1).unwrap();
        holder.join().unwrap();
        check_books(&pool, 0);
        assert!(pool.snapshot().size() <= 1);
    });
}

#[test]
fn close_against_return_and_waiting() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let caller = on_a_thread(&pool, |pool| drop(block_on(pool.acquire())));
        let holder = thread::spawn(move || drop(held));
        pool.close();
        caller.join().unwrap();
        holder.join().unwrap();
        check_books(&pool, 0);
        // A waiter gets what comes back, or a refusal; it never creates for a closed pool.
        assert_eq!((pool.snapshot().size(), pool.snapshot().created), (0, 1));
    });
}

#[test]
fn close_against_a_right_that_was_handed_over() {
    ::loom::model(|| {
        let pool = small_pool(1);
        let held = now(pool.acquire()).unwrap();
        let caller = on_a_thread(&pool, |pool| block_on(pool.acquire()).is_ok());
        let closer = on_a_thread(&pool, |pool| pool.close());
        held.discard();
        let served = caller.join().unwrap();
        closer.join().unwrap();
        check_books(&pool, 0);
        assert_eq!((pool.snapshot().size(), pool.snapshot().created), (0, 1 + u64::from(served)));
    });
}
