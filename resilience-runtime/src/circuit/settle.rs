//! What becomes of results.

use std::{
    fmt::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{CircuitBreaker, FailureReport, WindowTotals, transition::verdict, word::Word};
use crate::{
    clock::Instant,
    events::{CircuitState, TransitionReason},
    stats::Sample,
    sync::stripe::{self, Stripe},
    window::{Kind, Sums},
};

/// What became of a call that a circuit let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Cancelled,
    Failure,
    Ignored,
    Panicked,
    Success,
    TimedOut,
}

impl Outcome {
    /// Whether the outcome says nothing about the dependency.
    const fn is_neutral(self) -> bool {
        matches!(self, Self::Cancelled | Self::Ignored)
    }
}

/// The right to report one result to the state that let the call through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ticket {
    pub(super) generation: u32,
}

/// What a circuit counts. Where durations are kept, each duration that is not a [`TimedFailure`](Self::TimedFailure)
/// is a success, which needs no count of its own: for circuits that all threads share that is a locked instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    Succeeded,
    Failed,
    TimedOut,
    Panicked,
    Ignored,
    Cancelled,
    Refused,
    Late,
    Slow,
    TimedFailure,
}

pub(super) const COUNTS: usize = Count::TimedFailure as usize + 1;

/// A result on its way into the state.
#[derive(Clone, Copy)]
struct Report<'a> {
    outcome: Outcome,
    took: Option<Sample>,
    now: Instant,
    cause: Option<&'a dyn fmt::Display>,
    /// Probes that end with this result: none if it was recorded by hand.
    slots: u16,
}

/// What the state made of a result.
enum Absorbed {
    /// It was counted; perhaps it changed the state.
    Counted { changed: bool },
    /// The state that let the call through is over: its result says nothing about this one.
    Late,
    /// Nothing is counted in this state.
    Unwatched,
}

