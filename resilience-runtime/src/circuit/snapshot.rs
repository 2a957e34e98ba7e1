//! A circuit at one moment.

use std::{fmt, time::Duration};

use super::{CircuitBreaker, rules::share, settle::Count, shell::wait};
use crate::{
    clock::{self, Instant},
    error::Seconds,
    events::{CircuitState, TransitionReason},
    name::Name,
    stats::Latency,
};

/// A circuit at one moment. The numbers are read one after another, so they may be off by the calls that end
/// meanwhile.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// The circuit's name.
    pub name: Name,
    /// Its state.
    pub state: CircuitState,
    /// Whether the registry is unhealthy while it is open.
    pub critical: bool,
    /// Calls in the window. While the circuit is open or half-open it holds what it held when the circuit tripped.
    pub window_calls: u32,
    /// Failures in the window.
    pub window_failures: u32,
    /// Slow calls in the window.
    pub window_slow: u32,
    /// Failures divided by calls in the window; `None` below `min_calls`.
    pub failure_rate: Option<f64>,
    /// Slow calls divided by calls in the window; `None` below `min_calls`.
    pub slow_call_rate: Option<f64>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Time until the next probe may run, while open.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "next_probe_in_ms", serialize_with = "crate::clock::serialize_optional_millis")
    )]
    pub next_probe_in: Option<Duration>,
    /// Probes under way or decided, while half-open.
    pub probes_admitted: u16,
    /// The last change of the state. One that time alone has brought about shows here at its due time, before any call
    /// commits it.
    pub last_transition: Option<LastTransition>,
    /// The text of the error that tripped it last, where it had one. Of a text over 1 KiB the first 1,024 bytes are kept,
    /// to the end of a whole character, and `…` behind them.
    pub last_cause: Option<String>,
    /// Calls that succeeded since the start or the last reset.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that ran out of time.
    pub timed_out: u64,
    /// Calls that panicked.
    pub panicked: u64,
    /// Calls whose error said nothing about the dependency.
    pub ignored: u64,
    /// Calls whose future or permit was dropped.
    pub cancelled: u64,
    /// Calls refused.
    pub refused: u64,
    /// Results of calls that an earlier state let through.
    pub late_results: u64,
    /// Calls that were slow; each is counted by how it ended, too.
    pub slow: u64,
    /// Durations of the calls, where they are kept.
    pub latency: Option<Latency>,
}

/// The last change of a circuit's state.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LastTransition {
    /// The state it left.
    pub from: CircuitState,
    /// The state it entered.
    pub to: CircuitState,
    /// Why.
    pub reason: TransitionReason,
    /// How long ago.
    #[cfg_attr(feature = "serde", serde(rename = "ago_ms", serialize_with = "clock::serialize_millis"))]
    pub ago: Duration,
}

/// One outcome in a circuit's window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LoggedOutcome {
    /// The call failed, ran out of time or panicked.
    pub failure: bool,
    /// It was slow.
    pub slow: bool,
}

impl CircuitBreaker {
    /// The circuit as it is now.
    #[must_use]
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.snapshot_at(clock::now())
    }

    pub(crate) fn snapshot_at(&self, now: Instant) -> CircuitSnapshot {
        // Under the lock the record is that of the committed state, to which time has added the rest.
        let record = self.record.lock();
        let (settings, mut cause) = (record.settings, record.cause.clone());
        let mut last = record.last.as_ref().map(|last| LastTransition {
            from: last.from,
            to: last.to,
            reason: last.reason,
            ago: now.saturating_since(last.at),
        });
        let view = self.view_through(now, |from, to, reason| {
            last = Some(LastTransition {
                from: from.word.state,
                to,
                reason,
                ago: now.saturating_since(from.due),
            });
            if to == CircuitState::Open {
                cause = None;
            }
        });
        drop(record);
        let sums = self.window.sums(now);
        let counts = self.stats.counts();
        let latency = self.stats.latency();
        let count = |which: Count| counts[which as usize];
        let timed = latency.map_or(0, |latency| latency.count);
        let rate = |part: u32| self.live.judges(sums.calls).then(|| share(part, sums.calls));
        CircuitSnapshot {
            name: self.label().clone(),
            state: view.word.state,
            critical: settings.critical,
            window_calls: sums.calls,
            window_failures: sums.failures,
            window_slow: sums.slow,
            failure_rate: rate(sums.failures),
            slow_call_rate: rate(sums.slow),
            consecutive_failures: self.failures.len(view.word.generation, self.live.failure_reset(), now),
            next_probe_in: wait(view, now).map(Duration::from_nanos),
            probes_admitted: view.word.admitted(),
            last_transition: last,
            last_cause: cause,
            succeeded: count(Count::Succeeded) + timed.saturating_sub(count(Count::TimedFailure)),
            failed: count(Count::Failed),
            timed_out: count(Count::TimedOut),
            panicked: count(Count::Panicked),
            ignored: count(Count::Ignored),
            cancelled: count(Count::Cancelled),
            refused: count(Count::Refused),
            late_results: count(Count::Late),
            slow: count(Count::Slow),
            latency,
        }
    }

    /// The outcomes in a count window, oldest first; empty for a time window, which keeps only their number. While the
    /// circuit is open they are those that tripped it.
    #[must_use]
    pub fn execution_log(&self) -> Vec<LoggedOutcome> {
        self.window
            .log()
            .into_iter()
            .map(|kind| LoggedOutcome { failure: kind.failure, slow: kind.slow })
            .collect()
    }
}

/// "circuit `api` is open: failure rate 62 % over 50 calls, next probe in 18.2 s"
impl fmt::Display for CircuitSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "circuit `{}` is {}", self.name, self.state)?;
        if let Some(last) = self.last_transition.as_ref().filter(|last| last.to == self.state) {
            write!(f, ": {}", last.reason)?;
        }
        if let Some(wait) = self.next_probe_in {
            write!(f, ", next probe in {}", Seconds(wait))?;
        }
        match &self.last_cause {
            Some(cause) if self.state == CircuitState::Open => {
                write!(f, " (last error: {})", cause.escape_debug())
            }
            _ => Ok(()),
        }
    }
}
