//! A circuit in the hands of its operators.

use super::{CircuitBreaker, Outcome};
use crate::{
    clock::{self, Instant},
    error::InvalidSettings,
    events::{CircuitState, TransitionReason},
    settings::CircuitSettings,
};

impl CircuitBreaker {
    /// Refuses all calls until [`close`](Self::close) or another of these is called.
    pub fn force_open(&self) {
        self.enter(CircuitState::ForcedOpen, clock::now());
    }

    /// Closes the circuit and empties its window.
    pub fn close(&self) {
        self.enter(CircuitState::Closed, clock::now());
    }

    /// Lets all calls through and counts none.
    pub fn disable(&self) {
        self.enter(CircuitState::Disabled, clock::now());
    }

    /// Lets all calls through and counts them, but never trips.
    pub fn metrics_only(&self) {
        self.enter(CircuitState::MetricsOnly, clock::now());
    }

    /// Closes the circuit, empties its window and starts its numbers at zero.
    pub fn reset(&self) {
        self.close();
        self.stats.reset();
        let mut record = self.record.lock();
        record.cause = None;
        record.last = None;
    }

    pub(super) fn enter(&self, state: CircuitState, now: Instant) {
        loop {
            let view = self.catch_up(now);
            if view.word.state == state && state != CircuitState::Closed {
                return;
            }
            if self.transition(view, state, TransitionReason::ByHand, now, None) {
                return self.tell();
            }
        }
    }

    /// Counts a success that no permit stands behind: in closed and half-open, never in open.
    pub fn record_success(&self) {
        self.record(Outcome::Success, clock::now());
    }

    /// Counts a failure that no permit stands behind: in closed and half-open, never in open.
    pub fn record_failure(&self) {
        self.record(Outcome::Failure, clock::now());
    }

    /// Changes the settings in place. The state stays, unless the probes' results so far decide under the new
    /// settings; an open time that has begun keeps its end. A window of another shape starts empty, and results of
    /// calls under way at that moment are not counted in it.
    ///
    /// The circuit of a dynamic name takes its settings along when the name is evicted; see
    /// [`Registry::max_dynamic_names`](crate::Registry::max_dynamic_names).
    ///
    /// # Errors
    ///
    /// If a value is out of its range or contradicts another; nothing is changed then.
    pub fn configure(&self, settings: CircuitSettings) -> Result<(), InvalidSettings> {
        match settings.problem() {
            Some(problem) => Err(problem),
            None => {
                self.apply(settings, clock::now());
                Ok(())
            }
        }
    }

    pub(super) fn apply(&self, settings: CircuitSettings, now: Instant) {
        self.catch_up(now);
        let mut record = self.record.lock();
        let reshaped = record.settings.window_shape() != settings.window_shape();
        record.settings = settings;
        self.live.apply(&settings);
        if reshaped {
            self.reshape(settings.window_shape());
        }
        drop(record);
        if self.decide(now) {
            self.tell();
        }
    }

    /// The settings in force. Change one and give them to [`configure`](Self::configure);
    /// [`rules`](CircuitSettings::rules) tells their values. A [`TripPolicy`](crate::TripPolicy) decides in place of the
    /// rates and the threshold.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use resilience_runtime::CircuitBreaker;
    ///
    /// let circuit = CircuitBreaker::builder("api").build()?;
    /// let open = circuit.settings().rules().open;
    /// assert_eq!(open, Duration::from_secs(30));
    ///
    /// circuit.configure(circuit.settings().open_ms(open.as_millis() as u64 * 2))?;
    /// assert_eq!(circuit.settings().rules().open, Duration::from_secs(60));
    /// # Ok::<(), resilience_runtime::InvalidSettings>(())
    /// ```
    pub fn settings(&self) -> CircuitSettings {
        self.record.lock().settings
    }
}
