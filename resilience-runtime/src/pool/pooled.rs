//! A connection in use.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    thread,
};

use super::{
    Manager,
    entry::{CloseReason, ConnectionInfo, Entry},
    shared::Shared,
};
use crate::clock;

/// A connection that is in use. Dropping it brings it back, at once and without a task: to whoever has waited
/// longest, or to the idle ones.
///
/// It is closed instead if its lifetime is over, if [`Manager::is_broken`] or a hook says so, if it is marked as
/// suspect, if the thread is unwinding from a panic, and if the pool has become smaller or was closed.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{ConnectionPool, Manager};
///
/// struct Lists;
///
/// impl Manager for Lists {
///     type Connection = Vec<u32>;
///     type Error = std::convert::Infallible;
///
///     async fn create(&self) -> Result<Vec<u32>, Self::Error> {
///         Ok(Vec::new())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ConnectionPool::builder("lists", Lists).build()?;
/// pool.acquire().await?.push(1);
/// let mut list = pool.acquire().await?;
/// assert_eq!(*list, [1]);
/// list.push(2);
/// assert_eq!(list.detach(), [1, 2]);
/// assert_eq!(pool.snapshot().size(), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it brings the connection back"]
pub struct Pooled<M: Manager> {
    /// Taken by `detach`, `discard` and the destructor only.
    entry: Option<Box<Entry<M::Connection>>>,
    shared: Arc<Shared<M>>,
    suspect: bool,
}

impl<M: Manager> Pooled<M> {
    #[inline]
    pub(super) const fn new(entry: Option<Box<Entry<M::Connection>>>, shared: Arc<Shared<M>>) -> Self {
        Self { entry, shared, suspect: false }
    }

    /// Marks the connection as suspect: if it is dropped like this it is closed, not reused.
    ///
    /// For the time in which it is in a state that nobody else should see: between sending a request and having
    /// read all of its answer, inside a transaction. A caller who is cancelled or times out meanwhile then leaves no
    /// half-read answer to the next one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use resilience_runtime::{ConnectionPool, Manager, PoolError};
    /// # struct Lists;
    /// # impl Manager for Lists {
    /// #     type Connection = Vec<u32>;
    /// #     type Error = std::convert::Infallible;
    /// #     async fn create(&self) -> Result<Vec<u32>, Self::Error> { Ok(Vec::new()) }
    /// # }
    /// # async fn exchange(_: &mut Vec<u32>) {}
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = ConnectionPool::builder("lists", Lists).build()?;
    /// let mut connection = pool.acquire().await?;
    /// connection.suspect();
    /// exchange(&mut connection).await;
    /// connection.trust();
    /// # drop(connection);
    /// # assert_eq!(pool.snapshot().idle, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn suspect(&mut self) {
        self.suspect = true;
    }

    /// Takes back [`suspect`](Self::suspect).
    pub fn trust(&mut self) {
        self.suspect = false;
    }

    /// Closes the connection instead of bringing it back. Its slot is free for a new one.
    pub fn discard(mut self) {
        self.suspect = true;
    }

    /// Takes the connection out of the pool, which forgets it. Its slot is free for a new one.
    #[must_use = "the connection is the caller's"]
    pub fn detach(mut self) -> M::Connection {
        let entry = self.entry.take().expect(HELD);
        self.shared.closed.time(clock::now().saturating_since(entry.since));
        self.shared.closed.count(CloseReason::Detached as usize);
        self.shared.told(&entry, CloseReason::Detached);
        self.shared.free();
        entry.connection
    }

    /// What the pool knows of this connection.
    #[must_use]
    pub fn info(&self) -> ConnectionInfo {
        self.entry.as_ref().expect(HELD).info(clock::now())
    }
}

/// Why the entry of a living `Pooled` is there.
const HELD: &str = "taken by what consumes the value only";

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Connection;

    #[inline]
    fn deref(&self) -> &M::Connection {
        &self.entry.as_ref().expect(HELD).connection
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Connection {
        &mut self.entry.as_mut().expect(HELD).connection
    }
}

impl<M: Manager> AsRef<M::Connection> for Pooled<M> {
    fn as_ref(&self) -> &M::Connection {
        self
    }
}

impl<M: Manager> AsMut<M::Connection> for Pooled<M> {
    fn as_mut(&mut self) -> &mut M::Connection {
        self
    }
}

impl<M: Manager> Drop for Pooled<M> {
    #[inline]
    fn drop(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        // A neighbour's panic can fool this, but only into closing a connection too many.
        if thread::panicking() {
            self.shared.give_back(entry, Some(CloseReason::Panicked));
        } else {
            self.shared.give_back(entry, self.suspect.then_some(CloseReason::Discarded));
        }
    }
}

impl<M: Manager<Connection: fmt::Debug>> fmt::Debug for Pooled<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