impl CircuitBreaker {
    /// Takes a call's result. `took` is its duration where that is known, `cause` the text of its error.
    #[inline]
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        outcome: Outcome,
        took: Option<Sample>,
        now: impl FnOnce() -> Instant,
        cause: Option<&dyn fmt::Display>,
    ) {
        if outcome != Outcome::Success || !self.succeed(ticket, took, stripe::current()) {
            self.settle_other(ticket, Report { outcome, took, now: now(), cause, slots: 1 });
        }
    }

    /// Takes a success, if it is what nearly all are in a healthy circuit: quick, of the closed state that let the call
    /// through, and of no consequence for a window full of its like. If it is anything else nothing is done and the
    /// answer is `false`.
    #[inline]
    pub(crate) fn succeed(&self, ticket: Ticket, took: Option<Sample>, stripe: Stripe) -> bool {
        let plain = self.is_quick_and_current(ticket, took)
            && self.window.is_clean(ticket.generation)
            && !self.failures.is_run();
        if plain {
            self.count_success(took, stripe);
        }
        plain
    }

    #[inline]
    fn is_quick_and_current(&self, ticket: Ticket, took: Option<Sample>) -> bool {
        Word::is_closed_in(self.state.bits(), ticket.generation)
            && !self.live.is_slow(took)
            && self.trip_policy.is_none()
    }

    #[inline(never)]
    fn settle_other(&self, ticket: Ticket, report: Report<'_>) {
        if report.outcome == Outcome::Success && self.is_quick_and_current(ticket, report.took) {
            self.write_success(ticket.generation, report);
        } else {
            self.settle_slow(ticket, report);
        }
    }

    /// Takes a quick success into a window that others than those are in.
    fn write_success(&self, generation: u32, Report { took, now, .. }: Report<'_>) {
        let Some(sums) = self.window.record(generation, Kind::default(), || now) else {
            self.stats.count(Count::Late as usize);
            return;
        };
        self.failures.success(generation);
        self.count_success(took, stripe::current());
        // A success can complete `min_calls`, or find a rate that a concurrent failure has raised.
        if (sums.failures != 0 || sums.slow != 0) && self.judge(generation, sums, 0, now, None) {
            self.tell();
        }
    }

    #[inline]
    fn count_success(&self, took: Option<Sample>, stripe: Stripe) {
        match took {
            Some(took) if self.keeps_durations => self.stats.keep_in(stripe, took),
            _ => self.stats.count_in(stripe, Count::Succeeded as usize),
        }
    }

    #[cold]
    fn settle_slow(&self, ticket: Ticket, report: Report<'_>) {
        let word = self.catch_up(report.now).word;
        let absorbed = if word.generation == ticket.generation {
            self.absorb(word.state, ticket.generation, report)
        } else {
            Absorbed::Late
        };
        match absorbed {
            Absorbed::Late if !report.outcome.is_neutral() => self.stats.count(Count::Late as usize),
            Absorbed::Late => self.account(report),
            absorbed => self.conclude(absorbed, report),
        }
    }

    /// Counts an outcome that no permit stands behind: in closed and half-open, never in open.
    pub(super) fn record(&self, outcome: Outcome, now: Instant) {
        let report = Report { outcome, took: None, now, cause: None, slots: 0 };
        loop {
            let word = self.catch_up(now).word;
            if matches!(word.state, CircuitState::Open | CircuitState::ForcedOpen) {
                return;
            }
            match self.absorb(word.state, word.generation, report) {
                // The state has just changed; this result is as good for the next one.
                Absorbed::Late => {}
                absorbed => return self.conclude(absorbed, report),
            }
        }
    }

    /// The numbers first, then the listeners: they find the circuit as it is after the result.
    fn conclude(&self, absorbed: Absorbed, report: Report<'_>) {
        if let Absorbed::Counted { changed } = absorbed {
            self.account(report);
            if changed {
                self.tell();
            }
        }
    }

    fn account(&self, Report { outcome, took, .. }: Report<'_>) {
        let count = match outcome {
            Outcome::Cancelled => Count::Cancelled,
            Outcome::Failure => Count::Failed,
            Outcome::Ignored => Count::Ignored,
            Outcome::Panicked => Count::Panicked,
            Outcome::Success => return self.account_success(took),
            Outcome::TimedOut => Count::TimedOut,
        };
        self.stats.count(count as usize);
        if outcome.is_neutral() {
            return;
        }
        if let Some(took) = took.filter(|_| self.keeps_durations) {
            self.stats.count(Count::TimedFailure as usize);
            self.stats.keep(took);
        }
        self.count_slow(took);
        if let Some(listeners) = self.listeners() {
            let took = took.map(Sample::duration);
            listeners.failed(|| FailureReport::new(self.label().clone(), outcome, took));
        }
    }

    fn account_success(&self, took: Option<Sample>) {
        self.count_success(took, stripe::current());
        self.count_slow(took);
    }

    fn count_slow(&self, took: Option<Sample>) {
        if self.live.is_slow(took) {
            self.stats.count(Count::Slow as usize);
        }
    }

    /// Lets the state of that generation take a result.
    fn absorb(&self, state: CircuitState, generation: u32, report: Report<'_>) -> Absorbed {
        match state {
            CircuitState::Disabled => Absorbed::Unwatched,
            CircuitState::Closed | CircuitState::MetricsOnly if report.outcome.is_neutral() => {
                Absorbed::Counted { changed: false }
            }
            CircuitState::Closed | CircuitState::MetricsOnly => self.count_in_window(generation, report),
            CircuitState::HalfOpen => self.count_probe(generation, report),
            // No call was let through in these, so no ticket is of their generation; by hand nothing counts either.
            CircuitState::Open | CircuitState::ForcedOpen => Absorbed::Late,
        }
    }

    fn count_in_window(&self, generation: u32, report: Report<'_>) -> Absorbed {
        let failure = report.outcome != Outcome::Success;
        let kind = Kind { failure, slow: self.live.is_slow(report.took) };
        let Some(sums) = self.window.record(generation, kind, || report.now) else {
            return Absorbed::Late;
        };
        let consecutive = if failure {
            self.failures.failure(generation, self.live.failure_reset(), report.now)
        } else {
            self.failures.success(generation);
            0
        };
        let changed = self.judge(generation, sums, consecutive, report.now, report.cause);
        Absorbed::Counted { changed }
    }

    /// Trips the circuit if the rules say so.
    #[inline(never)]
    fn judge(
        &self,
        generation: u32,
        sums: Sums,
        consecutive_failures: u32,
        now: Instant,
        cause: Option<&dyn fmt::Display>,
    ) -> bool {
        let view = self.state.read();
        if view.word.state != CircuitState::Closed || view.word.generation != generation {
            return false;
        }
        let reason = match &self.trip_policy {
            // A rule that panics says nothing: it must not keep the result from being counted.
            Some(policy) => catch_unwind(AssertUnwindSafe(|| {
                policy.should_trip(&WindowTotals {
                    calls: sums.calls,
                    failures: sums.failures,
                    slow: sums.slow,
                    consecutive_failures,
                })
            }))
            .unwrap_or_default(),
            None => self.live.should_trip(sums, consecutive_failures),
        };
        // ## Closed => Open
        reason.is_some_and(|reason| {
            let reason = TransitionReason::Tripped(reason);
            self.transition(view, CircuitState::Open, reason, now, render(cause))
        })
    }

    /// Counts a probe's result, or gives its slot back.
    fn count_probe(&self, generation: u32, report: Report<'_>) -> Absorbed {
        loop {
            let view = self.state.read();
            if view.word.generation != generation {
                return Absorbed::Late;
            }
            if report.outcome.is_neutral() {
                if self.state.exchange(view.word, view.word.given_back()) {
                    return Absorbed::Counted { changed: false };
                }
                continue;
            }
            let probed = view.word.probed(report.outcome == Outcome::Success, report.slots);
            match probed.verdict(self.live.probes()) {
                None if self.state.exchange(view.word, probed) => {
                    return Absorbed::Counted { changed: self.decide(report.now) };
                }
                Some(to) if self.transition(view, to, verdict(to), report.now, render(report.cause)) => {
                    return Absorbed::Counted { changed: true };
                }
                _ => {}
            }
        }
    }
}

/// The text of the user's error. Rendering it is the user's code: it runs under no lock, and if it panics the circuit
/// trips without it.
fn render(cause: Option<&dyn fmt::Display>) -> Option<String> {
    catch_unwind(AssertUnwindSafe(|| Excerpt::of(cause?))).unwrap_or_default()
}

/// How many bytes of an error's text are kept.
const KEPT: usize = 1024;

/// The beginning of a text. The rest is taken and forgotten: a write that failed could be a panic of the user's code.
#[derive(Default)]
struct Excerpt {
    text: String,
    cut: bool,
}

impl Excerpt {
    /// `None` if the text says itself that it cannot be written.
    fn of(text: &dyn fmt::Display) -> Option<String> {
        let mut excerpt = Self::default();
        write!(excerpt, "{text}").ok()?;
        Some(excerpt.text)
    }
}

impl Write for Excerpt {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.cut {
            return Ok(());
        }
        let mut end = piece.len().min(KEPT - self.text.len());
        while !piece.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&piece[..end]);
        if end < piece.len() {
            self.cut = true;
            self.text.push('…');
        }
        Ok(())
    }
}
