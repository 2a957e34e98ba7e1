//! Kills a PostgreSQL under load, watches circuit and pool, and brings it back.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use resilience_example_postgres::{Postgres, Server};
use resilience_runtime::{CircuitBreaker, ConnectionPool, ErrorKind, PoolError, ResilienceError, resilient};
use tokio_postgres::error::SqlState;

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
enum DbError {
    #[error(transparent)]
    Pool(#[from] PoolError<tokio_postgres::Error>),
    #[error(transparent)]
    Query(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

impl DbError {
    fn summary(&self) -> &'static str {
        match self {
            Self::Pool(PoolError::Refused(error)) | Self::Refused(error) => match error.kind() {
                ErrorKind::CircuitOpen => "circuit open",
                ErrorKind::TimedOut => "timed out",
                _ => "pool exhausted",
            },
            Self::Pool(_) => "no connection",
            Self::Query(error) if error.code() == Some(&SqlState::ADMIN_SHUTDOWN) => "shut down",
            Self::Query(_) => "connection lost",
        }
    }
}

type Db = ConnectionPool<Postgres>;

#[resilient(timeout_ms = 300)]
async fn add(db: &Db, a: i32, b: i32) -> Result<i32, DbError> {
    let mut session = db.acquire().await?;
    // Whoever is stopped by the timeout leaves a query under way; nobody else gets that session.
    session.suspect();
    let row = session.query_one("SELECT $1::int + $2::int FROM pg_sleep(0.005)", &[&a, &b]).await?;
    session.trust();
    Ok(row.get(0))
}

/// Eight callers for a while; prints what they got.
async fn load(db: &Arc<Db>, title: &str, length: Duration) {
    let until = Instant::now() + length;
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let db = Arc::clone(db);
            tokio::spawn(async move {
                let mut answers = std::collections::BTreeMap::<_, u32>::new();
                while Instant::now() < until {
                    let answer = match add(&db, 19, 23).await {
                        Ok(sum) => {
                            if sum == 42 {
                                "ok"
                            } else {
                                "WRONG"
                            }
                        }
                        Err(error) => error.summary(),
                    };
                    *answers.entry(answer).or_default() += 1;
                    if answer != "ok" {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                answers
            })
        })
        .collect();
    let mut answers = std::collections::BTreeMap::<_, u32>::new();
    for caller in callers {
        for (answer, count) in caller.await.unwrap_or_default() {
            *answers.entry(answer).or_default() += count;
        }
    }
    let answers: Vec<_> = answers.iter().map(|(answer, count)| format!("{answer} {count}")).collect();
    println!("{title:<22} {}", answers.join(", "));
}

fn show(db: &Db, circuit: &CircuitBreaker) {
    let now = db.snapshot();
    let closed: Vec<_> = now.closed.iter().map(|(reason, count)| format!("{reason:?} {count}")).collect();
    println!(
        "  pool: {} idle, {} active, {} created, closed: {}; circuit {}",
        now.idle,
        now.active,
        now.created,
        if closed.is_empty() { "none".to_owned() } else { closed.join(", ") },
        circuit.state(),
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::start().await?;
    let circuit = Arc::new(
        CircuitBreaker::builder("db").failure_threshold(3).open(Duration::from_millis(500)).build()?,
    );
    let db = Arc::new(
        ConnectionPool::builder("db", Postgres(server.config()))
            .max_size(4)
            // Shorter than the call's own timeout: the circuit then learns of connections that hang.
            .acquire_timeout(Duration::from_millis(200))
            .create_retries(0)
            .circuit(Arc::clone(&circuit) as Arc<_>)
            .build()?,
    );

    load(&db, "healthy", Duration::from_millis(700)).await;
    show(&db, &circuit);

    let background = Arc::clone(&db);
    let running =
        tokio::spawn(async move { load(&background, "killed while running", Duration::from_secs(1)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill()?;
    running.await?;
    show(&db, &circuit);

    server.restart().await?;
    // The circuit finds out by itself, at the latest when its open time is over.
    tokio::time::sleep(Duration::from_millis(500)).await;
    load(&db, "restarted", Duration::from_millis(700)).await;
    show(&db, &circuit);

    server.freeze()?;
    load(&db, "frozen", Duration::from_millis(1_200)).await;
    show(&db, &circuit);
    server.thaw()?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    load(&db, "thawed", Duration::from_millis(700)).await;
    show(&db, &circuit);

    println!("still out after draining: {}", db.drain(Duration::from_secs(5)).await);
    Ok(())
}
