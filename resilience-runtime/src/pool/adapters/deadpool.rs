//! `deadpool`.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use deadpool::managed::{Manager as Managed, Metrics, RecycleError};

use crate::pool::Manager;

/// Makes a [`deadpool::managed::Manager`] usable as a [`Manager`].
///
/// Its `recycle` is the health check, and sees the metrics it expects; its `detach` is called when a connection is
/// closed, but not when a user [detaches](crate::Pooled::detach) one.
///
/// # Examples
///
/// ```
/// use deadpool::managed::{Metrics, RecycleResult};
/// use resilience_runtime::{ConnectionPool, pool::DeadpoolManager};
///
/// struct Lists;
///
/// impl deadpool::managed::Manager for Lists {
///     type Type = Vec<u32>;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<Vec<u32>, std::io::Error> {
///         Ok(Vec::new())
///     }
///
///     async fn recycle(&self, _: &mut Vec<u32>, metrics: &Metrics) -> RecycleResult<std::io::Error> {
///         if metrics.recycle_count < 2 { Ok(()) } else { Err(std::io::Error::other("worn out").into()) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ConnectionPool::builder("lists", DeadpoolManager(Lists)).build()?;
/// for expected in [1, 2, 3, 1] {
///     let mut list = pool.acquire().await?;
///     list.push(7);
///     assert_eq!(list.len(), expected);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadpoolManager<M>(pub M);

/// A connection of a [`DeadpoolManager`]; derefs to what the inner manager creates.
pub struct DeadpoolConnection<T> {
    connection: T,
    metrics: Metrics,
}

impl<T> DeadpoolConnection<T> {
    /// What the inner manager created.
    pub fn into_inner(self) -> T {
        self.connection
    }

    /// What deadpool's managers know of their connections.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl<T> Deref for DeadpoolConnection<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.connection
    }
}

impl<T> DerefMut for DeadpoolConnection<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.connection
    }
}

impl<T: fmt::Debug> fmt::Debug for DeadpoolConnection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

impl<M> Manager for DeadpoolManager<M>
where
    M: Managed<Type: 'static, Error: fmt::Debug + 'static> + 'static,
{
    type Connection = DeadpoolConnection<M::Type>;
    type Error = RecycleError<M::Error>;

    async fn create(&self) -> Result<Self::Connection, Self::Error> {
        let connection = self.0.create().await.map_err(RecycleError::Backend)?;
        Ok(DeadpoolConnection { connection, metrics: Metrics::default() })
    }

    async fn is_healthy(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        let DeadpoolConnection { connection, metrics } = connection;
        self.0.recycle(connection, metrics).await?;
        metrics.recycle_count += 1;
        // Fresh metrics are created now, on the clock that deadpool's managers read.
        metrics.recycled = Some(Metrics::default().created);
        Ok(())
    }

    fn close(&self, mut connection: Self::Connection) {
        self.0.detach(&mut connection.connection);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use deadpool::managed::RecycleResult;
    use tokio_test::block_on;

    use super::*;
    use crate::pool::{CloseReason, ConnectionPool, HealthCheck};

    /// Numbers that are worn out by their second check.
    #[derive(Default)]
    struct Numbers {
        detached: AtomicUsize,
    }

    impl Managed for &'static Numbers {
        type Type = u32;
        type Error = &'static str;

        async fn create(&self) -> Result<u32, &'static str> {
            Ok(7)
        }

        async fn recycle(&self, number: &mut u32, metrics: &Metrics) -> RecycleResult<&'static str> {
            *number += 1;
            if metrics.recycle_count < 1 { Ok(()) } else { Err(RecycleError::Backend("worn out")) }
        }

        fn detach(&self, _: &mut u32) {
            self.detached.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_connection_is_recycled_with_its_metrics_and_detached_when_it_is_closed() {
        let numbers: &'static Numbers = Box::leak(Box::default());
        let pool = ConnectionPool::builder("numbers", DeadpoolManager(numbers))
            .max_size(1)
            .health_check(HealthCheck::Always)
            .build()
            .unwrap();
        let told = || {
            let number = block_on(pool.acquire()).unwrap();
            (**number, number.metrics().recycle_count, number.metrics().recycled.is_some())
        };
        assert_eq!((told(), told()), ((7, 0, false), (8, 1, true)));
        assert_eq!(numbers.detached.load(Relaxed), 0);
        assert_eq!((told(), numbers.detached.load(Relaxed)), ((7, 0, false), 1));
        assert_eq!(pool.snapshot().closed.of(CloseReason::Unhealthy), 1);
    }
}
