//! Those who want to be told.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use resilience_runtime::{Subscription, circuit::FailureReport};

use super::{
    CircuitState::{Closed, HalfOpen, Open},
    *,
};

type Slot<T> = Arc<Mutex<Option<T>>>;

#[tokio::test(start_paused = true)]
async fn every_transition_is_told_once_with_its_reason() {
    let circuit = builder().probes(1).build().unwrap();
    let heard = Heard::on(&circuit);
    trip(&circuit);
    advance(OPEN).await;
    permit(&circuit).failure();
    advance(OPEN).await;
    permit(&circuit).success();
    circuit.close();
    let told: Vec<_> = heard.lock().iter().map(|told| (told.from, told.to, told.reason)).collect();
    assert_eq!(
        told,
        [
            (Closed, Open, tripped(TripReason::ConsecutiveFailures { count: 2 })),
            (Open, HalfOpen, TransitionReason::OpenTimeElapsed),
            (HalfOpen, Open, tripped(TripReason::ProbeFailed)),
            (Open, HalfOpen, TransitionReason::OpenTimeElapsed),
            (HalfOpen, Closed, TransitionReason::Recovered),
        ]
    );
    assert_eq!(heard.lock()[0].circuit, "api");
}

/// The bug this keeps out: a listener called under the lock, which deadlocks as soon as it looks at its circuit.
#[test]
fn a_listener_may_call_the_circuit_back() {
    let circuit = Arc::new(circuit());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (to, weak) = (Arc::clone(&seen), Arc::downgrade(&circuit));
    drop(circuit.on_state_change(move |told| {
        let circuit = weak.upgrade().unwrap();
        let snapshot = circuit.snapshot();
        to.lock().unwrap().push((told.to, snapshot.state, snapshot.failed));
        assert!(!circuit.execution_log().is_empty() || told.to != Open);
        drop(circuit.on_failure(|_| {}));
        circuit.configure(circuit.settings()).unwrap();
        drop(circuit.try_acquire());
        if told.to == Open {
            circuit.close();
            circuit.record_failure();
        }
    }));
    let after = Heard::on(&circuit);
    trip_only(&circuit);
    // The failure that tripped it is in the numbers already; the state was changed back before the second was told.
    let expected = [(Open, Open, 2), (Closed, Closed, 3)];
    assert_eq!(*seen.lock().unwrap(), expected);
    // A later listener hears both in their order, though the first one made the second change within the first.
    assert_eq!(after.changes(), [(Closed, Open), (Open, Closed)]);
}

fn trip_only(circuit: &CircuitBreaker) {
    circuit.record_failure();
    circuit.record_failure();
}

#[test]
fn a_panicking_listener_keeps_nothing_from_anybody() {
    let circuit = circuit();
    drop(circuit.on_state_change(|_| panic!("listener")));
    drop(circuit.on_failure(|_| panic!("listener")));
    let heard = Heard::on(&circuit);
    trip(&circuit);
    circuit.close();
    trip(&circuit);
    assert_eq!((heard.lock().len(), circuit.snapshot().failed), (3, 4));
}

#[test]
fn cancelling_removes_a_listener_and_dropping_leaves_it() {
    let circuit = circuit();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = |calls: &Arc<AtomicUsize>| {
        let calls = Arc::clone(calls);
        move |_: &Transition| {
            calls.fetch_add(1, SeqCst);
        }
    };
    drop(circuit.on_state_change(count(&calls)));
    let cancelled = circuit.on_state_change(count(&calls));
    circuit.force_open();
    assert_eq!(calls.load(SeqCst), 2);
    cancelled.cancel();
    circuit.close();
    assert_eq!(calls.load(SeqCst), 3);
}

/// The first of two cancels the second while both are due.
#[test]
fn a_listener_cancelled_during_a_call_is_not_called_any_more() {
    let circuit = circuit();
    let other: Slot<Subscription> = Slot::default();
    let (slot, calls) = (Arc::clone(&other), Arc::new(AtomicUsize::new(0)));
    drop(circuit.on_state_change(move |_| {
        if let Some(other) = slot.lock().unwrap().take() {
            other.cancel();
        }
    }));
    let counted = Arc::clone(&calls);
    *other.lock().unwrap() = Some(circuit.on_state_change(move |_| {
        counted.fetch_add(1, SeqCst);
    }));
    circuit.force_open();
    assert_eq!(calls.load(SeqCst), 0);
}

/// One that cancels itself runs to its end, once.
#[test]
fn a_listener_may_cancel_itself() {
    let circuit = circuit();
    let own: Slot<Subscription> = Slot::default();
    let (slot, calls) = (Arc::clone(&own), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let subscription = circuit.on_state_change(move |_| {
        counted.fetch_add(1, SeqCst);
        if let Some(own) = slot.lock().unwrap().take() {
            own.cancel();
        }
    });
    *own.lock().unwrap() = Some(subscription);
    circuit.force_open();
    circuit.close();
    assert_eq!(calls.load(SeqCst), 1);
}

#[test]
fn a_subscription_may_outlive_its_circuit() {
    let circuit = circuit();
    let held = Arc::new(());
    let by_listener = Arc::clone(&held);
    let subscription = circuit.on_state_change(move |_| drop(Arc::clone(&by_listener)));
    drop(circuit);
    assert_eq!(Arc::strong_count(&held), 1, "the listener goes with its circuit");
    subscription.cancel();
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_nothing_else_is() {
    let circuit = CircuitBreaker::builder("api").latency(true).build().unwrap();
    let reports = Arc::new(Mutex::new(Vec::<FailureReport>::new()));
    let to = Arc::clone(&reports);
    drop(circuit.on_failure(move |report| to.lock().unwrap().push(report.clone())));
    permit(&circuit).success();
    permit(&circuit).ignore();
    drop(permit(&circuit));
    let late = permit(&circuit);
    let failing = permit(&circuit);
    advance(SECOND).await;
    failing.failure();
    circuit.close();
    late.failure();
    let reports = reports.lock().unwrap();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.circuit.as_str(), report.took), ("api", Some(SECOND)));
    assert_eq!((report.timed_out, report.panicked), (false, false));
}
