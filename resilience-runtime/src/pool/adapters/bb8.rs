//! `bb8`.

use bb8::ManageConnection;

use crate::pool::Manager;

/// Makes a [`bb8::ManageConnection`] usable as a [`Manager`].
///
/// # Examples
///
/// ```
/// use resilience_runtime::{ConnectionPool, pool::Bb8Manager};
///
/// struct Lists;
///
/// impl bb8::ManageConnection for Lists {
///     type Connection = Vec<u32>;
///     type Error = std::io::Error;
///
///     async fn connect(&self) -> Result<Vec<u32>, std::io::Error> {
///         Ok(Vec::new())
///     }
///
///     async fn is_valid(&self, _: &mut Vec<u32>) -> Result<(), std::io::Error> {
///         Ok(())
///     }
///
///     fn has_broken(&self, list: &mut Vec<u32>) -> bool {
///         list.len() > 1
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = ConnectionPool::builder("lists", Bb8Manager(Lists)).build()?;
/// for expected in [1, 2, 1] {
///     let mut list = pool.acquire().await?;
///     list.push(7);
///     assert_eq!(list.len(), expected);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Bb8Manager<M>(pub M);

impl<M: ManageConnection> Manager for Bb8Manager<M> {
    type Connection = M::Connection;
    type Error = M::Error;

    async fn create(&self) -> Result<M::Connection, M::Error> {
        self.0.connect().await
    }

    async fn is_healthy(&self, connection: &mut M::Connection) -> Result<(), M::Error> {
        self.0.is_valid(connection).await
    }

    fn is_broken(&self, connection: &mut M::Connection) -> bool {
        self.0.has_broken(connection)
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::block_on;

    use super::*;
    use crate::pool::{CloseReason, ConnectionPool, HealthCheck};

    struct Numbers;

    impl ManageConnection for Numbers {
        type Connection = u32;
        type Error = &'static str;

        async fn connect(&self) -> Result<u32, &'static str> {
            Ok(0)
        }

        async fn is_valid(&self, number: &mut u32) -> Result<(), &'static str> {
            if *number == 1 { Err("one") } else { Ok(()) }
        }

        fn has_broken(&self, number: &mut u32) -> bool {
            *number == 2
        }
    }

    #[test]
    fn invalid_connections_are_replaced_and_broken_ones_are_not_taken_back() {
        let pool = ConnectionPool::builder("numbers", Bb8Manager(Numbers))
            .max_size(1)
            .health_check(HealthCheck::Always)
            .build()
            .unwrap();
        let closed = |number: u32| {
            let mut connection = block_on(pool.acquire()).unwrap();
            let before = *connection;
            *connection = number;
            drop(connection);
            let closed = pool.snapshot().closed;
            (before, closed.of(CloseReason::Unhealthy), closed.of(CloseReason::Broken))
        };
        assert_eq!([3, 1, 2, 3].map(closed), [(0, 0, 0), (3, 0, 0), (0, 1, 1), (0, 1, 1)]);
    }
}
