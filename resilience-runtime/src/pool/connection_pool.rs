//! The handle.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use super::{
    ConnectionPoolBuilder, Manager, PoolError, PoolSnapshot, Pooled, acquire, builder::size_problem,
    maintain, shared::Shared, state::Phase,
};
#[cfg(feature = "rt")]
use crate::sync::atomic::Ordering;
use crate::{clock, error::InvalidSettings, name::Name};

/// A named pool of connections.
///
/// The connection that was used last is reused first, so that those that are not needed grow idle and are closed.
/// When all are in use callers wait, and get what comes back in the order in which they came.
///
/// Dropping the pool closes it. Connections in use stay usable and are closed when they come back.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{ConnectionPool, Manager};
/// use tokio::net::{TcpListener, TcpStream};
///
/// struct Tcp(std::net::SocketAddr);
///
/// impl Manager for Tcp {
///     type Connection = TcpStream;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<TcpStream, std::io::Error> {
///         TcpStream::connect(self.0).await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TcpListener::bind("127.0.0.1:0").await?;
/// let pool = ConnectionPool::builder("peer", Tcp(server.local_addr()?))
///     .max_size(8)
///     .acquire_timeout(Duration::from_secs(2))
///     .build()?;
/// let connection = pool.acquire().await?;
/// assert_eq!(connection.peer_addr()?, server.local_addr()?);
/// drop(connection);
/// assert_eq!((pool.snapshot().idle, pool.snapshot().active), (1, 0));
/// # Ok(())
/// # }
/// ```
pub struct ConnectionPool<M: Manager>(Arc<Shared<M>>);

impl<M: Manager> ConnectionPool<M> {
    /// Settings of a pool named `name`, whose connections `manager` creates.
    pub fn builder(name: impl Into<Name>, manager: M) -> ConnectionPoolBuilder<M> {
        ConnectionPoolBuilder::new(name.into(), manager)
    }

    pub(super) fn new(shared: Arc<Shared<M>>) -> Self {
        let pool = Self(shared);
        pool.keep_up();
        pool
    }

    /// Sees to it that somebody keeps the pool up.
    #[inline]
    fn keep_up(&self) {
        #[cfg(feature = "rt")]
        if self.0.unkept.load(Ordering::Relaxed) {
            maintain::start(&self.0);
        }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What creates the connections.
    #[must_use]
    pub fn manager(&self) -> &M {
        &self.0.manager
    }

    /// A connection: an idle one that is healthy, or a new one if the pool is not full, or the next one that comes
    /// back. Waiting, creating and checking together take at most the pool's `acquire_timeout`.
    ///
    /// # Errors
    ///
    /// See [`PoolError`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped its place in the queue is given up, what had just been handed over to it goes to the
    /// next caller, and a connection that was being checked is closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if something has to be waited for and there is a time
    /// limit. A panic of the manager or of a hook goes on to the caller; the slot is free again.
    #[inline]
    pub async fn acquire(&self) -> Result<Pooled<M>, PoolError<M::Error>> {
        self.keep_up();
        acquire::acquire(&self.0, self.0.settings.acquire_timeout).await
    }

    /// As [`acquire`](Self::acquire), within a limit of this call's own.
    ///
    /// # Errors
    ///
    /// See [`PoolError`].
    ///
    /// # Cancel safety
    ///
    /// As of [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[inline]
    pub async fn acquire_within(&self, limit: Duration) -> Result<Pooled<M>, PoolError<M::Error>> {
        self.keep_up();
        acquire::acquire(&self.0, limit).await
    }

    /// Keeps the pool up until it is closed, drained or dropped: closes connections that have been idle for too long
    /// or are too old at the moment they are, and creates those that are missing to `min_idle`, one after the other.
    ///
    /// With feature `rt` nobody needs to call it: a task of the runtime on which the pool is built does so, or else
    /// of the first caller's, and if that runtime is shut down, of the next caller's. Without, run it in a task of
    /// its own:
    ///
    /// ```
    /// # use resilience_runtime::{ConnectionPool, Manager};
    /// # struct Units;
    /// # impl Manager for Units {
    /// #     type Connection = ();
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<(), Self::Error> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = ConnectionPool::builder("units", Units).min_idle(2).build()?;
    /// tokio::spawn(pool.maintain());
    /// # tokio::task::yield_now().await;
    /// # tokio::task::yield_now().await;
    /// # assert_eq!(pool.snapshot().idle, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A creation that fails or panics is tried again after the pool's `create_backoff`. Where it runs twice, the
    /// second waits for the first to be dropped.
    ///
    /// Where it does not run callers do what upkeep they can: outdated connections are never handed out, each return
    /// of a connection closes one that has been idle for too long, and connections are created for callers who find
    /// none idle. These then stay: as many as `min_idle` are not closed for idleness.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the upkeep and leaks nothing; it can be started again.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub fn maintain(&self) -> impl Future<Output = ()> + Send + use<M> {
        maintain::maintain(Arc::clone(&self.0))
    }

    /// Lets at most `max_size` connections exist from now on. Surplus idle ones are closed at once, the longest idle
    /// first, surplus ones in use when they come back.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if `max_size` is 0 or below `min_idle`; then nothing changes.
    pub fn resize(&self, max_size: usize) -> Result<(), InvalidSettings> {
        let mut state = self.0.state.lock();
        if let Some(problem) = size_problem(max_size, state.min_idle()) {
            return Err(problem);
        }
        let after = state.resize(max_size);
        let too_few = state.wants_more();
        drop(state);
        self.0.tell(false, too_few);
        self.0.settle(after);
        Ok(())
    }

    /// Starts all counters and latencies at zero again. Connections and callers are not touched.
    pub fn reset(&self) {
        self.0.calls.reset();
        self.0.closed.reset();
    }

    /// Draws lifetimes and delays from this seed from now on, as a registry does that was given one.
    pub fn reseed(&self, seed: u64) {
        self.0.reseed(seed);
    }

    /// Closes the pool: idle connections at once, those in use when they come back. Callers that wait, and all that
    /// come, are refused.
    pub fn close(&self) {
        self.0.end(Phase::Closed);
    }

    /// Refuses new callers, serves those that wait already, and waits at most `wait` until every connection has come
    /// back and is closed; then closes the pool. Answers how many connections are still out; 0 means none.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the pool goes on draining, without an end.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if there are connections to wait for.
    pub async fn drain(&self, wait: Duration) -> usize {
        self.0.end(Phase::Draining);
        let until = clock::now().saturating_add(wait);
        loop {
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if self.0.state.lock().has_ended() || clock::now() >= until {
                break;
            }
            // Too late is no mistake here: what is still out is counted below.
            let _ = tokio::time::timeout_at(clock::timer(until), ended).await;
        }
        self.close();
        let usage = self.0.state.lock().usage();
        usage.active + usage.creating
    }

    /// The pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.0.snapshot()
    }
}

impl<M: Manager> Drop for ConnectionPool<M> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<M: Manager> fmt::Debug for ConnectionPool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionPool").field(&self.0).finish()
    }
}
