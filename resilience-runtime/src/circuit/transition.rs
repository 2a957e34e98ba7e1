//! How a circuit changes its state, and how that is told.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{CircuitBreaker, state::View, word::Word};
use crate::{
    clock::Instant,
    events::{CircuitState, Event, Transition, TransitionReason, TripReason},
    settings::{CircuitSettings, WindowShape},
    sync::atomic::{Ordering, fence},
};

/// What only transitions and settings touch, under a lock.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) settings: CircuitSettings,
    pub(super) last: Option<Transition>,
    /// The text of the error that tripped the circuit.
    pub(super) cause: Option<String>,
    /// Transitions that were not told yet, in their order.
    news: VecDeque<Transition>,
    /// Somebody is telling them.
    telling: bool,
}

impl Record {
    pub(super) const fn new(settings: CircuitSettings) -> Self {
        Self { settings, last: None, cause: None, news: VecDeque::new(), telling: false }
    }
}

impl CircuitBreaker {
    /// Moves the circuit to another state; `false` if it is no longer as expected. Whoever moved it calls
    /// [`tell`](Self::tell) once it has done its own accounts.
    pub(super) fn transition(
        &self,
        from: View,
        to: CircuitState,
        reason: TransitionReason,
        at: Instant,
        cause: Option<String>,
    ) -> bool {
        let mut record = self.record.lock();
        // Also `due`: a probe given back and another one let through may leave the same word with a later end.
        if self.state.read() != from {
            return false;
        }
        let next = self.next(from, to, at);
        if matches!(to, CircuitState::Closed | CircuitState::MetricsOnly) {
            self.window.clear(next.word.generation);
        }
        if !self.state.enter(from.word, next) {
            return false;
        }
        if from.word.state != to {
            let transition =
                Transition { circuit: self.label().clone(), from: from.word.state, to, reason, at };
            record.last = Some(transition.clone());
            record.news.push_back(transition);
        }
        if to == CircuitState::Open {
            record.cause = cause;
        }
        true
    }

    /// Ends a half-open period that is decided under the settings in force; they may have changed since its last
    /// result.
    pub(super) fn decide(&self, now: Instant) -> bool {
        // Whoever changes the settings stores them and looks for results, whoever brings a result stores it and looks
        // at the settings: between the two steps of both stands a fence, so one of them sees the other.
        fence(Ordering::SeqCst);
        loop {
            let view = self.state.read();
            let Some(to) = view.word.verdict(self.live.probes()) else {
                return false;
            };
            if self.transition(view, to, verdict(to), now, None) {
                return true;
            }
        }
    }

    /// Gives the window another shape, under the lock. A new generation keeps apart what was let through before;
    /// where nothing is counted in the window none is needed, and probes under way go on.
    pub(super) fn reshape(&self, shape: WindowShape) {
        loop {
            let View { word, due, streak } = self.state.read();
            let counts = matches!(word.state, CircuitState::Closed | CircuitState::MetricsOnly);
            let generation = word.generation.wrapping_add(u32::from(counts));
            let word_after = Word::entered(word.state, generation);
            self.window.reshape(shape, word_after.generation);
            if !counts || self.state.enter(word, View { word: word_after, due, streak }) {
                return;
            }
        }
    }

    /// Tells of transitions, one after the other in their order, whoever made them. Somebody who is telling already,
    /// in another thread or further up in this one, tells these as well: listeners run once at a time.
    pub(super) fn tell(&self) {
        let mut record = self.record.lock();
        if record.telling {
            return;
        }
        record.telling = true;
        while let Some(transition) = record.news.pop_front() {
            drop(record);
            // The circuit must be able to tell the next transition whatever a listener or a waker does.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                if let Some(bus) = self.bus.get() {
                    bus.emit(|| Event::Transition(transition.clone()));
                }
                if let Some(listeners) = self.listeners() {
                    listeners.changed(&transition);
                }
            }));
            record = self.record.lock();
        }
        record.telling = false;
    }
}

/// Why probes changed the state.
pub(super) const fn verdict(to: CircuitState) -> TransitionReason {
    match to {
        CircuitState::Closed => TransitionReason::Recovered,
        _ => TransitionReason::Tripped(TripReason::ProbeFailed),
    }
}
