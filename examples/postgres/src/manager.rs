//! Connections of `tokio-postgres` for a pool. This file is what you would copy.

use std::ops::{Deref, DerefMut};

use resilience_runtime::Manager;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

/// Connects as a [`Config`] says.
#[derive(Clone, Debug)]
pub struct Postgres(pub Config);

/// A session: the client, and the task that moves its bytes.
#[derive(Debug)]
pub struct Session {
    client: Client,
    task: JoinHandle<()>,
}

impl Manager for Postgres {
    type Connection = Session;
    type Error = Error;

    async fn create(&self) -> Result<Session, Error> {
        let (client, connection) = self.0.connect(NoTls).await?;
        // Its error also reaches whoever uses the client.
        let task = tokio::spawn(async { drop(connection.await) });
        Ok(Session { client, task })
    }

    /// One round trip: only the server can say that it is still there.
    async fn is_healthy(&self, session: &mut Session) -> Result<(), Error> {
        session.simple_query("").await.map(drop)
    }

    /// What is known without asking: the socket was closed.
    fn is_broken(&self, session: &mut Session) -> bool {
        session.is_closed()
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for Session {
    /// A server that hangs would keep the task, and with it the socket, for ever.
    fn drop(&mut self) {
        self.task.abort();
    }
}
