//! A small HTTP server that can die and come back, and counts its connections.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::get, serve::ListenerExt as _};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A server on a port of loopback that stays the same.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Server {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut server = Self { address, connections: Arc::default(), running: None };
        server.run(listener);
        Ok(server)
    }

    /// Starts it again, on the same port.
    ///
    /// # Errors
    ///
    /// If somebody else has taken the port meanwhile.
    pub async fn restart(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.run(listener);
        Ok(())
    }

    /// Answers what it is asking, and ends.
    pub async fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            drop(stop);
            // The task has no result to lose.
            let _ = task.await;
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn run(&mut self, listener: TcpListener) {
        let connections = Arc::clone(&self.connections);
        let listener = listener.tap_io(move |_| {
            connections.fetch_add(1, Ordering::Relaxed);
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = Router::new().route("/", get(async || "hello"));
        let serve = axum::serve(listener, routes).with_graceful_shutdown(async { drop(stopped.await) });
        let task = tokio::spawn(async { drop(serve.await) });
        self.running = Some((stop, task));
    }
}
