//! The bulkhead itself.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Acquire, BulkheadBuilder, BulkheadPermit, BulkheadSnapshot, OwnedBulkheadPermit, Run,
    permits::{Permits, Usage},
    snapshot::Record,
};
use crate::{
    error::{InvalidSettings, ResilienceError},
    name::Name,
    settings::BulkheadSettings,
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        stripe,
    },
};

/// Lets at most `max` calls run at once; at most `queue` more wait for at most `wait`, first come, first served.
///
/// The way in and out is one atomic operation each, on a cache line of the thread's own, as long as permits are
/// free. While calls wait, a permit that is released is handed over to the first of them and cannot be taken by a
/// newcomer. A refusal takes no lock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::Bulkhead;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bulkhead = Bulkhead::builder("db").max(10).queue(100).wait(Duration::from_millis(50)).build()?;
/// let rows = bulkhead.run(async { Ok::<_, std::io::Error>(3) }).await?;
/// assert_eq!((rows, bulkhead.in_flight()), (3, 0));
/// # Ok(())
/// # }
/// ```
pub struct Bulkhead {
    name: Name,
    pub(super) permits: Permits,
    queue: AtomicUsize,
    /// In nanoseconds.
    wait: AtomicU64,
    pub(super) record: Record,
}

impl Bulkhead {
    /// A bulkhead for at most `max` calls at once, without a queue.
    ///
    /// # Errors
    ///
    /// If `max` is 0 or above [`BulkheadSettings::MOST`].
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::Bulkhead;
    ///
    /// assert_eq!(Bulkhead::new("db", 10)?.available(), 10);
    /// assert_eq!(Bulkhead::new("db", 0).unwrap_err().key, "max");
    /// # Ok::<_, resilience_runtime::InvalidSettings>(())
    /// ```
    pub fn new(name: impl Into<Name>, max: usize) -> Result<Self, InvalidSettings> {
        Self::builder(name).max(max).build()
    }

    /// A builder; only `max` must be given.
    pub fn builder(name: impl Into<Name>) -> BulkheadBuilder {
        BulkheadBuilder::new(name.into())
    }

    /// The bulkhead of an annotated function, whose settings were checked when they were declared. `compact` is for
    /// those that exist by the thousand.
    pub(crate) fn declared(name: Name, settings: BulkheadSettings, compact: bool) -> Self {
        /// Waiters for whom there is room from the start: 5 KiB, or nothing for what exists by the thousand.
        const ROOM: usize = 128;

        let (stripes, room) = if compact { (1, 0) } else { (stripe::count(), ROOM) };
        Self {
            name,
            permits: Permits::new(settings.max, stripes, settings.queue.min(room)),
            queue: AtomicUsize::new(settings.queue),
            wait: AtomicU64::new(crate::clock::nanos(settings.wait)),
            record: if compact { Record::compact() } else { Record::striped() },
        }
    }

