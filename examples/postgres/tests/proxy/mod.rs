//! A TCP proxy that can reset everything that goes through it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};

pub(crate) struct Proxy {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    reset: broadcast::Sender<()>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let reset = broadcast::Sender::new(1);
        let (count, resets) = (Arc::clone(&connections), reset.clone());
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(forward(near, port, resets.subscribe()));
            }
        });
        Ok(Self { address, connections, reset, task })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Both ends of every connection see "connection reset by peer".
    pub(crate) fn reset_all(&self) {
        let _ = self.reset.send(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut near: TcpStream, port: u16, mut reset: broadcast::Receiver<()>) -> io::Result<()> {
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    tokio::select! {
        result = tokio::io::copy_bidirectional(&mut near, &mut far) => result.map(drop),
        _ = reset.recv() => {
            // Closing a socket that must not linger sends a reset.
            for stream in [near, far] {
                let stream = stream.into_std()?;
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            Ok(())
        }
    }
}
