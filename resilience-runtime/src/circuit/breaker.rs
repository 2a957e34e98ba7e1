//! The circuit breaker itself.

use std::{
    fmt,
    future::Future,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use once_cell::sync::OnceCell;

use super::{
    CircuitBreakerBuilder, CircuitRun, OwnedPermit, Permit, TripPolicy,
    failures::FailureRun,
    listeners::{FailureReport, Listeners},
    rules::Live,
    settle::COUNTS,
    state::State,
    transition::Record,
};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    events::{Bus, CircuitState, Subscription, Transition},
    name::Name,
    settings::CircuitSettings,
    stats::Stats,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    window::Window,
};

/// Refuses calls to a dependency that fails, and lets a few probes find out when it has recovered.
///
/// * *Closed*: calls run. The circuit trips when, with at least `min_calls` in the window, the failure rate or the
///   slow rate reaches its limit, or after `failure_threshold` failures in a row.
/// * *Open*: calls are refused until the open time has passed, to the nanosecond and without a call to notice it.
/// * *Half-open*: at most `probes` calls run in all, the surplus is refused. `probe_successes` of them close the
///   circuit; it opens again as soon as that many can no longer succeed, or if a probe is still under way at the end
///   of the time set for a verdict. A probe that is cancelled or ignored gives its slot back.
///
/// A result reported to a state other than the one that let its call through changes nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{CircuitBreaker, CircuitState};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), resilience_runtime::InvalidSettings> {
/// let circuit = CircuitBreaker::builder("api")
///     .failure_rate(0.5)
///     .window(20)
///     .min_calls(4)
///     .open(Duration::from_secs(10))
///     .build()?;
///
/// for _ in 0..4 {
///     let _ = circuit.run(async { Err::<(), _>("connection reset") }).await;
/// }
/// assert_eq!(circuit.state(), CircuitState::Open);
/// assert!(circuit.run(async { Ok::<_, &str>(()) }).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct CircuitBreaker {
    name: Name,
    pub(super) state: State,
    pub(super) live: Live,
    pub(super) window: Window,
    pub(super) failures: FailureRun,
    pub(super) stats: Stats<COUNTS>,
    pub(super) seed: AtomicU64,
    /// So every permit has to read the clock.
    pub(super) keeps_durations: bool,
    pub(super) trip_policy: Option<Box<dyn TripPolicy>>,
    pub(super) record: Mutex<Record>,
    /// Most circuits have none.
    listeners: OnceCell<Arc<Listeners>>,
    pub(super) bus: OnceCell<Bus>,
}

