//! Many threads at once.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use tokio::{sync::Notify, task::JoinSet};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A circuit that will stay in its half-open period for as long as a test runs in real time.
async fn half_open_for_long(probes: usize) -> Arc<CircuitBreaker> {
    let circuit = CircuitBreaker::builder("api").failure_threshold(1).open(Duration::from_nanos(1));
    let circuit = Arc::new(circuit.half_open_max(HOUR).probes(probes).build().unwrap());
    circuit.record_failure();
    while !circuit.is_half_open() {
        tokio::task::yield_now().await;
    }
    circuit
}

/// Guarantee 6. The bug this keeps out: 500 of 500 let through.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_most_probes_bodies_run_among_five_hundred_callers() {
    for probes in [1, 3, 10] {
        let circuit = half_open_for_long(probes).await;
        let (bodies, go, refused) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let mut calls = JoinSet::new();
        for _ in 0..500 {
            let (circuit, bodies) = (Arc::clone(&circuit), Arc::clone(&bodies));
            let (go, refused) = (Arc::clone(&go), Arc::clone(&refused));
            calls.spawn(async move {
                let body = async {
                    bodies.fetch_add(1, SeqCst);
                    go.notified().await;
                    Ok::<_, ()>(())
                };
                if circuit.run(body).await.is_err() {
                    refused.fetch_add(1, SeqCst);
                }
            });
        }
        while refused.load(SeqCst) + probes < 500 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bodies.load(SeqCst), probes);
        // One after the other: the last of them closes the circuit.
        while !calls.is_empty() {
            assert_eq!(bodies.load(SeqCst), probes);
            go.notify_one();
            tokio::task::yield_now().await;
            while calls.try_join_next().is_some() {}
        }
        assert_eq!(
            (circuit.state(), circuit.snapshot().refused),
            (CircuitState::Closed, 500 - probes as u64)
        );
    }
}

/// Guarantee 6 while probes are given back all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_most_probes_permits_are_out_while_they_are_given_back() {
    let circuit = half_open_for_long(2).await;
    let (out, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if let Ok(permit) = circuit.try_acquire() {
                        most.fetch_max(out.fetch_add(1, SeqCst) + 1, SeqCst);
                        out.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 2);
    assert_eq!((circuit.state(), circuit.snapshot().probes_admitted), (CircuitState::HalfOpen, 0));
}

/// Guarantee 9. The bug this keeps out: two racing failures, two events.
#[test]
fn racing_failures_bring_exactly_one_event() {
    for _ in 0..300 {
        let circuit = CircuitBreaker::builder("api").failure_threshold(1).open(HOUR).build().unwrap();
        let heard = Heard::on(&circuit);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let permit = permit(&circuit);
                    start.wait();
                    permit.failure();
                });
            }
        });
        assert_eq!(heard.changes(), [(CircuitState::Closed, CircuitState::Open)]);
        let snapshot = circuit.snapshot();
        assert_eq!(snapshot.failed + snapshot.late_results, 4);
    }
}

/// Guarantee 9: whoever changes the state, the changes are told as one chain without gaps.
#[test]
fn transitions_are_told_in_their_order() {
    let circuit =
        CircuitBreaker::builder("api").failure_threshold(1).open(Duration::from_nanos(1)).build().unwrap();
    let heard = Heard::on(&circuit);
    thread::scope(|scope| {
        for thread in 0..4 {
            let circuit = &circuit;
            scope.spawn(move || {
                for round in 0..500 {
                    match (round + thread) % 5 {
                        0 => circuit.record_failure(),
                        1 => circuit.close(),
                        2 => circuit.force_open(),
                        3 => drop(circuit.try_acquire().map(Permit::success)),
                        _ => circuit.metrics_only(),
                    }
                }
            });
        }
    });
    let changes = heard.changes();
    assert!(changes.len() > 10);
    assert_eq!(changes[0].0, CircuitState::Closed);
    assert!(changes.windows(2).all(|pair| pair[0].1 == pair[1].0));
    circuit.close();
    assert_eq!(heard.changes().last().unwrap().1, CircuitState::Closed);
}

/// Whatever races, every call is counted once.
#[test]
fn every_call_is_counted_once_under_manual_control() {
    const CALLS: u64 = 20_000;
    let circuit = CircuitBreaker::builder("api").window(10).open(Duration::from_nanos(1)).build().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|thread| {
                let circuit = &circuit;
                scope.spawn(move || {
                    for call in 0..CALLS {
                        match circuit.try_acquire() {
                            Ok(permit) if (call + thread) % 3 == 0 => permit.failure(),
                            Ok(permit) if call % 7 == 0 => drop(permit),
                            Ok(permit) => permit.success(),
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                circuit.force_open();
                circuit.close();
                circuit.metrics_only();
                circuit.close();
            }
        });
        for caller in callers {
            caller.join().unwrap();
        }
        stop.store(true, SeqCst);
    });
    let s = circuit.snapshot();
    assert_eq!(s.succeeded + s.failed + s.cancelled + s.refused + s.late_results, 3 * CALLS);
}

/// Guarantee 9: exact when quiescent.
#[test]
fn window_totals_are_exact_once_all_threads_are_done() {
    for time in [false, true] {
        let builder = CircuitBreaker::builder("api");
        let circuit = if time { builder.window_time(HOUR) } else { builder.window(100) }.build().unwrap();
        circuit.metrics_only();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for call in 0..5_000 {
                        let permit = permit(&circuit);
                        if call % 3 == 0 { permit.failure() } else { permit.success() }
                    }
                });
            }
        });
        let snapshot = circuit.snapshot();
        let expected = if time {
            (20_000, 4 * 1_667)
        } else {
            (100, circuit.execution_log().iter().filter(|outcome| outcome.failure).count() as u32)
        };
        assert_eq!((snapshot.window_calls, snapshot.window_failures), expected);
    }
}
