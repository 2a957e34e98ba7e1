//! Pools of different connections side by side.

use std::{any::Any, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{ConnectionPool, Manager, PoolSnapshot};
use crate::error::InvalidSettings;

/// A [`ConnectionPool`] of any manager: what can be done with a pool without knowing what is in it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use resilience_runtime::{AnyPool, ConnectionPool, Manager};
///
/// struct Units;
///
/// impl Manager for Units {
///     type Connection = ();
///     type Error = std::convert::Infallible;
///
///     async fn create(&self) -> Result<(), Self::Error> {
///         Ok(())
///     }
/// }
///
/// let pools: Vec<Arc<dyn AnyPool>> = vec![Arc::new(ConnectionPool::builder("units", Units).build()?)];
/// assert_eq!((pools[0].name(), pools[0].snapshot().max_size), ("units", 10));
///
/// let pool: Arc<ConnectionPool<Units>> = Arc::clone(&pools[0]).into_any().downcast().unwrap();
/// # let _ = pool;
/// # Ok::<(), resilience_runtime::InvalidSettings>(())
/// ```
pub trait AnyPool: fmt::Debug + Send + Sync + 'static {
    /// See [`ConnectionPool::name`].
    fn name(&self) -> &str;

    /// See [`ConnectionPool::snapshot`].
    fn snapshot(&self) -> PoolSnapshot;

    /// See [`ConnectionPool::resize`].
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if the size is out of its range.
    fn resize(&self, max_size: usize) -> Result<(), InvalidSettings>;

    /// See [`ConnectionPool::reset`].
    fn reset(&self);

    /// See [`ConnectionPool::reseed`].
    fn reseed(&self, seed: u64);

    /// See [`ConnectionPool::close`].
    fn close(&self);

    /// See [`ConnectionPool::drain`].
    fn drain(&self, wait: Duration) -> Pin<Box<dyn Future<Output = usize> + Send + '_>>;

    /// See [`ConnectionPool::maintain`].
    fn maintain(&self) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// The pool as something that can be downcast to its own type.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<M: Manager> AnyPool for ConnectionPool<M> {
    fn name(&self) -> &str {
        self.name()
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.snapshot()
    }

    fn resize(&self, max_size: usize) -> Result<(), InvalidSettings> {
        self.resize(max_size)
    }

    fn reset(&self) {
        self.reset();
    }

    fn reseed(&self, seed: u64) {
        self.reseed(seed);
    }

    fn close(&self) {
        self.close();
    }

    fn drain(&self, wait: Duration) -> Pin<Box<dyn Future<Output = usize> + Send + '_>> {
        Box::pin(self.drain(wait))
    }

    fn maintain(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.maintain())
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
