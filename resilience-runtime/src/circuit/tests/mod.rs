//! What only the crate itself can do to a circuit: settle with a cause, choose the time, look at its size.

mod histories;
mod reference;

use std::{fmt, time::Duration};

use super::*;
use crate::{
    clock::Instant,
    events::CircuitState,
    gate::{Gate, GateOutcome},
    name::Name,
    settings::CircuitSettings,
    stats::Sample,
};

const NAME: Name = Name::from_static("api");

/// Trips at the first failure, has one probe and ten milliseconds of everything.
const SETTINGS: CircuitSettings = CircuitSettings::new().failure_threshold(1).probes(1).open_ms(10).checked();

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn fail(circuit: &CircuitBreaker, now: Instant, cause: &dyn fmt::Display) {
    let ticket = circuit.admit(now).unwrap();
    circuit.settle(ticket, Outcome::Failure, None, || now, Some(cause));
}

fn cause(circuit: &CircuitBreaker, now: Instant) -> Option<String> {
    circuit.snapshot_at(now).last_cause
}

#[test]
fn the_text_of_the_error_that_tripped_is_kept() {
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    fail(&circuit, at(0), &"connection\nreset");
    assert_eq!(cause(&circuit, at(1)).as_deref(), Some("connection\nreset"));
    let text = "circuit `api` is open: 1 failure, next probe in 9 ms (last error: connection\\nreset)";
    assert_eq!(circuit.snapshot_at(at(1)).to_string(), text);
    fail(&circuit, at(10), &"still down");
    assert_eq!(cause(&circuit, at(10)).as_deref(), Some("still down"));
    let hung = circuit.admit(at(20)).unwrap();
    assert_eq!(cause(&circuit, at(30)), None, "by time alone, before any call commits it");
    assert!(circuit.admit(at(30)).is_err());
    assert_eq!(cause(&circuit, at(30)), None, "nobody knows why a probe hangs");
    circuit.settle(hung, Outcome::Failure, None, || at(31), Some(&"late"));
    assert_eq!(cause(&circuit, at(31)), None);
}

#[test]
fn of_a_long_text_the_first_kibibyte_is_kept_up_to_a_whole_character() {
    let kept = |text: &dyn fmt::Display| {
        let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
        fail(&circuit, at(0), text);
        cause(&circuit, at(0)).unwrap()
    };
    assert_eq!(kept(&""), "");
    assert_eq!(kept(&"a".repeat(1024)), "a".repeat(1024));
    assert_eq!(kept(&"a".repeat(1025)), "a".repeat(1024) + "…");
    assert_eq!(kept(&"a".repeat(5_000_000)), "a".repeat(1024) + "…");
    assert_eq!(kept(&"é".repeat(512)), "é".repeat(512));
    assert_eq!(kept(&"é".repeat(513)), "é".repeat(512) + "…");
    assert_eq!(kept(&format!("a{}", "é".repeat(512))), format!("a{}…", "é".repeat(511)));
    // In pieces: nothing of what follows the cut, even if it would fit.
    let (long, wide) = ("a".repeat(1023), "é");
    assert_eq!(kept(&format_args!("{long}{}{}", "", "b")), format!("{long}b"));
    assert_eq!(kept(&format_args!("{long}{wide}{}", "b")), format!("{long}…"));
}

#[test]
fn a_text_that_cannot_be_written_is_none() {
    struct Text;
    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")?;
            Err(fmt::Error)
        }
    }
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    fail(&circuit, at(0), &Text);
    assert_eq!((circuit.state_at(at(0)), cause(&circuit, at(0))), (CircuitState::Open, None));
}

/// The text is the user's code: it runs once the circuit trips and only then, may call the circuit, may panic.
#[test]
fn an_error_is_rendered_only_when_it_trips_and_may_panic() {
    struct Text<'a>(&'a CircuitBreaker);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert_eq!(self.0.snapshot_at(at(0)).window_calls, 2);
            panic!("text")
        }
    }
    let circuit = CircuitBreaker::declared(NAME, CircuitSettings::new().failure_threshold(2), 0);
    fail(&circuit, at(0), &Text(&circuit));
    assert_eq!(circuit.state_at(at(0)), CircuitState::Closed);
    fail(&circuit, at(0), &Text(&circuit));
    let snapshot = circuit.snapshot_at(at(0));
    assert_eq!((snapshot.state, snapshot.failed, snapshot.last_cause), (CircuitState::Open, 2, None));
}

