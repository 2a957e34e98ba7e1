//! Who is let through. [`State`](super::state) tells how the state is kept.
//!
//! What time alone brings about is visible to readers at once, and committed by the first call that needs it.

use std::time::Duration;

use super::{
    CircuitBreaker,
    settle::{Count, Ticket},
    state::View,
    word::Word,
};
use crate::{
    clock::Instant,
    error::ResilienceError,
    events::{CircuitState, TransitionReason, TripReason},
};

impl CircuitBreaker {
    /// Whether a call would be let through at this moment; counts a refusal, takes nothing.
    pub(crate) fn peek(&self, now: Instant) -> Result<(), Refused> {
        let view = self.view(now);
        if self.admits(view.word) { Ok(()) } else { Err(self.refuse(view, now)) }
    }

    /// Whether a call at `at` would be let through, as things stand.
    pub(crate) fn would_admit(&self, at: Instant) -> bool {
        self.admits(self.view(at).word)
    }

    fn admits(&self, word: Word) -> bool {
        match word.state {
            CircuitState::Open | CircuitState::ForcedOpen => false,
            CircuitState::HalfOpen => word.admitted() < self.live.probes().0,
            CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => true,
        }
    }

    /// Lets a call through a closed circuit. Apart from [`admit`](Self::admit), because a result that could be an error
    /// is written to memory and read back, which on this path costs more than everything else.
    #[inline]
    pub(crate) fn admit_closed(&self) -> Option<Ticket> {
        let bits = self.state.bits();
        Word::is_closed(bits).then(|| Ticket { generation: Word::generation_of(bits) })
    }

    /// Lets a call through, or counts its refusal.
    pub(crate) fn admit(&self, now: Instant) -> Result<Ticket, Refused> {
        loop {
            let view = self.catch_up(now);
            if !self.admits(view.word) {
                return Err(self.refuse(view, now));
            }
            if view.word.state != CircuitState::HalfOpen || self.admit_probe(view.word, now) {
                return Ok(Ticket { generation: view.word.generation });
            }
        }
    }

    /// Takes a slot of the half-open period; `false` if the word has changed meanwhile.
    fn admit_probe(&self, word: Word, now: Instant) -> bool {
        let probing = Word { running: word.running + 1, ..word };
        if word.running > 0 {
            return self.state.exchange(word, probing);
        }
        // The first probe under way starts the time in which there has to be a verdict.
        let record = self.record.lock();
        let admitted = self.state.arm(word, probing, now.saturating_add(self.live.verdict_time()));
        drop(record);
        admitted
    }

    fn refuse(&self, view: View, now: Instant) -> Refused {
        self.stats.count(Count::Refused as usize);
        Refused { wait: wait(view, now) }
    }

    /// The error of a refusal.
    #[inline]
    pub(crate) fn refusal(&self, refused: Refused) -> ResilienceError {
        let retry_after = refused.wait.map(Duration::from_nanos);
        ResilienceError::CircuitOpen { circuit: self.label().clone(), retry_after }
    }

    /// Commits what time alone has brought about, and returns the state after it.
    pub(super) fn catch_up(&self, now: Instant) -> View {
        loop {
            let view = self.state.read();
            let Some(state) = view.word.lapsed(view.due, now) else {
                return view;
            };
            if self.transition(view, state, lapse(state), view.due, None) {
                self.tell();
            }
        }
    }

    /// What a reader sees at `now`: the state after everything that time alone has brought about.
    pub(super) fn view(&self, now: Instant) -> View {
        self.view_through(now, |_, _, _| ())
    }

    /// As [`view`](Self::view); `lapsed` hears of every change on the way that nobody has committed yet, with the view
    /// that it ends at its due time, the state it leads to, and why.
    pub(super) fn view_through(
        &self,
        now: Instant,
        mut lapsed: impl FnMut(View, CircuitState, TransitionReason),
    ) -> View {
        let mut view = self.state.read();
        while let Some(state) = view.word.lapsed(view.due, now) {
            lapsed(view, state, lapse(state));
            view = self.next(view, state, view.due);
        }
        view
    }

    /// What a circuit is in once it has entered `state` at `at`; the same for whoever asks, so that readers and the
    /// call that commits agree on it.
    pub(super) fn next(&self, from: View, state: CircuitState, at: Instant) -> View {
        let word = Word::entered(state, from.word.generation.wrapping_add(1));
        let streak = match (from.word.state, state) {
            (CircuitState::HalfOpen, CircuitState::Open) => from.streak.saturating_add(1),
            (CircuitState::Open, CircuitState::HalfOpen) => from.streak,
            _ => 0,
        };
        let due = match state {
            CircuitState::Open => at.saturating_add(self.open_time(streak, word.generation)),
            _ => from.due,
        };
        View { word, due, streak }
    }

    fn open_time(&self, streak: u32, generation: u32) -> Duration {
        let seed = self.seed.load(crate::sync::atomic::Ordering::Relaxed);
        self.live.open_time(streak, fastrand::Rng::with_seed(seed ^ u64::from(generation)).u64(..))
    }
}

/// A refusal that was counted. The error is made of it where the caller wants it: errors are large, and to move one
/// right after it was written in parts costs a processor as much as all the rest of a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the caller wants an error"]
pub(crate) struct Refused {
    /// Nanoseconds until the next probe may run, if that is known.
    pub(crate) wait: Option<u64>,
}

/// Nanoseconds until the next probe may run, while the circuit is open.
pub(super) fn wait(view: View, now: Instant) -> Option<u64> {
    (view.word.state == CircuitState::Open).then(|| view.due.nanos_since(now))
}

/// Why time alone changed the state.
const fn lapse(to: CircuitState) -> TransitionReason {
    match to {
        CircuitState::HalfOpen => TransitionReason::OpenTimeElapsed,
        _ => TransitionReason::Tripped(TripReason::ProbeTimedOut),
    }
}
