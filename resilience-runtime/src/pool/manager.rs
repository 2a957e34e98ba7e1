//! How a pool gets, checks and closes connections.

use std::{fmt, future::Future};

use super::Pooled;

/// What `#[pooled] connection: &mut Self` may be written for: a type that tells which manager makes the connections.
///
/// [`Pooled`] is one; programs implement it for connection types of their own. Where the type is someone else's, or
/// several managers make it, an argument says `&mut Pooled<MyManager>`, or the attribute
/// `pool(name = "db", manager = MyManager)`.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{Manager, Poolable};
///
/// struct Session(u64);
/// struct Sessions;
///
/// impl Manager for Sessions {
///     type Connection = Session;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<Session, std::io::Error> {
///         Ok(Session(0))
///     }
/// }
///
/// impl Poolable for Session {
///     type Manager = Sessions;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`#[pooled]` cannot tell what makes a `{Self}`",
    label = "the manager of this connection is not known",
    note = "name the manager, the type that implements `Manager`, in the argument: `&mut Pooled<MyManager>`",
    note = "or in the attribute: `pool(name = \"..\", manager = MyManager)`",
    note = "or, for a type of your own, once and for all: `impl Poolable for {Self} {{ type Manager = MyManager; }}`"
)]
pub trait Poolable {
    /// What makes the connections.
    type Manager: Manager;
}

impl<M: Manager> Poolable for Pooled<M> {
    type Manager = M;
}

/// Creates, checks and closes the connections of a pool.
///
/// Every method may panic or be cancelled at any await; the pool leaks nothing when it does.
///
/// # Examples
///
/// ```
/// use resilience_runtime::Manager;
/// use tokio::net::TcpStream;
///
/// struct Tcp(&'static str);
///
/// impl Manager for Tcp {
///     type Connection = TcpStream;
///     type Error = std::io::Error;
///
///     async fn create(&self) -> Result<TcpStream, std::io::Error> {
///         TcpStream::connect(self.0).await
///     }
///
///     async fn is_healthy(&self, connection: &mut TcpStream) -> Result<(), std::io::Error> {
///         // A peer that has closed makes the socket readable; silence is what a healthy idle one has to say.
///         match connection.try_read(&mut [0]) {
///             Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
///             Err(error) => Err(error),
///             Ok(_) => Err(std::io::ErrorKind::ConnectionReset.into()),
///         }
///     }
/// }
/// ```
pub trait Manager: Send + Sync + 'static {
    /// What is pooled.
    type Connection: Send + 'static;
    /// How creating or checking fails.
    type Error: fmt::Debug + Send + 'static;

    /// Opens a connection.
    ///
    /// Runs in the future of the caller who needs it, or of [`maintain`](crate::ConnectionPool::maintain), and is
    /// dropped when that caller gives up or its time is over.
    fn create(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Finds out whether an idle connection still works, by asking the peer if need be.
    ///
    /// Called before an idle connection is handed out, as [`HealthCheck`](crate::HealthCheck) says. A connection
    /// whose check fails, panics, is cancelled or does not end in time is closed. Default: every connection is
    /// healthy.
    fn is_healthy(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = connection;
        std::future::ready(Ok(()))
    }

    /// Sees without waiting that a connection is beyond use.
    ///
    /// Called when a connection comes back, in a destructor, so it must not block. Default: none is.
    fn is_broken(&self, connection: &mut Self::Connection) -> bool {
        let _ = connection;
        false
    }

    /// Closes a connection. Called once for each that the pool gives up, but not for
    /// [detached](crate::Pooled::detach) ones.
    ///
    /// It is not async, because it runs in destructors as well; what needs an await belongs into a task of its own.
    /// It must not block. Default: drops it.
    fn close(&self, connection: Self::Connection) {
        drop(connection);
    }
}
