//! What only the crate itself can do to a circuit: settle with a cause, choose the time, look at its size.

mod histories;
mod reference;

use std::{fmt, time::Duration};

use super::*;
use crate::{clock::Instant, events::CircuitState, name::Name, settings::CircuitSettings, stats::Sample};

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
