//! The shop's server: a real one, whose faults can be switched on.

use std::{
    future::IntoFuture,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// What is wrong with the server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every n-th request is answered with a 500.
    Every(usize),
    /// Requests are taken and never answered.
    Hang,
    /// Every answer takes this long.
    Slow(Duration),
    /// The next request is answered with 429 and `Retry-After: 1`, those after it normally.
    Throttle,
}

/// The server and the switch for its faults.
pub(crate) struct Server {
    address: SocketAddr,
    desk: Arc<Desk>,
    running: Option<JoinHandle<io::Result<()>>>,
}

/// What the handlers share.
struct Desk {
    fault: watch::Sender<Fault>,
    requests: AtomicUsize,
    /// Requests since the fault was switched on.
    since: AtomicUsize,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Server {
    /// Starts on a port that the system chooses.
    pub(crate) async fn start() -> io::Result<Self> {
        let desk = Desk {
            fault: watch::Sender::new(Fault::None),
            requests: AtomicUsize::new(0),
            since: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        };
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), desk: Arc::new(desk), running: None };
        server.restart().await?;
        Ok(server)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches a fault on, or off, and starts to count anew.
    pub(crate) fn fault(&self, fault: Fault) {
        self.desk.fault.send_replace(fault);
        self.desk.since.store(0, Ordering::Relaxed);
        self.desk.requests.store(0, Ordering::Relaxed);
        self.desk.peak.store(0, Ordering::Relaxed);
    }

    /// Requests that reached the server since the last change of the fault.
    pub(crate) fn requests(&self) -> usize {
        self.desk.requests.load(Ordering::Relaxed)
    }

    /// The most requests that were under way at once since then.
    pub(crate) fn peak(&self) -> usize {
        self.desk.peak.load(Ordering::Relaxed)
    }

    /// Closes the port: whoever connects is refused.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// Listens again, on the same port.
    pub(crate) async fn restart(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let router = Router::new().fallback(answer).with_state(self.desk.clone());
        self.running = Some(tokio::spawn(axum::serve(listener, router).into_future()));
        Ok(())
    }
}

async fn answer(State(desk): State<Arc<Desk>>, uri: Uri) -> Response {
    let _visit = Visit::new(&desk);
    let number = desk.since.fetch_add(1, Ordering::Relaxed) + 1;
    let fault = *desk.fault.borrow();
    match fault {
        Fault::Every(nth) if number % nth == 0 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Hang => std::future::pending().await,
        Fault::Throttle if number == 1 => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response()
        }
        Fault::Slow(time) => {
            tokio::time::sleep(time).await;
            uri.path().to_owned().into_response()
        }
        Fault::None | Fault::Every(_) | Fault::Throttle => uri.path().to_owned().into_response(),
    }
}

/// One request under way; it ends also when the client hangs up.
struct Visit<'d>(&'d Desk);

impl<'d> Visit<'d> {
    fn new(desk: &'d Desk) -> Self {
        desk.requests.fetch_add(1, Ordering::Relaxed);
        let running = desk.running.fetch_add(1, Ordering::Relaxed) + 1;
        desk.peak.fetch_max(running, Ordering::Relaxed);
        Self(desk)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
