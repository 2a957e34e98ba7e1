//! A connection pool on its own, over real sockets: reuse, waiting, a check before use, a circuit before creations.

use std::{io, net::SocketAddr, time::Duration};

use resilience_runtime::{CircuitBreaker, ConnectionPool, Manager, PoolError, pool::CloseReason, registry};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Creates connections to one address, and asks the peer whether it is still there.
struct Tcp(SocketAddr);

impl Manager for Tcp {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn create(&self) -> Result<TcpStream, io::Error> {
        TcpStream::connect(self.0).await
    }

    async fn is_healthy(&self, connection: &mut TcpStream) -> Result<(), io::Error> {
        connection.write_u8(b'?').await?;
        connection.read_u8().await.map(drop)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = serve(listener);

    // Registered, both are listed in health.
    let circuit = CircuitBreaker::builder("peer").failure_threshold(2).build()?;
    let circuit = registry().register_circuit(circuit)?;
    let pool = ConnectionPool::builder("peer", Tcp(address))
        .max_size(2)
        .acquire_timeout(Duration::from_millis(200))
        .create_retries(0)
        .circuit(circuit.clone())
        .build()?;
    let pool = registry().register_pool(pool)?;

    println!("A hundred callers share two connections.");
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let pool = pool.clone();
        callers.spawn(async move { pool.acquire().await.map(drop) });
    }
    assert!(callers.join_all().await.iter().all(Result::is_ok));
    let snapshot = pool.snapshot();
    println!("{} acquired, {} created", snapshot.acquired, snapshot.created);
    assert_eq!((snapshot.acquired, snapshot.created <= 2), (100, true));

    println!("\nBoth are in use, so the next caller waits, but not for ever.");
    let held = (pool.acquire().await?, pool.acquire().await?);
    println!("{}", pool.acquire_within(Duration::from_millis(20)).await.unwrap_err());
    drop(held);

    println!("\nThe peer goes away. Its idle connections are found out, and new ones cannot be created.");
    server.abort();
    let _ = server.await;
    for _ in 0..2 {
        let error = pool.acquire().await.unwrap_err();
        println!("{error}");
        assert!(matches!(error, PoolError::Create(_)));
    }
    assert_eq!(pool.snapshot().closed.of(CloseReason::Unhealthy), 2);

    println!("\nNow the circuit is open, and nobody tries.");
    let error = pool.acquire().await.unwrap_err();
    println!("{error}");
    assert!(circuit.is_open() && matches!(error, PoolError::Refused(_)));

    println!("\n{}", registry().health());
    Ok(())
}

/// Answers every byte with itself until it is stopped.
fn serve(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut reader, mut writer) = connection.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    })
}