impl CircuitBreaker {
    /// A circuit of this name with the default settings; see [`CircuitSettings::new`].
    pub fn builder(name: impl Into<Name>) -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new(name.into())
    }

    pub(super) fn new(
        name: Name,
        settings: CircuitSettings,
        stats: Stats<COUNTS>,
        keeps_durations: bool,
        seed: u64,
        trip_policy: Option<Box<dyn TripPolicy>>,
    ) -> Self {
        let seed = seed ^ fold(&name);
        let window = Window::new(settings.window_shape());
        if stats.is_striped() {
            window.make_slots();
        }
        Self {
            name,
            state: State::new(),
            live: Live::new(&settings),
            window,
            failures: FailureRun::new(),
            stats,
            seed: AtomicU64::new(seed),
            keeps_durations,
            trip_policy,
            record: Mutex::new(Record::new(settings)),
            listeners: OnceCell::new(),
            bus: OnceCell::new(),
        }
    }

    /// The circuit of an annotated function, whose settings were checked when they were declared.
    pub(crate) fn declared(name: Name, settings: CircuitSettings, seed: u64) -> Self {
        Self::new(name, settings, Stats::striped(), true, seed, None)
    }

    /// The circuit of a dynamic name: the same in little memory.
    pub(crate) fn compact(name: Name, settings: CircuitSettings, seed: u64) -> Self {
        Self::new(name, settings, Stats::compact(), true, seed, None)
    }

    /// Tells events to a registry from now on. Only the first one counts.
    pub(crate) fn attach(&self, bus: Bus) {
        let _ = self.bus.set(bus);
    }

    /// Draws jitter from another seed.
    pub(crate) fn reseed(&self, seed: u64) {
        self.seed.store(seed ^ fold(&self.name), Ordering::Relaxed);
    }

    pub(crate) const fn label(&self) -> &Name {
        &self.name
    }

    /// The circuit's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state at this moment. What time alone brings about is seen without a call.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.state_at(clock::now())
    }

    pub(crate) fn state_at(&self, now: Instant) -> CircuitState {
        self.view(now).word.state
    }

    /// Whether the state is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state() == CircuitState::Closed
    }

    /// Whether the state is open or forced open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state(), CircuitState::Open | CircuitState::ForcedOpen)
    }

    /// Whether the state is half-open.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        self.state() == CircuitState::HalfOpen
    }

    /// Lets one call through, to be reported through the [`Permit`]; dropping it reports a cancellation.
    ///
    /// # Errors
    ///
    /// [`ResilienceError::CircuitOpen`] while the circuit is open, forced open, or half-open with all probes out.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::CircuitBreaker;
    ///
    /// let circuit = CircuitBreaker::builder("disk").build()?;
    /// let permit = circuit.try_acquire().expect("a new circuit is closed");
    /// match std::fs::metadata(".") {
    ///     Ok(_) => permit.success(),
    ///     Err(_) => permit.failure(),
    /// }
    /// assert_eq!(circuit.snapshot().succeeded, 1);
    /// # Ok::<(), resilience_runtime::InvalidSettings>(())
    /// ```
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, ResilienceError> {
        Permit::acquire(self)
    }

    /// The same with a permit that keeps the circuit alive and can be sent anywhere.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::Arc, thread};
    ///
    /// use resilience_runtime::CircuitBreaker;
    ///
    /// let circuit = Arc::new(CircuitBreaker::builder("disk").build()?);
    /// let permit = circuit.try_acquire_owned()?;
    /// thread::spawn(move || permit.failure()).join().expect("it reports and ends");
    /// assert_eq!(circuit.snapshot().failed, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedPermit, ResilienceError> {
        OwnedPermit::acquire(Arc::clone(self))
    }

    /// Runs a future if the circuit lets it through, which is asked at the first poll.
    ///
    /// **Every** error counts as a failure unless [`CircuitRun::classify`] says otherwise: also the refusal of another
    /// primitive inside, which says nothing about the dependency. Where something is nested in it, or the error knows
    /// what it means, add `.classify(Classify::classify)`, or `.classify(CallError::class)` for errors that are not
    /// [`Classify`](crate::Classify).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives its permit back and counts nothing but the cancellation. A panic of the inner
    /// future counts as a failure and goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::{Bulkhead, CircuitBreaker, Classify};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let circuit = CircuitBreaker::builder("db").failure_threshold(1).build()?;
    /// let bulkhead = Bulkhead::new("db", 1)?;
    /// let permit = bulkhead.try_acquire()?;
    ///
    /// let query = async { Ok::<_, std::io::Error>(3) };
    /// let answer = circuit.run(bulkhead.run(query)).classify(Classify::classify).await;
    /// assert!(answer.is_err() && circuit.is_closed());
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn run<Fut: Future>(&self, future: Fut) -> CircuitRun<'_, Fut> {
        CircuitRun::new(self, future)
    }

    pub(super) fn listeners(&self) -> Option<&Listeners> {
        self.listeners.get().map(|listeners| &**listeners)
    }

    /// Whether a permit has to know how long its call takes.
    #[inline]
    pub(super) fn reads_the_clock(&self) -> bool {
        self.keeps_durations || self.live.watches_slow_calls()
    }

    /// Calls the listener at every change of the state, after the circuit has released everything: the listener may
    /// call the circuit back. A listener that panics is passed over.
    ///
    /// Changes are told once each, in their order and one after the other: as a rule by the call that brought the
    /// change about; by a call that is still telling an earlier one, if there is such a call, in another thread or in
    /// a listener that changed the state itself.
    pub fn on_state_change(&self, listener: impl Fn(&Transition) + Send + Sync + 'static) -> Subscription {
        Listeners::on_change(self.listeners.get_or_init(Arc::default), listener)
    }

    /// Calls the listener at every counted failure, timeouts and panics included, from the call that failed, after the
    /// circuit has released everything.
    pub fn on_failure(&self, listener: impl Fn(&FailureReport) + Send + Sync + 'static) -> Subscription {
        Listeners::on_failure(self.listeners.get_or_init(Arc::default), listener)
    }
}

/// A circuit's share of its registry's seed: circuits of one registry must not draw alike.
fn fold(name: &str) -> u64 {
    // FNV-1a (Fowler, Noll, Vo): the same in every process, which a seeded test relies on.
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

// No user code runs while its state is half changed, and a rule or a listener that panics is passed over.
impl UnwindSafe for CircuitBreaker {}

impl RefUnwindSafe for CircuitBreaker {}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the function's authors.
    #[test]
    fn a_circuits_share_of_a_seed_is_the_fnv_1a_hash_of_its_name() {
        let hashes = [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8];
        assert_eq!(["", "a", "foobar"].map(fold), hashes);
    }
}
