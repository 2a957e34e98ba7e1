//! The rate limiter itself.

use std::{fmt, time::Duration};

use super::{
    builder::RateLimiterBuilder,
    future::{LimiterAcquire, LimiterRun},
    quota::Quota,
    snapshot::LimiterSnapshot,
    state::{Reservation, State},
};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    name::Name,
    settings::LimiterSettings,
    stats::Stats,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Lets so many calls through in a period, and so many at once after a quiet time.
///
/// It starts full. However many callers there are, in any period counted from a call on at most the limit plus the
/// burst get through; a call costs one reading of the clock and one compare-exchange. Callers that may wait each
/// reserve a moment of their own, so they neither race nor wake in a herd. The algorithm is GCRA (ITU-T I.371).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{Quota, RateLimiter};
///
/// let limiter = RateLimiter::new("mail", Quota::per_minute(60).burst(2));
/// assert!(limiter.try_acquire().is_ok());
/// assert!(limiter.try_acquire().is_ok());
/// let refusal = limiter.try_acquire().unwrap_err();
/// assert!(refusal.retry_after() <= Some(Duration::from_secs(1)));
/// ```
pub struct RateLimiter {
    state: State,
    name: Name,
    wait: Duration,
    stats: Stats<COUNTERS>,
    /// Callers whose moment has not come; they are off the fast path anyway.
    waiting: AtomicUsize,
}

const COUNTERS: usize = 3;
const GRANTED: usize = 0;
const REFUSED: usize = 1;
const CANCELLED: usize = 2;

impl RateLimiter {
    /// A limiter whose calls do not wait: over the quota they are refused at once.
    pub fn new(name: impl Into<Name>, quota: Quota) -> Self {
        Self::with(name.into(), quota, Duration::ZERO, Stats::counters())
    }

    /// Starts from numbers that are yet to be checked.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use resilience_runtime::{Quota, RateLimiter};
    ///
    /// let limiter =
    ///     RateLimiter::builder("mail").quota(Quota::per_second(100)).wait(Duration::from_millis(50)).build()?;
    /// assert_eq!(limiter.available(), 100);
    /// # Ok::<(), resilience_runtime::InvalidSettings>(())
    /// ```
    pub fn builder(name: impl Into<Name>) -> RateLimiterBuilder {
        RateLimiterBuilder::new(name.into())
    }

    /// The limiter of an annotated function, whose settings were checked when they were declared. `compact` is for
    /// those that exist by the thousand.
    pub(crate) fn declared(name: Name, settings: LimiterSettings, compact: bool) -> Self {
        let stats = if compact { Stats::compact() } else { Stats::counters() };
        Self::with(name, Quota::of(&settings), settings.wait, stats)
    }

    pub(crate) const fn label(&self) -> &Name {
        &self.name
    }

    fn with(name: Name, quota: Quota, wait: Duration, stats: Stats<COUNTERS>) -> Self {
        Self { state: State::new(quota), name, wait, stats, waiting: AtomicUsize::new(0) }
    }

