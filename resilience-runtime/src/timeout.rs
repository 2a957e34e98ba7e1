//! Timeouts: an answer within the limit, or none.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    clock::{self, Instant},
    error::{CallError, ResilienceError},
    name::Name,
    stats::{TimeoutOutcome, TimeoutStats, of_timeout},
};

/// Stops a future at a limit.
///
/// The limit counts from the first poll. The future is polled first, so an answer that comes together with the limit
/// is an answer; and only when it is pending is a timer armed, so a future that is ready at once costs one reading of
/// the clock. A stopped future is dropped before the error is returned.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use resilience_runtime::{CallError, ErrorKind, Timeout};
///
/// async fn slow() -> Result<(), std::io::Error> {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok(())
/// }
///
/// match Timeout::named("users", Duration::from_millis(500)).run(slow()).await {
///     Err(CallError::Refused(error)) => {
///         assert_eq!(error.kind(), ErrorKind::TimedOut);
///         assert_eq!(error.to_string(), "`users` timed out after 500 ms");
///     }
///     other => panic!("{other:?}"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a timeout does nothing until something is run with it"]
pub struct Timeout {
    limit: Duration,
    stats: Option<Arc<TimeoutStats>>,
}

/// What an error calls a timeout that has no name.
const UNNAMED: Name = Name::from_static("call");

impl Timeout {
    /// A timeout that nothing counts.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, stats: None }
    }

    /// A timeout counted in health under `name`, in the registry that is current where this is called.
    pub fn named(name: impl AsRef<str>, limit: Duration) -> Self {
        let stats = of_timeout(name.as_ref());
        stats.show_limit(limit);
        Self { limit, stats: Some(stats) }
    }

    /// Which timeout this is, if it has a name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.stats.as_deref().map(|stats| stats.name().as_str())
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs a future that returns a `Result`.
    ///
    /// # Cancel safety
    ///
    /// As `future`; a named timeout counts the call as cancelled.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with [`ResilienceError::TimedOut`] at the limit, [`CallError::Failed`] with the error of
    /// `future`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if `future` is not ready at its first poll.
    pub fn run<F>(&self, future: F) -> TimeoutRun<F> {
        TimeoutRun { inner: self.wrap(future) }
    }

    /// Runs any future.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// [`ResilienceError::TimedOut`] at the limit.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use resilience_runtime::Timeout;
    ///
    /// const LIMIT: Timeout = Timeout::new(Duration::from_secs(1));
    /// assert_eq!(LIMIT.wrap(async { 42 }).await?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap<F>(&self, future: F) -> TimeoutWrap<F> {
        TimeoutWrap { future: Some(future), timer: None, progress: Progress::New, timeout: self.clone() }
    }
}

pin_project! {
    /// Any future under a timeout; see [`Timeout::wrap`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct TimeoutWrap<F> {
        // `None` once it is answered or stopped.
        #[pin]
        future: Option<F>,
        // Armed after the first pending poll.
        #[pin]
        timer: Option<Sleep>,
        progress: Progress,
        timeout: Timeout,
    }

    impl<F> PinnedDrop for TimeoutWrap<F> {
        fn drop(this: Pin<&mut Self>) {
            match this.progress {
                Progress::New | Progress::Done => {}
                // A panic is an end of its own making: it was neither stopped nor cancelled.
                Progress::Polling(start) => this.timeout.record(TimeoutOutcome::Completed, start),
                Progress::Pending(start) => this.timeout.record(TimeoutOutcome::Cancelled, start),
            }
        }
    }
}

/// How far a future has come, and when it was first polled.
#[derive(Clone, Copy)]
enum Progress {
    New,
    Polling(Instant),
    Pending(Instant),
    Done,
}

impl<F: Future> Future for TimeoutWrap<F> {
    type Output = Result<F::Output, ResilienceError>;

    /// # Panics
    ///
    /// If polled after completion, or outside a tokio runtime with its time driver enabled.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let start = match *this.progress {
            Progress::New => clock::now(),
            Progress::Polling(start) | Progress::Pending(start) => start,
            Progress::Done => panic!("`TimeoutWrap` polled after completion"),
        };
        let Some(future) = this.future.as_mut().as_pin_mut() else { unreachable!("it is there until done") };
        *this.progress = Progress::Polling(start);
        if let Poll::Ready(answer) = future.poll(cx) {
            *this.progress = Progress::Done;
            this.timeout.record(TimeoutOutcome::Completed, start);
            return Poll::Ready(Ok(answer));
        }
        *this.progress = Progress::Pending(start);
        ready!(poll_limit(this.timer, start, this.timeout.limit, cx));
        *this.progress = Progress::Done;
        this.timeout.record(TimeoutOutcome::TimedOut, start);
        this.future.set(None);
        Poll::Ready(Err(this.timeout.error()))
    }
}

/// Ready `limit` after `start`. The same for all futures, so compiled once.
fn poll_limit(
    mut timer: Pin<&mut Option<Sleep>>,
    start: Instant,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let end = start.saturating_add(limit);
    if end == Instant::FAR {
        return Poll::Pending;
    }
    let armed = timer.is_some();
    if !armed {
        timer.set(Some(clock::sleep_from(start, end)));
    }
    let fired = timer.as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
    // A future that always uses up the task's budget of progress leaves none to the timer, which then never fires.
    if fired || armed && clock::now() >= end { Poll::Ready(()) } else { Poll::Pending }
}

impl Timeout {
    fn record(&self, outcome: TimeoutOutcome, start: Instant) {
        if let Some(stats) = &self.stats {
            stats.record(outcome, clock::now().saturating_since(start));
        }
    }

    #[cold]
    fn error(&self) -> ResilienceError {
        let site = self.stats.as_ref().map_or(UNNAMED, |stats| stats.name().clone());
        ResilienceError::TimedOut { site, after: self.limit }
    }
}

impl<F> fmt::Debug for TimeoutWrap<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutWrap").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that returns a `Result`, under a timeout; see [`Timeout::run`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct TimeoutRun<F> {
        #[pin]
        inner: TimeoutWrap<F>,
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for TimeoutRun<F> {
    type Output = Result<T, CallError<E>>;

    /// # Panics
    ///
    /// As [`TimeoutWrap`].
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx))?.map_err(CallError::Failed))
    }
}

impl<F> fmt::Debug for TimeoutRun<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutRun").field("timeout", &self.inner.timeout).finish_non_exhaustive()
    }
}
