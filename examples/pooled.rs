//! `pool = ".."`: each attempt of an annotated function has a connection of its own. The connections are TCP streams to
//! a server in this process that answers each line with its length, and stays silent on `sleep`. Example `pool` shows
//! the pool alone.

use std::{net::SocketAddr, sync::Arc};

use resilience_runtime::{ConnectionPool, Manager, Pooled, ResilienceError, registry, resilient};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Makes the connections.
struct Lengths {
    server: SocketAddr,
}

impl Manager for Lengths {
    type Connection = BufReader<TcpStream>;
    type Error = std::io::Error;

    async fn create(&self) -> Result<Self::Connection, Self::Error> {
        Ok(BufReader::new(TcpStream::connect(self.server).await?))
    }

    fn is_broken(&self, connection: &mut Self::Connection) -> bool {
        !connection.buffer().is_empty()
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0:?} is no length")]
    NoLength(String),
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// Callers write `length("text")`: the connection is not their business. An attempt that times out leaves its connection
/// in the middle of an answer, so that connection is closed, and the retry has another.
#[resilient(pool = "lengths", circuit = "lengths", timeout_ms = 100, retry(max = 1, delay_ms = 10))]
async fn length(#[pooled] connection: &mut Pooled<Lengths>, text: &str) -> Result<usize, Error> {
    ask(connection, text).await
}

async fn ask(connection: &mut BufReader<TcpStream>, text: &str) -> Result<usize, Error> {
    connection.write_all(format!("{text}\n").as_bytes()).await?;
    let mut answer = String::new();
    if connection.read_line(&mut answer).await? == 0 {
        return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    }
    answer.trim().parse().map_err(|_| Error::NoLength(answer))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Lengths { server: serve().await? };
    println!("before the pool is registered: {}", length("early").await.unwrap_err());
    let pool = registry().register_pool(ConnectionPool::builder("lengths", manager).max_size(2).build()?)?;

    println!();
    println!("`resilience` has {} letters", length("resilience").await?);
    show(&pool, "after an answer");
    println!("`sleep`: {}", length("sleep").await.unwrap_err());
    show(&pool, "two attempts timed out");
    println!("`pool` has {} letters", length("pool").await?);
    show(&pool, "in a new connection");
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.created, snapshot.idle, snapshot.closed.total()), (3, 1, 2));
    println!("\n{}", registry().health());
    Ok(())
}

fn show(pool: &Arc<ConnectionPool<Lengths>>, when: &str) {
    let pool = pool.snapshot();
    println!("  {when}: {} idle, {} created, {} closed", pool.idle, pool.created, pool.closed.total());
}

/// Answers until the process ends.
async fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut lines = BufReader::new(stream).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = format!("{}\n", line.len());
                    if line != "sleep" && lines.get_mut().write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(address)
}