#[test]
fn a_panicking_text_keeps_no_probe_slot() {
    struct Text;
    impl fmt::Display for Text {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("text")
        }
    }
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    fail(&circuit, at(0), &"down");
    fail(&circuit, at(10), &Text);
    assert_eq!(circuit.state_at(at(19)), CircuitState::Open);
    assert_eq!(circuit.state_at(at(20)), CircuitState::HalfOpen);
}

/// Two paused runtimes of one process, or a clock read before another's.
#[test]
fn a_clock_that_steps_back_changes_nothing_and_panics_nowhere() {
    let settings = SETTINGS.window_ms(1_000).failure_reset_ms(5);
    let circuit = CircuitBreaker::declared(NAME, settings, 0);
    circuit.record(Outcome::Success, at(5_000));
    fail(&circuit, at(5_000), &"down");
    assert_eq!(circuit.state_at(at(0)), CircuitState::Open);
    assert_eq!(circuit.snapshot_at(at(0)).last_transition.unwrap().ago, Duration::ZERO);
    assert!(circuit.admit(at(1)).is_err());
    let probe = circuit.admit(at(5_010)).unwrap();
    circuit.settle(probe, Outcome::Success, None, || at(2), None);
    assert_eq!(circuit.state_at(at(2)), CircuitState::Closed);
    assert_eq!(circuit.snapshot_at(at(0)).window_calls, 0);
}

#[test]
fn would_admit_looks_ahead_and_takes_nothing() {
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    fail(&circuit, at(0), &"down");
    assert_eq!([9, 10, 1_000].map(|millis| circuit.would_admit(at(millis))), [false, true, true]);
    assert!(circuit.peek(at(9)).is_err());
    assert!(circuit.peek(at(10)).is_ok() && circuit.peek(at(10)).is_ok());
    let probe = circuit.admit(at(10)).unwrap();
    assert!(circuit.peek(at(10)).is_err());
    assert_eq!((circuit.would_admit(at(19)), circuit.would_admit(at(20))), (false, false));
    assert!(circuit.would_admit(at(30)), "the hung probe's period is over, and the open time after it");
    circuit.settle(probe, Outcome::Cancelled, None, || at(11), None);
    assert!(circuit.would_admit(at(11)));
}

#[test]
fn a_timeout_is_a_failure_of_its_own_kind() {
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    let ticket = circuit.admit(at(0)).unwrap();
    circuit.settle(ticket, Outcome::TimedOut, Some(Sample::of(Duration::from_millis(7))), || at(7), None);
    let snapshot = circuit.snapshot_at(at(7));
    assert_eq!((snapshot.state, snapshot.timed_out, snapshot.failed), (CircuitState::Open, 1, 0));
    assert_eq!(snapshot.latency.unwrap().max, Duration::from_millis(7));
}

/// What a pool's creations came to.
#[test]
fn as_a_gate_it_counts_every_outcome_as_its_own_kind() {
    let circuit = CircuitBreaker::declared(NAME, CircuitSettings::new(), 0);
    let gate: &dyn Gate = &circuit;
    for outcome in [
        GateOutcome::Success,
        GateOutcome::Failure,
        GateOutcome::TimedOut,
        GateOutcome::Panicked,
        GateOutcome::Cancelled,
    ] {
        let token = gate.admit(at(0)).unwrap();
        gate.settle(token, outcome, Duration::from_millis(7), at(7), None);
    }
    let told = circuit.snapshot_at(at(7));
    assert_eq!((told.succeeded, told.failed, told.timed_out, told.panicked, told.cancelled), (1, 1, 1, 1, 1));
    assert_eq!((told.window_calls, told.window_failures), (4, 3));
    let latency = told.latency.unwrap();
    assert_eq!((latency.count, latency.max), (4, Duration::from_millis(7)));
}