    /// Lets one call through now, or refuses it.
    ///
    /// # Errors
    ///
    /// [`ResilienceError::RateLimited`] with the time until a call would be let through.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), ResilienceError> {
        // Not by way of `reserve`: its larger answer costs a refusal as much as all the rest.
        match self.state.reserve(clock::now(), Duration::ZERO) {
            Ok(_) => {
                self.stats.count(GRANTED);
                Ok(())
            }
            Err(wait) => Err(self.refusal(self.refuse(wait))),
        }
    }

    /// Waits for a call's turn, at most as long as the builder's `wait` says.
    ///
    /// The turn is reserved at the first poll, and turns come in the order of the reservations. If it would come
    /// too late the answer is a refusal at once.
    ///
    /// # Cancel safety
    ///
    /// A future dropped while it waits returns its turn if nobody reserved after it; otherwise the turn lapses, since
    /// the later ones count on it. It is counted as cancelled.
    ///
    /// # Errors
    ///
    /// [`ResilienceError::RateLimited`] with the time until the turn.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if it has to wait for its turn.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use resilience_runtime::{Instant, Quota, RateLimiter};
    ///
    /// let limiter = RateLimiter::builder("mail")
    ///     .quota(Quota::per_second(10).burst(1))
    ///     .wait(Duration::from_secs(1))
    ///     .build()?;
    /// let start = Instant::now();
    /// for _ in 0..4 {
    ///     limiter.acquire().await?;
    /// }
    /// assert_eq!(Instant::now().saturating_since(start), Duration::from_millis(300));
    /// # Ok(())
    /// # }
    /// ```
    pub fn acquire(&self) -> LimiterAcquire<'_> {
        LimiterAcquire::new(self)
    }

    /// Runs `future` once its turn has come; see [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire) until the turn has come, as `future` afterwards.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`](crate::CallError::Refused) if the turn would come too late,
    /// [`CallError::Failed`](crate::CallError::Failed) with the error of `future`.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    pub fn run<F>(&self, future: F) -> LimiterRun<'_, F> {
        LimiterRun::new(self.acquire(), future)
    }

    /// Changes the quota for all calls from now on.
    ///
    /// What was used of the old burst counts against the new one, so a raise lets the difference through at once and
    /// no more. Calls that wait keep their turn; later ones come after them, at the new rate.
    ///
    /// The limiter of a dynamic name takes its quota along when the name is evicted; see
    /// [`Registry::max_dynamic_names`](crate::Registry::max_dynamic_names).
    pub fn configure(&self, quota: Quota) {
        self.state.configure(quota, clock::now());
    }

    /// Starts full and counts from zero again. Calls that wait keep their turn.
    pub fn reset(&self) {
        self.state.fill();
        self.stats.reset();
    }

    /// Which limiter this is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.state.quota()
    }

    /// How many calls would be let through at this moment.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.state.free(clock::now())
    }

    /// Whether nothing of the quota is used at this moment.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.state.is_full(now)
    }

    /// How many calls wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The state and the counters of this moment. They are read one after another while calls go on.
    #[must_use]
    pub fn snapshot(&self) -> LimiterSnapshot {
        let waiting = self.waiting();
        let cancelled = self.stats.get(CANCELLED);
        let granted = self.stats.get(GRANTED);
        LimiterSnapshot {
            name: self.name.clone(),
            quota: self.quota(),
            available: self.available(),
            waiting,
            accepted: granted.saturating_sub(cancelled).saturating_sub(waiting as u64),
            refused: self.stats.get(REFUSED),
            cancelled,
        }
    }

    /// The longest wait of a call.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// Takes the next turn if it comes within `most`, and counts it as accepted; else refuses.
    ///
    /// If the reservation waits, the caller reports its end: [`arrive`](Self::arrive) or
    /// [`give_back`](Self::give_back).
    #[inline]
    pub(crate) fn reserve(&self, now: Instant, most: Duration) -> Result<Reservation, Duration> {
        match self.state.reserve(now, most) {
            Ok(reservation) => {
                self.stats.count(GRANTED);
                if reservation.waits {
                    self.waiting.fetch_add(1, Ordering::Relaxed);
                }
                Ok(reservation)
            }
            Err(wait) => Err(self.refuse(wait)),
        }
    }

    /// The turn has come and the call is being made.
    #[inline]
    pub(crate) fn arrive(&self, reservation: Reservation) {
        if reservation.waits {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The call will not be made after all: counts it as cancelled instead of accepted, and returns the turn if
    /// nobody reserved after it.
    pub(crate) fn give_back(&self, reservation: Reservation) {
        self.state.give_back(&reservation);
        self.stats.count(CANCELLED);
        self.arrive(reservation);
    }

    #[cold]
    #[inline(never)]
    fn refuse(&self, wait: Duration) -> Duration {
        self.stats.count(REFUSED);
        wait
    }

    /// The error of a refusal.
    #[cold]
    pub(crate) fn refusal(&self, wait: Duration) -> ResilienceError {
        ResilienceError::RateLimited { limiter: self.name.clone(), retry_after: wait }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("name", &self.name)
            .field("quota", &self.quota())
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
