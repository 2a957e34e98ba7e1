//! An HTTP server on loopback that breaks in every way a server can: it resets, stalls, truncates, slows, refuses,
//! dies and returns.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

use crate::ledger::Ledger;

/// What the server does to requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Answers,
    /// Each request meets another manner.
    Mixed,
    /// Answers 503.
    Refuses,
    /// Resets the connection.
    Resets,
    /// Answers late, but in time.
    Slows,
    /// Never answers.
    Stalls,
    /// Ends in the middle of the body.
    Truncates,
    /// Is not there at all.
    Dead,
}

impl Manner {
    /// The faults, in the order in which they come.
    pub(crate) const FAULTS: [Self; 7] =
        [Self::Resets, Self::Stalls, Self::Truncates, Self::Slows, Self::Dead, Self::Refuses, Self::Mixed];

    fn drawn(self) -> Self {
        match self {
            Self::Mixed => match fastrand::u8(..10) {
                0 => Self::Resets,
                1 => Self::Stalls,
                2 => Self::Truncates,
                3 => Self::Refuses,
                4 | 5 => Self::Slows,
                _ => Self::Answers,
            },
            manner => manner,
        }
    }
}

/// What every answer says.
pub(crate) const BODY: &[u8] = b"thirty-two bytes of an answer...";

/// Serves until the watch is gone, and is dead while it says so.
pub(crate) async fn serve(
    first: TcpListener,
    ledger: Arc<Ledger>,
    mut manner: watch::Receiver<Manner>,
) -> io::Result<()> {
    let address = first.local_addr()?;
    let told = manner.clone();
    let mut listener = Some(first);
    while let Some(open) = listener.take() {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = open.accept() => {
                    let (stream, _) = accepted?;
                    connections.spawn(converse(stream, ledger.clone(), told.clone()));
                    while connections.try_join_next().is_some() {}
                }
                died = manner.wait_for(|manner| *manner == Manner::Dead) => {
                    if died.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
        }
        // All sockets are gone before it is dead, and the port is free.
        connections.shutdown().await;
        drop(open);
        if manner.wait_for(|manner| *manner != Manner::Dead).await.is_ok() {
            listener = Some(bind(address).await?);
        }
    }
    Ok(())
}

/// The port is the server's own; whoever was given it meanwhile as a port of departure gives it back soon.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 100 => tries += 1,
            bound => return bound,
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Answers the requests of one connection. An error is the client's going away.
async fn converse(stream: TcpStream, ledger: Arc<Ledger>, manner: watch::Receiver<Manner>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(id) = request(&mut stream).await? {
        ledger.arrived(id);
        let drawn = manner.borrow().drawn();
        match drawn {
            Manner::Answers | Manner::Mixed => respond(&mut stream, "200 OK", BODY.len(), BODY).await?,
            Manner::Refuses => respond(&mut stream, "503 Service Unavailable", 0, b"").await?,
            Manner::Slows => {
                sleep(Duration::from_millis(fastrand::u64(20..60))).await;
                respond(&mut stream, "200 OK", BODY.len(), BODY).await?;
            }
            Manner::Resets => {
                // Closing with no time to linger sends a reset.
                stream.get_ref().set_zero_linger()?;
                return Ok(());
            }
            Manner::Truncates => {
                return respond(&mut stream, "200 OK", BODY.len(), &BODY[..BODY.len() / 2]).await;
            }
            // Until the client hangs up.
            Manner::Stalls | Manner::Dead => {}
        }
    }
    Ok(())
}

/// Reads one request, `GET /<id> HTTP/1.1` and headers; `None` at the end.
async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<u64>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let id = line.split(['/', ' ']).nth(2).and_then(|id| id.parse().ok());
    let id = id.ok_or(io::ErrorKind::InvalidData)?;
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            return Ok(Some(id));
        }
    }
}

async fn respond(
    stream: &mut BufReader<TcpStream>,
    status: &str,
    length: usize,
    body: &[u8],
) -> io::Result<()> {
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer).await
}