#[test]
fn as_a_gate_it_opens_with_the_error_and_takes_no_late_result() {
    let circuit = CircuitBreaker::declared(NAME, SETTINGS, 0);
    let gate: &dyn Gate = &circuit;
    let (first, late) = (gate.admit(at(0)).unwrap(), gate.admit(at(0)).unwrap());
    gate.settle(first, GateOutcome::Failure, Duration::ZERO, at(1), Some(&"refused"));
    assert_eq!(cause(&circuit, at(1)).as_deref(), Some("refused"));
    let refusal = gate.admit(at(1)).unwrap_err();
    assert_eq!((refusal.name(), refusal.retry_after()), ("api", Some(Duration::from_millis(10))));
    let probe = gate.admit(at(11)).unwrap();
    gate.settle(late, GateOutcome::Success, Duration::ZERO, at(11), None);
    assert_eq!(
        (circuit.state_at(at(11)), circuit.snapshot_at(at(11)).late_results),
        (CircuitState::HalfOpen, 1)
    );
    gate.settle(probe, GateOutcome::Success, Duration::ZERO, at(12), None);
    assert_eq!(circuit.state_at(at(12)), CircuitState::Closed);
}

/// Successes may fill the window between the two steps in which another thread counts its failure.
#[test]
fn a_success_ends_a_run_though_the_window_is_full_of_successes() {
    let circuit = CircuitBreaker::declared(NAME, CircuitSettings::new().failure_threshold(2).window(1), 0);
    let succeed = || {
        let ticket = circuit.admit(at(0)).unwrap();
        circuit.settle(ticket, Outcome::Success, None, || at(0), None);
    };
    succeed();
    assert_eq!(circuit.failures.failure(0, None, at(0)), 1);
    assert!(circuit.window.is_clean(0));
    succeed();
    assert_eq!(
        (circuit.snapshot_at(at(0)).consecutive_failures, circuit.snapshot_at(at(0)).succeeded),
        (0, 2)
    );
}

#[test]
fn a_declared_circuit_has_its_slots_before_its_first_failure() {
    assert_eq!(CircuitBreaker::declared(NAME, SETTINGS.window(30), 0).window.slots(), 30);
}

#[test]
fn a_healthy_circuit_takes_the_short_way_with_current_and_quick_successes() {
    let settings = CircuitSettings::new().failure_threshold(1).window(2).slow_call_ms(5);
    let circuit = CircuitBreaker::declared(NAME, settings, 0);
    let stripe = crate::sync::stripe::current();
    let took = |millis| Some(Sample::of(Duration::from_millis(millis)));
    let ticket = circuit.admit_closed().unwrap();
    assert!(!circuit.succeed(ticket, took(1), stripe), "the window is not full yet");
    for _ in 0..2 {
        circuit.settle(ticket, Outcome::Success, took(1), || at(0), None);
    }
    assert!(circuit.succeed(ticket, took(5), stripe));
    assert!(!circuit.succeed(ticket, took(6), stripe));
    assert!(!circuit.succeed(Ticket { generation: ticket.generation + 1 }, took(1), stripe));
    assert_eq!(circuit.snapshot_at(at(0)).succeeded, 3);
    fail(&circuit, at(0), &"down");
    assert_eq!(circuit.admit_closed(), None);
    assert!(!circuit.succeed(ticket, took(1), stripe));
}

#[test]
fn circuits_with_one_seed_draw_differently() {
    let settings = SETTINGS.open_max_ms(60_000);
    for seed in [0, 7, u64::MAX] {
        let [a, b] = ["a", "b"].map(|name| {
            let circuit = CircuitBreaker::declared(Name::from_static(name), settings, 0);
            circuit.reseed(seed);
            fail(&circuit, at(0), &"down");
            fail(&circuit, at(10), &"down");
            circuit.snapshot_at(at(10)).next_probe_in.unwrap()
        });
        assert_ne!(a, b, "of seed {seed}");
    }
}

/// Until its first failure, which needs a slot of four bytes for each call of the window.
#[test]
fn a_circuit_of_a_dynamic_name_takes_at_most_a_kibibyte() {
    let circuit = CircuitBreaker::compact(NAME, SETTINGS, 0);
    for _ in 0..300 {
        let ticket = circuit.admit(at(0)).unwrap();
        circuit.settle(ticket, Outcome::Success, Some(Sample::of(Duration::from_millis(7))), || at(7), None);
    }
    assert_eq!(circuit.window.slots(), 0);
    let counts_of_arc = 2 * size_of::<usize>();
    let bytes = counts_of_arc + size_of_val(&circuit) + circuit.stats.heap();
    assert!(bytes <= 1024, "{bytes}");
    circuit.record_failure();
    assert_eq!(circuit.window.slots(), 100);
}
