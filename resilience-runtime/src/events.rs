//! What happened, told to whoever listens.
//!
//! A call never waits for a listener: without subscribers an event costs one load, with them a copy into a bounded
//! ring, and a subscriber that falls behind loses the oldest events and is told how many.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use once_cell::sync::OnceCell;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    clock::Instant,
    error::{Counted, ErrorKind},
    name::Name,
    settings::Location,
};

/// The states of a circuit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls run and are counted.
    Closed,
    /// Calls run; nothing is counted.
    Disabled,
    /// Calls are refused until someone says otherwise.
    ForcedOpen,
    /// A few probes run, everything else is refused.
    HalfOpen,
    /// Calls run and are counted; the circuit never trips.
    MetricsOnly,
    /// Calls are refused until the open time has passed.
    Open,
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::Disabled => "disabled",
            Self::ForcedOpen => "forced open",
            Self::HalfOpen => "half-open",
            Self::MetricsOnly => "metrics only",
            Self::Open => "open",
        })
    }
}

/// Why a circuit opened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TripReason {
    /// That many calls in a row failed.
    ConsecutiveFailures {
        /// Failures without a success between them.
        count: u32,
    },
    /// A rule of the user's own said so.
    Custom(&'static str),
    /// The share of failures in the window reached the limit.
    FailureRate {
        /// Failures divided by calls.
        rate: f64,
        /// Calls in the window.
        calls: u32,
    },
    /// So many probes failed that the circuit could not close any more.
    ProbeFailed,
    /// The probes gave no verdict in time.
    ProbeTimedOut,
    /// The share of slow calls in the window reached the limit.
    SlowCallRate {
        /// Slow calls divided by calls.
        rate: f64,
        /// Calls in the window.
        calls: u32,
    },
}

impl fmt::Display for TripReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { count: 1 } => f.write_str("1 failure"),
            Self::ConsecutiveFailures { count } => write!(f, "{count} failures in a row"),
            Self::Custom(reason) => f.write_str(reason),
            Self::FailureRate { rate, calls } => {
                write!(f, "failure rate {:.0} % over {}", rate * 100.0, Counted(*calls, "call"))
            }
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeTimedOut => f.write_str("the probes gave no verdict in time"),
            Self::SlowCallRate { rate, calls } => {
                write!(f, "slow call rate {:.0} % over {}", rate * 100.0, Counted(*calls, "call"))
            }
        }
    }
}

/// Why a circuit changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TransitionReason {
    /// Someone called `force_open`, `close`, `disable`, `metrics_only`, `reset` or `configure`.
    ByHand,
    /// The open time has passed.
    OpenTimeElapsed,
    /// Enough probes succeeded.
    Recovered,
    /// The circuit tripped.
    Tripped(TripReason),
}

impl fmt::Display for TransitionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByHand => f.write_str("by hand"),
            Self::OpenTimeElapsed => f.write_str("the open time has passed"),
            Self::Recovered => f.write_str("the probes succeeded"),
            Self::Tripped(reason) => reason.fmt(f),
        }
    }
}

/// One change of a circuit's state. Exactly one is told for each change, under any race.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// Which circuit.
    pub circuit: Name,
    /// The state it left.
    pub from: CircuitState,
    /// The state it entered.
    pub to: CircuitState,
    /// Why.
    pub reason: TransitionReason,
    /// When the change was due. A change that time alone brings about is committed by the first call after it.
    pub at: Instant,
}

/// Two attributes give one name different settings. The one that stands first, by crate, file and line, is used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Conflict {
    /// `circuit`, `bulkhead`, `rate_limit`, `retry` or `workers`.
    pub kind: &'static str,
    /// The name both give.
    pub name: Name,
    /// The key they disagree on.
    pub key: &'static str,
    /// The value in force.
    pub used: String,
    /// Where it is given.
    pub used_at: Location,
    /// The value that is ignored.
    pub ignored: String,
    /// Where that one is given.
    pub ignored_at: Location,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, key, used, used_at, ignored, ignored_at } = self;
        write!(f, "{kind} `{name}`: `{key}` is {used} ({used_at}), not {ignored} ({ignored_at})")
    }
}

/// Something that happened in a registry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A retry was given up because the budget has no tokens left.
    BudgetExhausted {
        /// The site that wanted to retry.
        site: Name,
    },
    /// Two attributes contradict each other. Told to each subscriber first, since it was so from the start.
    Conflict(Conflict),
    /// A fallback answered.
    FellBack {
        /// The site it belongs to.
        site: Name,
    },
    /// So many dynamic names are in use that further ones of this site share one entry, named by the template.
    NamesAtCapacity {
        /// The site.
        site: Name,
    },
    /// A call was refused or timed out.
    Refused {
        /// The site. Primitives used alone tell no refusals: whoever asks them has the answer.
        site: Name,
        /// What refused.
        kind: ErrorKind,
    },
    /// Another attempt will be made.
    Retrying {
        /// The site.
        site: Name,
        /// The attempt to come; the first retry is attempt 2.
        attempt: u32,
        /// Time until then.
        delay: Duration,
    },
    /// A circuit changed its state.
    Transition(Transition),
}

