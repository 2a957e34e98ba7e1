//! Any history of a circuit: it does what the few lines of [`Model`] do, which know one thread and one call at a time.

#![no_main]

use std::{collections::VecDeque, time::Duration};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use resilience_runtime::{CircuitBreaker, CircuitState, Permit};

#[derive(Arbitrary, Debug)]
struct History {
    window: u8,
    min_calls: u8,
    quarters: u8,
    threshold: u8,
    open_ms: u8,
    probes: u8,
    needed: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Acquire,
    Advance(u8),
    Cancel(u8),
    Close,
    Fail(u8),
    ForceOpen,
    Ignore(u8),
    Succeed(u8),
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    window: usize,
    min_calls: usize,
    /// The failure rate.
    quarters: usize,
    threshold: usize,
    open: Duration,
    probes: usize,
    needed: usize,
}

#[derive(Debug)]
struct Model {
    rules: Rules,
    now: Duration,
    state: CircuitState,
    /// How many states there were: results of an earlier one count for nothing.
    generation: usize,
    open_until: Duration,
    outcomes: VecDeque<bool>,
    run: usize,
    running: usize,
    succeeded: usize,
    failed: usize,
    late: u64,
    refused: u64,
}

impl Model {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            now: Duration::ZERO,
            state: CircuitState::Closed,
            generation: 0,
            open_until: Duration::ZERO,
            outcomes: VecDeque::new(),
            run: 0,
            running: 0,
            succeeded: 0,
            failed: 0,
            late: 0,
            refused: 0,
        }
    }

    fn enter(&mut self, state: CircuitState) {
        self.state = state;
        self.generation += 1;
        (self.run, self.running, self.succeeded, self.failed) = (0, 0, 0, 0);
        if state == CircuitState::Closed {
            self.outcomes.clear();
        }
        if state == CircuitState::Open {
            self.open_until = self.now + self.rules.open;
        }
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        if self.state == CircuitState::Open && self.now >= self.open_until {
            self.enter(CircuitState::HalfOpen);
        }
    }

    fn acquire(&mut self) -> bool {
        let admitted = match self.state {
            CircuitState::Closed => true,
            CircuitState::HalfOpen => self.running + self.succeeded + self.failed < self.rules.probes,
            _ => false,
        };
        if !admitted {
            self.refused += 1;
        } else if self.state == CircuitState::HalfOpen {
            self.running += 1;
        }
        admitted
    }

    /// A result, or `None` from a call that says nothing.
    fn report(&mut self, generation: usize, success: Option<bool>) {
        if generation != self.generation {
            self.late += u64::from(success.is_some());
            return;
        }
        match (self.state, success) {
            (CircuitState::Closed, Some(success)) => self.count(success),
            (CircuitState::HalfOpen, success) => {
                self.running -= 1;
                self.succeeded += usize::from(success == Some(true));
                self.failed += usize::from(success == Some(false));
                if self.succeeded >= self.rules.needed {
                    self.enter(CircuitState::Closed);
                } else if self.failed > self.rules.probes - self.rules.needed {
                    self.enter(CircuitState::Open);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, success: bool) {
        self.outcomes.push_back(success);
        if self.outcomes.len() > self.rules.window {
            self.outcomes.pop_front();
        }
        self.run = if success { 0 } else { self.run + 1 };
        let (calls, failures) = (self.outcomes.len(), self.failures());
        let by_rate =
            failures > 0 && calls >= self.rules.min_calls && failures * 4 >= self.rules.quarters * calls;
        if by_rate || self.run >= self.rules.threshold {
            self.enter(CircuitState::Open);
        }
    }

    fn failures(&self) -> usize {
        self.outcomes.iter().filter(|&&success| !success).count()
    }

    fn compare(&self, circuit: &CircuitBreaker) {
        let snapshot = circuit.snapshot();
        let ours = (
            snapshot.state,
            snapshot.window_calls as usize,
            snapshot.window_failures as usize,
            snapshot.consecutive_failures as usize,
            usize::from(snapshot.probes_admitted),
            snapshot.late_results,
            snapshot.refused,
        );
        let model = (
            self.state,
            self.outcomes.len(),
            self.failures(),
            self.run,
            self.running + self.succeeded + self.failed,
            self.late,
            self.refused,
        );
        assert_eq!(ours, model);
    }
}

async fn run(history: History) {
    let window = usize::from(history.window % 20) + 1;
    let probes = usize::from(history.probes % 5) + 1;
    let rules = Rules {
        window,
        min_calls: usize::from(history.min_calls) % window + 1,
        quarters: usize::from(history.quarters % 4) + 1,
        threshold: usize::from(history.threshold % 8) + 1,
        open: Duration::from_millis(u64::from(history.open_ms) + 1),
        probes,
        needed: usize::from(history.needed) % probes + 1,
    };
    let circuit = CircuitBreaker::builder("fuzzed")
        .window(rules.window)
        .min_calls(rules.min_calls)
        .failure_rate(rules.quarters as f64 / 4.0)
        .failure_threshold(rules.threshold as u32)
        .open(rules.open)
        .probes(rules.probes)
        .probe_successes(rules.needed)
        // Out of reach, since how long a probe may take is no part of the model.
        .half_open_max(Duration::from_secs(86_400))
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::new(rules);
    let mut permits: Vec<(Permit<'_>, usize)> = Vec::new();
    for step in history.steps {
        match step {
            Step::Acquire => {
                let (permit, admitted) = (circuit.try_acquire().ok(), model.acquire());
                assert_eq!(permit.is_some(), admitted);
                permits.extend(permit.map(|permit| (permit, model.generation)));
            }
            Step::Advance(millis) => {
                let time = Duration::from_millis(u64::from(millis));
                tokio::time::advance(time).await;
                model.advance(time);
            }
            Step::Close => {
                circuit.close();
                model.enter(CircuitState::Closed);
            }
            Step::ForceOpen => {
                circuit.force_open();
                if model.state != CircuitState::ForcedOpen {
                    model.enter(CircuitState::ForcedOpen);
                }
            }
            Step::Cancel(which) | Step::Fail(which) | Step::Ignore(which) | Step::Succeed(which) => {
                if permits.is_empty() {
                    continue;
                }
                let (permit, generation) = permits.swap_remove(usize::from(which) % permits.len());
                let success = match step {
                    Step::Fail(_) => {
                        permit.failure();
                        Some(false)
                    }
                    Step::Succeed(_) => {
                        permit.success();
                        Some(true)
                    }
                    Step::Ignore(_) => {
                        permit.ignore();
                        None
                    }
                    _ => {
                        drop(permit);
                        None
                    }
                };
                model.report(generation, success);
            }
        }
        model.compare(&circuit);
    }
}

fuzz_target!(|history: History| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}")).block_on(run(history));
});
