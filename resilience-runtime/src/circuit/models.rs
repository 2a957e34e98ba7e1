//! Every interleaving of two or three threads, explored by loom.
//!
//! Each model names the mutation it was seen to catch.

use std::sync::Mutex as StdMutex;

use loom::{sync::Arc, thread};

use super::{CircuitBreaker, CircuitSnapshot, Outcome, Ticket};
use crate::{clock::Instant, events::CircuitState, name::Name, settings::CircuitSettings};

const NAME: Name = Name::from_static("api");

/// Trips at the first failure; ten nanoseconds of everything.
const SETTINGS: CircuitSettings = CircuitSettings::new().failure_threshold(1).window(2).probes(1);

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn circuit(settings: CircuitSettings) -> Arc<CircuitBreaker> {
    let ten = Some(std::time::Duration::from_nanos(10));
    let settings = CircuitSettings { open: ten, half_open_max: ten, ..settings };
    Arc::new(CircuitBreaker::compact(NAME, settings, 0))
}

/// A circuit whose open time ends at ten.
fn open(settings: CircuitSettings) -> Arc<CircuitBreaker> {
    let circuit = circuit(settings);
    circuit.record(Outcome::Failure, at(0));
    assert_eq!(circuit.state_at(at(9)), CircuitState::Open);
    circuit
}

fn admit(circuit: &CircuitBreaker, nanos: u64) -> Option<Ticket> {
    circuit.admit(at(nanos)).ok()
}

fn settle(circuit: &CircuitBreaker, ticket: Ticket, outcome: Outcome, nanos: u64) {
    circuit.settle(ticket, outcome, None, || at(nanos), None);
}

fn spawn<T: 'static>(
    circuit: &Arc<CircuitBreaker>,
    work: impl FnOnce(&CircuitBreaker) -> T + 'static,
) -> thread::JoinHandle<T> {
    let circuit = Arc::clone(circuit);
    thread::spawn(move || work(&circuit))
}

/// From and to of every transition told. The lock is not loom's: it is held for a push.
#[allow(clippy::disallowed_types)]
type Heard = std::sync::Arc<StdMutex<Vec<(CircuitState, CircuitState)>>>;

fn listen(circuit: &CircuitBreaker) -> Heard {
    let heard = Heard::default();
    let to = Heard::clone(&heard);
    drop(circuit.on_state_change(move |told| to.lock().unwrap().push((told.from, told.to))));
    heard
}

fn counted(snapshot: &CircuitSnapshot) -> u64 {
    snapshot.failed + snapshot.succeeded + snapshot.cancelled + snapshot.late_results
}

/// Mutation: `transition` neither compares under the lock nor exchanges.
#[test]
fn loom_two_failures_trip_once_and_one_event_is_told() {
    loom::model(|| {
        let circuit = circuit(SETTINGS);
        let heard = listen(&circuit);
        let [one, two] = [(); 2].map(|()| admit(&circuit, 1).unwrap());
        let other = spawn(&circuit, move |circuit| settle(circuit, one, Outcome::Failure, 2));
        settle(&circuit, two, Outcome::Failure, 2);
        other.join().unwrap();
        let snapshot = circuit.snapshot_at(at(3));
        assert_eq!((snapshot.state, counted(&snapshot)), (CircuitState::Open, 2));
        assert_eq!(*heard.lock().unwrap(), [(CircuitState::Closed, CircuitState::Open)]);
    });
}

/// Mutation: `State::exchange` loads, compares and stores.
#[test]
fn loom_never_more_than_probes_are_let_through() {
    loom::model(|| {
        let circuit = open(SETTINGS.probes(2));
        let heard = listen(&circuit);
        let others = [(); 2].map(|()| spawn(&circuit, |circuit| admit(circuit, 10).is_some()));
        let own = admit(&circuit, 10).is_some();
        let others = others.map(|other| other.join().unwrap());
        assert_eq!(usize::from(own) + others.iter().filter(|&&admitted| admitted).count(), 2);
        assert_eq!(*heard.lock().unwrap(), [(CircuitState::Open, CircuitState::HalfOpen)]);
    });
}

/// A slot is given back and taken again just before the deadline of the first holder, while somebody for whom that
/// has passed commits it: either the period is over, or the second probe has a time of its own.
///
/// Mutation: `transition` compares words and not what stands beside them.
#[test]
fn loom_a_permit_dropped_at_the_deadline_takes_no_other_with_it() {
    loom::model(|| {
        let circuit = open(SETTINGS);
        let hung = admit(&circuit, 10).unwrap();
        let other = spawn(&circuit, |circuit| circuit.catch_up(at(20)).word.state);
        settle(&circuit, hung, Outcome::Cancelled, 19);
        let again = admit(&circuit, 19).is_some();
        other.join().unwrap();
        let expected = if again { CircuitState::HalfOpen } else { CircuitState::Open };
        assert_eq!(circuit.state_at(at(20)), expected);
        assert_eq!(circuit.snapshot_at(at(20)).cancelled, 1);
    });
}

