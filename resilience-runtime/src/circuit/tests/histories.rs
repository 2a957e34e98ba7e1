//! Random histories, of which circuit and reference must think alike at every step.

use std::{sync::Arc, time::Duration};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::{CircuitBreaker, Outcome, Ticket},
    NAME,
    reference::{Change, Reference, Totals},
};
use crate::{
    clock::{self, nanos},
    events::CircuitState,
    settings::CircuitSettings,
    stats::Sample,
    sync::Mutex,
};

#[derive(Clone, Debug)]
enum Step {
    Admit,
    Advance(Duration),
    ByHand(CircuitState),
    Configure(CircuitSettings),
    Peek,
    Record(Outcome),
    /// One of the tickets given out so far.
    Settle(usize, Outcome, Option<Duration>),
}

fn settings() -> impl Strategy<Value = CircuitSettings> {
    let rules = select(vec![
        CircuitSettings::new().min_calls(2),
        CircuitSettings::new().failure_threshold(2),
        CircuitSettings::new().failure_threshold(2).failure_reset_ms(7).failure_rate(0.8),
        CircuitSettings::new().slow_call_ms(2).slow_call_rate(0.6).min_calls(3),
    ]);
    let window = prop_oneof![(3..8_usize).prop_map(Ok), (1..5_u64).prop_map(Err)];
    let probes = (1..4_usize).prop_flat_map(|probes| (Just(probes), 1..=probes));
    (rules, window, probes, 1..20_u64, 0..80_u64, 1..30_u64).prop_map(
        |(rules, window, (probes, successes), open, more, verdict)| {
            let settings = match window {
                Ok(calls) => rules.window(calls),
                Err(length) => rules.window_ms(length * 10),
            };
            let settings = if more % 2 == 0 { settings } else { settings.open_max_ms(open + more) };
            settings.probes(probes).probe_successes(successes).open_ms(open).half_open_max_ms(verdict)
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(Outcome::Success),
        8 => Just(Outcome::Failure),
        1 => Just(Outcome::Cancelled),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Panicked),
        1 => Just(Outcome::TimedOut),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    use CircuitState::{Closed, Disabled, ForcedOpen, MetricsOnly};
    let took = select(vec![None, Some(Duration::from_millis(2)), Some(Duration::from_millis(3))]);
    prop_oneof![
        40 => Just(Step::Admit),
        50 => (any::<usize>(), outcome(), took).prop_map(|(which, outcome, took)| Step::Settle(which, outcome, took)),
        15 => (0..9_000_u64).prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
        5 => (1..40_u64).prop_map(|millis| Step::Advance(Duration::from_millis(millis))),
        3 => select(vec![Closed, Disabled, ForcedOpen, MetricsOnly]).prop_map(Step::ByHand),
        3 => settings().prop_map(Step::Configure),
        5 => Just(Step::Peek),
        10 => select(vec![Outcome::Success, Outcome::Failure]).prop_map(Step::Record),
    ]
}

fn check(circuit: &CircuitBreaker, reference: &Reference, heard: &Mutex<Vec<Change>>) {
    let now = clock::now();
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.state, circuit.state_at(now)), (reference.state, reference.state));
    assert_eq!(circuit.would_admit(now), reference.would_admit());
    let sums = (snapshot.window_calls, snapshot.window_failures, snapshot.window_slow);
    assert_eq!(sums, reference.sums(now.as_nanos()));
    assert_eq!(snapshot.consecutive_failures, reference.run(now.as_nanos()));
    assert_eq!(usize::from(snapshot.probes_admitted), reference.admitted());
    let open = (reference.state == CircuitState::Open).then_some(reference.open_until);
    assert_eq!(snapshot.next_probe_in.map(|wait| now.saturating_add(wait).as_nanos()), open);
    let totals = Totals {
        succeeded: snapshot.succeeded,
        failed: snapshot.failed,
        timed_out: snapshot.timed_out,
        panicked: snapshot.panicked,
        ignored: snapshot.ignored,
        cancelled: snapshot.cancelled,
        refused: snapshot.refused,
        late: snapshot.late_results,
        slow: snapshot.slow,
    };
    assert_eq!(totals, reference.totals);
    assert_eq!(*heard.lock(), reference.changes);
}

async fn run(settings: CircuitSettings, steps: Vec<Step>) {
    let circuit = CircuitBreaker::builder(NAME).settings(settings).jitter_seed(5).build().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&heard);
    drop(circuit.on_state_change(move |told| {
        to.lock().push((told.from, told.to, told.reason, told.at.as_nanos()));
    }));
    let mut reference = Reference::new(settings);
    let mut tickets: Vec<(Ticket, u32)> = Vec::new();
    for step in steps {
        if let Step::Advance(time) = step {
            tokio::time::advance(time).await;
            continue;
        }
        let now = clock::now();
        let nanos_now = now.as_nanos();
        // The reference does not know the seed, only what it may lead to.
        let end = |reference: &Reference, at: u64| {
            let (shortest, longest) = (nanos(reference.settings.open_time()), reference.longest_open_time());
            let open_time = nanos(
                circuit.live.open_time(
                    reference.streak,
                    fastrand::Rng::with_seed(
                        circuit.seed.load(std::sync::atomic::Ordering::Relaxed)
                            ^ u64::from(reference.generation),
                    )
                    .u64(..),
                ),
            );
            assert!(open_time >= shortest.max(longest - longest / 10) && open_time <= longest);
            at + open_time
        };
        reference.lapse(nanos_now, &end);
        match step {
            Step::Admit => {
                let (ticket, expected) = (circuit.admit(now).ok(), reference.admit(nanos_now));
                assert_eq!(ticket.map(|ticket| ticket.generation), expected);
                tickets.extend(ticket.zip(expected));
            }
            Step::Settle(which, outcome, took) if !tickets.is_empty() => {
                let (ticket, generation) = tickets.swap_remove(which % tickets.len());
                circuit.settle(ticket, outcome, took.map(Sample::of), || now, None);
                reference.settle(generation, outcome, took, nanos_now, &end);
            }
            Step::Record(outcome) => {
                circuit.record(outcome, now);
                reference.record(outcome, nanos_now, &end);
            }
            Step::ByHand(state) => {
                match state {
                    CircuitState::Disabled => circuit.disable(),
                    CircuitState::ForcedOpen => circuit.force_open(),
                    CircuitState::MetricsOnly => circuit.metrics_only(),
                    _ => circuit.close(),
                }
                reference.by_hand(state, nanos_now, &end);
            }
            Step::Configure(settings) => {
                circuit.configure(settings).unwrap();
                reference.configure(settings, nanos_now, &end);
            }
            // A peek commits nothing: the changes are compared after the next step.
            Step::Peek => {
                let refused = circuit.peek(now).is_err();
                assert_eq!(refused, !reference.would_admit());
                reference.totals.refused += u64::from(refused);
                continue;
            }
            Step::Advance(_) | Step::Settle(..) => continue,
        }
        check(&circuit, &reference, &heard);
    }
}

fn run_paused(settings: CircuitSettings, steps: Vec<Step>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(settings, steps));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_circuit_behaves_as_the_reference(settings in settings(), steps in vec(step(), 0..150)) {
        run_paused(settings, steps);
    }
}
