//! The annotated functions, over a pool of connections.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, sync::atomic::Ordering, time::Duration};

use resilience_runtime::{
    CircuitBreaker, CircuitState, Classify, ConnectionPool, ErrorClass, InvalidSettings, Manager, PoolError,
    ResilienceError, resilient,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{ledger::Ledger, server::BODY};

/// Calls that may run at once, and those that may wait.
pub(crate) const SLOTS: usize = 48;
pub(crate) const QUEUE: usize = 400;

/// Probes in a half-open period.
pub(crate) const PROBES: usize = 2;

/// Searches a second, and how many at once.
pub(crate) const SEARCHES: u32 = 400;
pub(crate) const BURST: u32 = 40;

/// Share of the calls that may be retried, and the reserve a second, of each budget.
pub(crate) const RETRY_SHARE: f64 = 0.2;
pub(crate) const RETRY_RESERVE: f64 = 10.0;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    #[error("connection: {0}")]
    Connection(#[from] PoolError<io::Error>),
    #[error("exchange: {0}")]
    Exchange(#[from] io::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("another call's answer")]
    Mixed,
}

impl Classify for FetchError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Refused(refusal) => refusal.classify(),
            Self::Connection(PoolError::Refused(_)) => ErrorClass::Ignored,
            _ => ErrorClass::Transient,
        }
    }
}

/// What all callers share.
pub(crate) struct Client {
    pub(crate) ledger: Arc<Ledger>,
    pool: ConnectionPool<Peer>,
    upstream: Arc<CircuitBreaker>,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        ledger: Arc<Ledger>,
        upstream: Arc<CircuitBreaker>,
    ) -> Result<Self, InvalidSettings> {
        let pool = ConnectionPool::builder("soak-connections", Peer(address))
            .max_size(SLOTS * 2)
            .acquire_timeout(Duration::from_millis(100))
            .create_retries(0)
            .build()?;
        Ok(Self { ledger, pool, upstream })
    }

    pub(crate) const fn pool(&self) -> &ConnectionPool<Peer> {
        &self.pool
    }

    /// One request and its answer.
    async fn exchange(&self, id: u64) -> Result<usize, FetchError> {
        let mut connection = self.pool.acquire().await?;
        connection.suspect();
        let request = format!("GET /{id} HTTP/1.1\r\nhost: soak\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let (status, length) = head(&mut connection).await?;
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await?;
        connection.trust();
        match status {
            200 if body == BODY => Ok(length),
            200 => Err(FetchError::Mixed),
            status => Err(FetchError::Status(status)),
        }
    }
}

/// The behaviour that a caller asks of the body, besides the exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    Plain,
    Panics,
}

#[resilient(
    circuit(
        name = "upstream",
        window_ms = 2_000,
        min_calls = 20,
        failure_rate = 0.5,
        open_ms = 300,
        probes = PROBES,
        half_open_max_ms = 2_000
    ),
    retry(max = 2, delay_ms = 10, max_delay_ms = 50, budget = RETRY_SHARE),
    timeout_ms = 150,
    total_timeout_ms = 600,
    bulkhead(max = SLOTS, queue = QUEUE, wait_ms = 200)
)]
pub(crate) async fn fetch(client: &Client, mood: Mood) -> Result<usize, FetchError> {
    let attempt = client.ledger.attempt(client.upstream.state() == CircuitState::HalfOpen);
    if mood == Mood::Panics {
        // As a bug would, without a word from the panic hook.
        std::panic::resume_unwind(Box::new("planted"));
    }
    client.exchange(attempt.id).await
}

#[resilient(
    circuit(name = "search", window_ms = 2_000, min_calls = 20, failure_rate = 0.5, open_ms = 300),
    retry(max = 1, delay_ms = 10, budget = RETRY_SHARE),
    timeout_ms = 150,
    rate_limit(max = SEARCHES, burst = BURST, wait_ms = 50),
    fallback = |_| Ok(0)
)]
pub(crate) async fn search(client: &Client) -> Result<usize, FetchError> {
    client.ledger.search_attempts.fetch_add(1, Ordering::SeqCst);
    // The server does not count it: it is not behind the bulkhead.
    client.exchange(u64::MAX).await
}

/// Connects to the server.
#[derive(Debug)]
pub(crate) struct Peer(SocketAddr);

impl Manager for Peer {
    type Connection = BufReader<TcpStream>;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Self::Connection> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        // A connection that the client closes leaves no port in TIME_WAIT behind.
        stream.set_zero_linger()?;
        Ok(BufReader::new(stream))
    }

    async fn is_healthy(&self, connection: &mut Self::Connection) -> io::Result<()> {
        // Silence is what a healthy idle connection has to say.
        let quiet = poll_fn(|cx| {
            let mut buffer = [0; 1];
            let mut buffer = tokio::io::ReadBuf::new(&mut buffer);
            let polled = connection.get_mut().poll_peek(cx, &mut buffer);
            std::task::Poll::Ready(polled.is_pending())
        });
        if quiet.await { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) }
    }
}

/// Reads the status and the length of an answer.
async fn head(stream: &mut BufReader<TcpStream>) -> io::Result<(u16, usize)> {
    let (mut status, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok((status.ok_or(io::ErrorKind::InvalidData)?, length));
        }
        match text.split_once(": ") {
            Some(("content-length", value)) => {
                length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?
            }
            Some(_) => {}
            None => status = text.split(' ').nth(1).and_then(|status| status.parse().ok()),
        }
    }
}
