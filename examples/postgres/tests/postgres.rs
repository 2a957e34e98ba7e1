//! A real PostgreSQL that is killed, restarted, reset and frozen. After each of these the client goes on without a
//! restart, nothing has leaked, no broken session is handed out, and the counters add up.

mod proxy;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use resilience_example_postgres::{Postgres, Server};
use resilience_runtime::{ConnectionPool, ErrorKind, PoolError, PoolSnapshot, Pooled, pool::CloseReason};
use tokio::task::JoinSet;

type Db = Arc<ConnectionPool<Postgres>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

fn pool(server: &Server, max_size: usize, limit: Duration) -> Db {
    let pool = ConnectionPool::builder("db", Postgres(server.config()))
        .max_size(max_size)
        .acquire_timeout(limit)
        .create_retries(0);
    Arc::new(pool.build().unwrap())
}

async fn bounded<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("an answer in time")
}

async fn process_id(session: &Pooled<Postgres>) -> Result<i32, tokio_postgres::Error> {
    Ok(session.query_one("SELECT pg_backend_pid()", &[]).await?.get(0))
}

/// One call as a careful caller makes it.
async fn sleep(db: &Db, seconds: f64) -> Result<(), Failure> {
    let mut session = db.acquire().await?;
    session.suspect();
    session.query_one("SELECT pg_sleep($1)", &[&seconds]).await?;
    session.trust();
    Ok(())
}

/// With nobody using the pool, everything is where it belongs.
fn check_books(now: &PoolSnapshot) {
    assert_eq!((now.active, now.creating, now.waiting), (0, 0, 0), "{now:#?}");
    assert_eq!(now.created, now.idle as u64 + now.closed.total(), "{now:#?}");
}

/// Every slot can be had, and every session that is had works.
async fn check_all_sessions_work(db: &Db) {
    let mut sessions = Vec::new();
    for _ in 0..db.snapshot().max_size {
        let session = bounded(db.acquire()).await.unwrap();
        process_id(&session).await.expect("a broken session was handed out");
        sessions.push(session);
    }
    drop(sessions);
    check_books(&db.snapshot());
}

/// Calls again until the server answers.
async fn recover(db: &Db) {
    let start = Instant::now();
    while sleep(db, 0.0).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "no recovery");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_with_work_in_flight_comes_back_without_a_restart_of_the_client() {
    let mut server = Server::start().await.unwrap();
    let db = pool(&server, 10, Duration::from_secs(2));
    let mut calls = JoinSet::new();
    for _ in 0..30 {
        let db = Arc::clone(&db);
        calls.spawn(async move { sleep(&db, 5.0).await });
    }
    let start = Instant::now();
    while db.snapshot().active < 10 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.kill().unwrap();
    let answers = bounded(calls.join_all()).await;
    assert!(answers.iter().all(Result::is_err), "a query outlived its server");
    let now = db.snapshot();
    check_books(&now);
    assert_eq!((now.idle, now.acquired + now.refused + now.failed), (0, 30), "{now:#?}");

    // Down: callers are told so, at once or within their time.
    let start = Instant::now();
    assert!(matches!(db.acquire().await, Err(PoolError::Create(_))));
    assert!(start.elapsed() < Duration::from_secs(3));

    server.restart().await.unwrap();
    bounded(recover(&db)).await;
    check_all_sessions_work(&db).await;
}

#[tokio::test]
async fn after_a_restart_no_broken_session_is_handed_out() {
    let mut server = Server::start().await.unwrap();
    let db = pool(&server, 5, Duration::from_secs(10));
    check_all_sessions_work(&db).await;
    assert_eq!(db.snapshot().idle, 5);
    server.stop().unwrap();
    server.restart().await.unwrap();
    // Not one call fails, although every session that lay idle is dead.
    check_all_sessions_work(&db).await;
    let now = db.snapshot();
    assert_eq!((now.created, now.closed.of(CloseReason::Unhealthy)), (10, 5), "{now:#?}");
}

#[tokio::test]
async fn a_session_ended_by_the_server_in_the_middle_of_a_query_is_not_reused() {
    let server = Server::start().await.unwrap();
    let db = pool(&server, 2, Duration::from_secs(10));
    let (victim, other) = (db.acquire().await.unwrap(), db.acquire().await.unwrap());
    let id = process_id(&victim).await.unwrap();
    let terminate = async { other.query_one("SELECT pg_terminate_backend($1)", &[&id]).await.unwrap() };
    let (query, _) = tokio::join!(bounded(victim.query_one("SELECT pg_sleep(20)", &[])), terminate);
    assert!(query.is_err());
    drop(other);
    // The client's task learns that the socket is closed a moment after the query's error.
    drop(victim);
    check_all_sessions_work(&db).await;
    let now = db.snapshot();
    let gone = now.closed.of(CloseReason::Broken) + now.closed.of(CloseReason::Unhealthy);
    assert_eq!((gone, now.closed.total(), now.created), (1, 1, 3), "{now:#?}");
}