/// Mutation: both generations share one place for the due time.
#[test]
fn loom_a_reader_sees_a_lapse_however_it_is_being_committed() {
    loom::model(|| {
        let circuit = open(SETTINGS);
        let hung = admit(&circuit, 10).unwrap();
        let other = spawn(&circuit, |circuit| circuit.catch_up(at(20)).word.state);
        assert_eq!(circuit.state_at(at(20)), CircuitState::Open);
        settle(&circuit, hung, Outcome::Success, 20);
        assert_eq!(other.join().unwrap(), CircuitState::Open);
        assert_eq!(circuit.snapshot_at(at(20)).late_results, 1);
    });
}

fn late_failure_against_a_new_generation(settings: CircuitSettings, outcome: Outcome) {
    loom::model(move || {
        let circuit = circuit(settings);
        let late = admit(&circuit, 1).unwrap();
        let other = spawn(&circuit, move |circuit| settle(circuit, late, Outcome::Failure, 2));
        circuit.enter(CircuitState::Closed, at(2));
        let ticket = admit(&circuit, 3).unwrap();
        settle(&circuit, ticket, outcome, 3);
        other.join().unwrap();
        let snapshot = circuit.snapshot_at(at(3));
        let failures = u32::from(outcome == Outcome::Failure);
        assert_eq!((snapshot.window_calls, snapshot.window_failures), (1, failures));
        assert_eq!((snapshot.consecutive_failures, counted(&snapshot)), (failures, 2));
    });
}

/// Mutation: `CountWindow::write` adds to sums of any tag.
#[test]
fn loom_a_late_result_stays_out_of_a_new_count_window() {
    late_failure_against_a_new_generation(SETTINGS.failure_threshold(9), Outcome::Success);
}

/// Mutation: `FailureRun::add` does not look for a later generation.
#[test]
fn loom_a_late_result_stays_out_of_a_new_run() {
    late_failure_against_a_new_generation(SETTINGS.failure_threshold(9), Outcome::Failure);
}

/// Mutation: `TimeWindow::clear` does not move on.
#[test]
fn loom_a_late_result_stays_out_of_a_new_time_window() {
    let settings = CircuitSettings::new().failure_threshold(9).window_ms(1);
    late_failure_against_a_new_generation(settings, Outcome::Success);
}

/// Mutation: `tell` does not look whether somebody is telling.
#[test]
fn loom_what_is_done_by_hand_stands_and_changes_are_told_in_their_order() {
    use CircuitState::{Closed, ForcedOpen, Open};
    loom::model(|| {
        let circuit = circuit(SETTINGS);
        let heard = listen(&circuit);
        let ticket = admit(&circuit, 1).unwrap();
        let other = spawn(&circuit, move |circuit| settle(circuit, ticket, Outcome::Failure, 2));
        circuit.enter(ForcedOpen, at(2));
        other.join().unwrap();
        assert_eq!(circuit.state_at(at(1_000)), ForcedOpen);
        let heard = heard.lock().unwrap();
        assert!(
            **heard == [(Closed, ForcedOpen)] || **heard == [(Closed, Open), (Open, ForcedOpen)],
            "{heard:?}"
        );
    });
}

/// Mutation: `decide` without its fence.
#[test]
fn loom_new_settings_and_a_result_do_not_miss_each_other() {
    loom::model(|| {
        let circuit = open(SETTINGS.probes(2));
        let probe = admit(&circuit, 10).unwrap();
        let other = spawn(&circuit, move |circuit| settle(circuit, probe, Outcome::Success, 11));
        let ten = Some(std::time::Duration::from_nanos(10));
        circuit.apply(CircuitSettings { open: ten, half_open_max: ten, ..SETTINGS }, at(11));
        other.join().unwrap();
        assert_eq!(circuit.state_at(at(12)), CircuitState::Closed);
    });
}

/// Mutation: `FailureRun::failure` lets go of `last` before it adds.
#[test]
fn loom_two_failures_after_a_pause_agree_which_begins_the_run() {
    loom::model(|| {
        let circuit = circuit(SETTINGS.failure_threshold(3).failure_reset_ms(1));
        circuit.record(Outcome::Failure, at(0));
        circuit.record(Outcome::Failure, at(1));
        let late = 5_000_000;
        let other = spawn(&circuit, move |circuit| circuit.record(Outcome::Failure, at(late)));
        circuit.record(Outcome::Failure, at(late));
        other.join().unwrap();
        let snapshot = circuit.snapshot_at(at(late));
        assert_eq!((snapshot.state, snapshot.consecutive_failures), (CircuitState::Closed, 2));
    });
}
