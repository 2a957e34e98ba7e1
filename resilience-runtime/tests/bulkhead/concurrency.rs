//! Many threads at once: never too many bodies, nobody lost, nobody refused without reason.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
};

use resilience_runtime::ErrorKind;

use super::*;

/// How many are inside now, and were at most.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Inside {
    fn enter(&self) {
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_max_among_a_thousand_callers_and_everybody_answered() {
    let bulkhead =
        Arc::new(Bulkhead::builder("db").max(10).queue(1_000).wait(Duration::MAX).build().unwrap());
    let inside = Arc::new(Inside::default());
    let calls: Vec<_> = (0..1_000)
        .map(|call| {
            let (bulkhead, inside) = (Arc::clone(&bulkhead), Arc::clone(&inside));
            tokio::spawn(async move {
                bulkhead
                    .run(async {
                        inside.enter();
                        for _ in 0..call % 4 {
                            tokio::task::yield_now().await;
                        }
                        inside.leave();
                        Ok::<_, Infallible>(call)
                    })
                    .await
            })
        })
        .collect();
    for (call, handle) in calls.into_iter().enumerate() {
        assert_eq!(handle.await.unwrap(), Ok(call));
    }
    assert!(inside.most.load(SeqCst) <= 10);
    assert_usage(&bulkhead, 0, 0, 10);
    assert_counts(&bulkhead, 1_000, 0, 0);
}

/// Callers that give up at random moments, among those that do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_give_up_take_no_slot_with_them() {
    let bulkhead = Arc::new(Bulkhead::builder("db").max(3).queue(2_000).wait(Duration::MAX).build().unwrap());
    let inside = Arc::new(Inside::default());
    let calls: Vec<_> = (0..2_000_usize)
        .map(|call| {
            let (bulkhead, inside) = (Arc::clone(&bulkhead), Arc::clone(&inside));
            let handle = tokio::spawn(async move {
                let _permit = bulkhead.acquire().await.unwrap();
                inside.enter();
                // Not cancelled between these two, there is no await.
                inside.leave();
                tokio::task::yield_now().await;
            });
            if call % 3 == 0 {
                handle.abort();
            }
            handle
        })
        .collect();
    for handle in calls {
        if let Err(error) = handle.await {
            assert!(error.is_cancelled());
        }
    }
    assert!(inside.most.load(SeqCst) <= 3);
    assert_usage(&bulkhead, 0, 0, 3);
}

/// As many threads as permits: a permit is always free for each, wherever it lies at the moment. More threads than
/// stripes, so that permits wander.
#[test]
fn nobody_is_refused_while_a_permit_is_free() {
    const THREADS: usize = 12;
    let bulkhead = bulkhead(THREADS, 0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    drop(bulkhead.try_acquire().unwrap());
                }
            });
        }
    });
    assert_usage(&bulkhead, 0, 0, THREADS);
    assert_counts(&bulkhead, 20_000 * THREADS as u64, 0, 0);
}

/// Permits that were released by one thread are found by all others.
#[test]
fn permits_released_elsewhere_are_found() {
    let bulkhead = bulkhead(8, 0);
    for _ in 0..10 {
        let permits: Vec<_> = (0..8).map(|_| bulkhead.try_acquire().unwrap()).collect();
        thread::scope(|scope| {
            scope.spawn(|| drop(permits));
        });
        assert_usage(&bulkhead, 0, 0, 8);
    }
}

#[test]
fn never_more_than_max_while_it_changes() {
    let bulkhead = bulkhead(4, 0);
    let (inside, stop) = (Inside::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    if let Ok(_permit) = bulkhead.try_acquire() {
                        inside.enter();
                        thread::yield_now();
                        inside.leave();
                    }
                }
            });
        }
        for round in 0..500 {
            bulkhead.resize(1 + round % 4).unwrap();
            assert!(bulkhead.in_flight() <= 4);
            thread::yield_now();
        }
        stop.store(true, Relaxed);
    });
    assert!(inside.most.load(SeqCst) <= 4);
    bulkhead.resize(7).unwrap();
    assert_usage(&bulkhead, 0, 0, 7);
}

/// Once closed and empty, it stays empty.
#[test]
fn nobody_slips_in_after_closing() {
    for _ in 0..200 {
        let (bulkhead, start, drained) = (bulkhead(2, 0), Barrier::new(3), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    loop {
                        match bulkhead.try_acquire() {
                            Ok(_permit) => assert!(!drained.load(SeqCst)),
                            Err(error) if error.kind() == ErrorKind::ShutDown => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            start.wait();
            bulkhead.close();
            while bulkhead.in_flight() > 0 {
                thread::yield_now();
            }
            drained.store(true, SeqCst);
        });
    }
}