#[tokio::test]
async fn a_connection_reset_in_the_middle_of_a_query_is_not_reused() {
    let server = Server::start().await.unwrap();
    let proxy = proxy::Proxy::start(server.config().get_ports()[0]).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(proxy.port()).user("postgres").dbname("postgres");
    let builder = ConnectionPool::builder("db", Postgres(config)).max_size(3).create_retries(0);
    let db = Arc::new(builder.build().unwrap());
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let db = Arc::clone(&db);
        calls.spawn(async move { sleep(&db, 20.0).await });
    }
    let start = Instant::now();
    while proxy.connections() < 3 || db.snapshot().active < 3 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.reset_all();
    assert!(bounded(calls.join_all()).await.iter().all(Result::is_err));
    check_books(&db.snapshot());
    check_all_sessions_work(&db).await;
    let now = db.snapshot();
    assert_eq!((now.created, now.closed.of(CloseReason::Discarded)), (6, 3), "{now:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_callers_their_time_limit_and_no_more() {
    let server = Server::start().await.unwrap();
    let limit = Duration::from_millis(500);
    let db = pool(&server, 4, limit);
    check_all_sessions_work(&db).await;
    server.freeze().unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let db = Arc::clone(&db);
        calls.spawn(async move {
            let start = Instant::now();
            let result = db.acquire().await;
            (start.elapsed(), result.err().and_then(|error| error.refusal().map(|error| error.kind())))
        });
    }
    for (took, refusal) in bounded(calls.join_all()).await {
        assert!(took >= limit && took < limit * 4, "{took:?}");
        assert!(matches!(refusal, Some(ErrorKind::TimedOut | ErrorKind::PoolExhausted)), "{refusal:?}");
    }
    let now = db.snapshot();
    check_books(&now);
    assert_eq!((now.refused, now.closed.of(CloseReason::Unhealthy)), (20, 4), "{now:#?}");
    server.thaw().unwrap();
    bounded(recover(&db)).await;
    check_all_sessions_work(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_callers_share_ten_sessions() {
    let server = Server::start().await.unwrap();
    let db = pool(&server, 10, PATIENCE);
    let mut calls = JoinSet::new();
    for number in 0..500i32 {
        let db = Arc::clone(&db);
        calls.spawn(async move {
            let session = db.acquire().await.unwrap();
            let row = session.query_one("SELECT $1::int, pg_backend_pid()", &[&number]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), number, "somebody else's answer");
            row.get::<_, i32>(1)
        });
    }
    let mut sessions = bounded(calls.join_all()).await;
    sessions.sort_unstable();
    sessions.dedup();
    let now = db.snapshot();
    check_books(&now);
    assert!(sessions.len() <= 10, "{} sessions", sessions.len());
    assert_eq!((now.acquired, now.created, now.closed.total()), (500, sessions.len() as u64, 0), "{now:#?}");
    assert_eq!((now.wait.unwrap().count, now.in_use.unwrap().count), (500, 500));
    let count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    let theirs: i64 = db.acquire().await.unwrap().query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(theirs, now.idle as i64, "the server counts other sessions than the pool");
}

#[tokio::test]
async fn callers_who_give_up_anywhere_leak_no_session() {
    let server = Server::start().await.unwrap();
    let db = pool(&server, 3, PATIENCE);
    let mut calls = JoinSet::new();
    for number in 0..200u64 {
        let db = Arc::clone(&db);
        calls.spawn(async move {
            // Somewhere in the queue, the connecting, the check or the query.
            let limit = Duration::from_micros(number * 200);
            drop(tokio::time::timeout(limit, sleep(&db, 0.002)).await);
        });
    }
    bounded(calls.join_all()).await;
    check_books(&db.snapshot());
    check_all_sessions_work(&db).await;
    assert_eq!(bounded(db.drain(Duration::from_secs(5))).await, 0);
    let now = db.snapshot();
    assert_eq!((now.size(), now.created), (0, now.closed.total()), "{now:#?}");
}