/// How many events a subscriber may fall behind before it loses the oldest.
const CAPACITY: usize = 1_024;

/// Where the events of one registry go. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Bus(Arc<OnceCell<broadcast::Sender<Event>>>);

impl Bus {
    /// Sends an event, which is built only if somebody listens.
    #[inline]
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(sender) = self.0.get() {
            send(sender, event);
        }
    }

    /// A receiver of what happens from now on, after what it should know from before.
    pub(crate) fn subscribe(&self, known: impl Iterator<Item = Event>) -> EventReceiver {
        let sender = self.0.get_or_init(|| broadcast::Sender::new(CAPACITY));
        EventReceiver { known: known.collect(), receiver: sender.subscribe(), lost: 0 }
    }
}

#[cold]
fn send(sender: &broadcast::Sender<Event>, event: impl FnOnce() -> Event) {
    if sender.receiver_count() > 0 {
        // The last receiver may have gone since; then nobody wanted the event.
        let _ = sender.send(event());
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bus")
    }
}

/// Receives the events of a registry from the moment of subscription on.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{CircuitState, Event, Registry, CircuitBreaker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let mut events = registry.subscribe();
/// let circuit = registry.register_circuit(CircuitBreaker::builder("stock").build()?)?;
/// circuit.force_open();
/// match events.recv().await {
///     Some(Event::Transition(change)) => assert_eq!(change.to, CircuitState::ForcedOpen),
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping the receiver unsubscribes"]
pub struct EventReceiver {
    known: VecDeque<Event>,
    receiver: broadcast::Receiver<Event>,
    lost: u64,
}

impl EventReceiver {
    /// The next event; `None` once the registry is gone, and each thread that called a dynamic name of it last has called
    /// another.
    ///
    /// # Cancel safety
    ///
    /// A dropped `recv` loses no event.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(event) = self.known.pop_front() {
            return Some(event);
        }
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(lost)) => self.lost += lost,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if one is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        if let Some(event) = self.known.pop_front() {
            return Some(event);
        }
        loop {
            match self.receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(lost)) => self.lost += lost,
                Err(_) => return None,
            }
        }
    }

    /// Events that were overwritten before this receiver came to read them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// A listener's place. Dropping it detaches the listener, which goes on listening; [`cancel`](Self::cancel)
/// removes it.
#[must_use = "call `cancel` to remove the listener, or drop it to leave the listener in place"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    pub(crate) fn new(cancel: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(cancel)))
    }

    /// Removes the listener. A call of it that is under way at this moment still runs to its end.
    pub fn cancel(mut self) {
        if let Some(cancel) = self.0.take() {
            cancel();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(site: usize) -> Event {
        Event::FellBack { site: site.to_string().into() }
    }

    #[test]
    fn reasons_agree_with_their_numbers() {
        for (reason, text) in [
            (TripReason::ConsecutiveFailures { count: 1 }, "1 failure"),
            (TripReason::ConsecutiveFailures { count: 2 }, "2 failures in a row"),
            (TripReason::FailureRate { rate: 1.0, calls: 1 }, "failure rate 100 % over 1 call"),
            (TripReason::FailureRate { rate: 0.62, calls: 50 }, "failure rate 62 % over 50 calls"),
            (TripReason::SlowCallRate { rate: 1.0, calls: 1 }, "slow call rate 100 % over 1 call"),
            (TripReason::SlowCallRate { rate: 0.3, calls: 10 }, "slow call rate 30 % over 10 calls"),
        ] {
            assert_eq!(reason.to_string(), text);
        }
    }

    #[test]
    fn without_a_subscriber_no_event_is_built() {
        let bus = Bus::default();
        bus.emit(|| unreachable!());
        drop(bus.subscribe(std::iter::empty()));
        bus.emit(|| unreachable!());
    }

    #[test]
    fn a_subscriber_that_falls_behind_is_told_how_much_it_lost() {
        let bus = Bus::default();
        let mut events = bus.subscribe(std::iter::empty());
        (0..CAPACITY + 10).for_each(|site| bus.emit(|| event(site)));
        assert_eq!((events.try_recv(), events.lost()), (Some(event(10)), 10));
    }
}