    /// Takes a permit, or is refused at once. It never waits, and never overtakes a call that does.
    ///
    /// # Errors
    ///
    /// [`BulkheadFull`](ResilienceError::BulkheadFull) if no permit is free or other calls wait for one,
    /// [`ShutDown`](ResilienceError::ShutDown) after [`close`](Self::close).
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::Bulkhead;
    ///
    /// let bulkhead = Bulkhead::new("db", 1)?;
    /// let permit = bulkhead.try_acquire()?;
    /// assert_eq!(bulkhead.try_acquire().unwrap_err().to_string(), "bulkhead `db` is full with 1 running");
    /// drop(permit);
    /// assert!(bulkhead.try_acquire().is_ok());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_acquire(&self) -> Result<BulkheadPermit<'_>, ResilienceError> {
        if self.try_take(stripe::current()) {
            Ok(BulkheadPermit::new(self))
        } else {
            Err(self.refusal(self.refuse(Duration::ZERO)))
        }
    }

    /// As [`try_acquire`](Self::try_acquire); the permit keeps the bulkhead alive and can be sent anywhere.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn try_acquire_owned(self: &Arc<Self>) -> Result<OwnedBulkheadPermit, ResilienceError> {
        if self.try_take(stripe::current()) {
            Ok(OwnedBulkheadPermit::new(Arc::clone(self)))
        } else {
            Err(self.refusal(self.refuse(Duration::ZERO)))
        }
    }

    /// Takes a permit, waiting in the queue if none is free.
    ///
    /// The queue is entered at the first poll. Permits are handed out in the order of entering.
    ///
    /// # Errors
    ///
    /// [`BulkheadFull`](ResilienceError::BulkheadFull) at once if the queue is full, or when `wait` has passed;
    /// [`ShutDown`](ResilienceError::ShutDown) after [`close`](Self::close).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives its place in the queue up. A permit that was handed over to it already goes to
    /// the next in line.
    ///
    /// # Panics
    ///
    /// When it has to wait outside a tokio runtime with its time driver enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use resilience_runtime::Bulkhead;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bulkhead = Bulkhead::builder("db").max(1).queue(1).wait(Duration::from_secs(1)).build()?;
    /// let first = bulkhead.acquire().await?;
    /// let (second, ()) = tokio::join!(bulkhead.acquire(), async { drop(first) });
    /// assert!(second.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub const fn acquire(&self) -> Acquire<'_> {
        Acquire::new(self)
    }

    /// Runs `future` under a permit, waiting for one as [`acquire`](Self::acquire) does. The future is not polled
    /// before.
    ///
    /// # Errors
    ///
    /// `Refused` as by [`acquire`](Self::acquire), `Failed` with the error of `future`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`, then gives back the permit or the place in the queue. The same happens if
    /// `future` panics and the panic unwinds through its owner.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire), and when polled after it was ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::{Bulkhead, CallError};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bulkhead = Bulkhead::new("files", 2)?;
    /// let result = bulkhead.run(async { Err::<(), _>("not there") }).await;
    /// assert_eq!(result, Err(CallError::Failed("not there")));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn run<Fut, T, E>(&self, future: Fut) -> Run<'_, Fut>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        Run::new(self, future)
    }

    /// Changes how many calls may run at once.
    ///
    /// New permits go to the waiters first. Calls that run beyond a smaller number run to their end; until enough
    /// of them have, nobody enters.
    ///
    /// # Errors
    ///
    /// If `max` is 0 or above [`BulkheadSettings::MOST`]; then nothing is changed.
    pub fn resize(&self, max: usize) -> Result<(), InvalidSettings> {
        match BulkheadSettings::new(max).problem() {
            Some(problem) => Err(problem),
            None => {
                self.permits.resize(max);
                Ok(())
            }
        }
    }

    /// Changes all settings in place. Calls that wait already stay in the queue, until the time they set out with.
    ///
    /// The bulkhead of a dynamic name takes its settings along when the name is evicted; see
    /// [`Registry::max_dynamic_names`](crate::Registry::max_dynamic_names).
    ///
    /// # Errors
    ///
    /// If a value is out of its range; then nothing is changed.
    pub fn configure(&self, settings: BulkheadSettings) -> Result<(), InvalidSettings> {
        if let Some(problem) = settings.problem() {
            return Err(problem);
        }
        self.queue.store(settings.queue, Relaxed);
        self.wait.store(crate::clock::nanos(settings.wait), Relaxed);
        self.permits.resize(settings.max);
        Ok(())
    }

    /// Lets no call in any more and answers those that wait with [`ShutDown`](ResilienceError::ShutDown), for good.
    /// Calls that run keep their permits; once [`in_flight`](Self::in_flight) is 0 it stays 0.
    pub fn close(&self) {
        self.permits.close();
    }

    /// Starts all counters at zero again. Permits and waiters are not touched.
    pub fn reset(&self) {
        self.record.reset();
    }

    /// The name that refusals and reports carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many calls may run at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.permits.max()
    }

    /// How many calls wait at most.
    pub(super) fn queue(&self) -> usize {
        self.queue.load(Relaxed)
    }

    /// How long a call waits at most.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_nanos(self.wait.load(Relaxed))
    }

    /// Permits that are out, those just handed over to a waiter included. Above [`max`](Self::max) only while calls
    /// from before a [`resize`](Self::resize) still run.
    ///
    /// This and the other numbers are exact when nothing moves, and a momentary reading while calls come and go.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.permits.usage().in_flight
    }

    /// Calls that wait in the queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.permits.usage().waiting
    }

    /// Calls that could start at once.
    #[must_use]
    pub fn available(&self) -> usize {
        self.permits.usage().available
    }

    /// All numbers at once.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        BulkheadSnapshot::of(self)
    }

    pub(crate) const fn label(&self) -> &Name {
        &self.name
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { in_flight, waiting, .. } = self.permits.usage();
        f.debug_struct("Bulkhead")
            .field("name", &self.name)
            .field("max", &self.max())
            .field("in_flight", &in_flight)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}
