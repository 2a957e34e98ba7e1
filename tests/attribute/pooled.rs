//! `pool = ".."`: a connection for each attempt, and what becomes of it.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use resilience_runtime::{
    CircuitBreaker, CircuitState, Classify, ConnectionPool, ErrorClass, ErrorKind, Instant, Manager,
    PoolError, PoolSnapshot, Poolable, Pooled, Registry, ResilienceError, pool::CloseReason, resilient,
};

use crate::support::now;

/// A connection that knows its number.
#[derive(Debug, Eq, PartialEq)]
struct Session {
    id: u32,
    used: u32,
}

/// Creates sessions, unless it is told to fail.
#[derive(Default)]
struct Sessions {
    created: AtomicU32,
    failures: AtomicU32,
    panics: bool,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("connection refused")]
struct ConnectionRefused;

impl Manager for Sessions {
    type Connection = Session;
    type Error = ConnectionRefused;

    async fn create(&self) -> Result<Session, ConnectionRefused> {
        assert!(!self.panics, "a manager that panics");
        let fails = |left: u32| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
            return Err(ConnectionRefused);
        }
        Ok(Session { id: self.created.fetch_add(1, Ordering::Relaxed), used: 0 })
    }
}

impl Poolable for Session {
    type Manager = Sessions;
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Connect(#[from] ConnectionRefused),
    #[error("failed: {0:?}")]
    Failed(ErrorClass),
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

impl Classify for Error {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Connect(_) => ErrorClass::Transient,
            Self::Failed(class) => *class,
            Self::Refused(refusal) => refusal.classify(),
        }
    }
}

/// A registry with a pool of sessions.
fn registry(manager: Sessions, max_size: usize) -> (Registry, Arc<ConnectionPool<Sessions>>) {
    let registry = Registry::new();
    let pool = ConnectionPool::builder("sessions", manager)
        .max_size(max_size)
        .create_retries(0)
        .acquire_timeout(Duration::from_millis(100))
        .build()
        .expect("settings in range");
    let pool = registry.register_pool(pool).expect("the name is free");
    (registry, pool)
}

fn closed(snapshot: &PoolSnapshot, reason: CloseReason) -> u64 {
    snapshot.closed.of(reason)
}

#[resilient(pool = "sessions")]
async fn id(#[pooled] session: &mut Session) -> Result<u32, Error> {
    session.used += 1;
    Ok(session.id)
}

#[resilient(pool = "sessions", timeout_ms = 50, retry(max = 2, delay_ms = 1, budget = false))]
async fn answers(
    #[pooled] Session { id, .. }: &mut Session,
    seen: &AtomicUsize,
    outcomes: &[Result<(), Option<ErrorClass>>],
) -> Result<u32, Error> {
    match outcomes[seen.fetch_add(1, Ordering::Relaxed)] {
        Ok(()) => Ok(*id),
        Err(Some(class)) => Err(Error::Failed(class)),
        Err(None) => pending().await,
    }
}

#[test]
fn the_argument_leaves_the_signature_and_the_connection_comes_back() {
    let (registry, pool) = registry(Sessions::default(), 1);
    for _ in 0..3 {
        assert_eq!(now(registry.scope(id())), Ok(0));
    }
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.idle, snapshot.active, snapshot.created, snapshot.acquired), (1, 0, 1, 3));
    assert_eq!(now(pool.acquire()).expect("it is idle").used, 3);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_connection_and_only_suspect_ones_are_closed() {
    use ErrorClass::{Fatal, Ignored, Permanent, Transient};
    for (outcomes, answer, created, discarded) in [
        (vec![Ok(())], Ok(0), 1, 0),
        // What failed in an ordinary way is used again.
        (vec![Err(Some(Transient)), Ok(())], Ok(0), 1, 0),
        (vec![Err(Some(Permanent))], Err(Error::Failed(Permanent)), 1, 0),
        (vec![Err(Some(Ignored))], Err(Error::Failed(Ignored)), 1, 0),
        (vec![Err(Some(Fatal))], Err(Error::Failed(Fatal)), 1, 1),
        // What ran out of time is not.
        (vec![Err(None), Err(None), Ok(())], Ok(2), 3, 2),
        (vec![Err(None), Err(Some(Transient)), Ok(())], Ok(1), 2, 1),
    ] {
        let (registry, pool) = registry(Sessions::default(), 1);
        assert_eq!(registry.scope(answers(&AtomicUsize::new(0), &outcomes)).await, answer, "{outcomes:?}");
        let snapshot = pool.snapshot();
        assert_eq!((snapshot.created, snapshot.active), (created, 0), "{outcomes:?}");
        assert_eq!(closed(&snapshot, CloseReason::Discarded), discarded, "{outcomes:?}");
    }
}

#[test]
fn a_cancelled_call_closes_its_connection() {
    #[resilient(pool = "sessions", circuit = "cancelled")]
    async fn stuck(#[pooled] _session: &mut Session) -> Result<(), Error> {
        pending().await
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    let mut call = Box::pin(registry.scope(stuck()));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(pool.snapshot().active, 1);
    drop(call);
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.active, snapshot.idle), (0, 0));
    assert_eq!(closed(&snapshot, CloseReason::Discarded), 1);
    let circuit = registry.circuit("cancelled").expect("it is declared").snapshot();
    assert_eq!((circuit.cancelled, circuit.failed), (1, 0));
}

#[tokio::test]
async fn a_panic_closes_the_connection_and_goes_on() {
    #[resilient(pool = "sessions", circuit = "panicked")]
    async fn panics(#[pooled] _session: &mut Session) -> Result<(), Error> {
        panic!("in the body")
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    let scoped = registry.clone();
    assert!(tokio::spawn(async move { scoped.scope(panics()).await }).await.unwrap_err().is_panic());
    let snapshot = pool.snapshot();
    assert_eq!((snapshot.active, closed(&snapshot, CloseReason::Panicked)), (0, 1));
    assert_eq!(registry.circuit("panicked").expect("it is declared").snapshot().panicked, 1);
}

#[tokio::test]
async fn a_panic_of_the_manager_counts_as_one_of_the_call() {
    #[resilient(pool = "sessions", circuit = "manager-panics")]
    async fn never(#[pooled] _session: &mut Session) -> Result<(), Error> {
        Ok(())
    }

    let (registry, pool) = registry(Sessions { panics: true, ..Sessions::default() }, 1);
    let scoped = registry.clone();
    assert!(tokio::spawn(async move { scoped.scope(never()).await }).await.unwrap_err().is_panic());
    assert_eq!((pool.snapshot().active, pool.snapshot().size()), (0, 0));
    assert_eq!(registry.circuit("manager-panics").expect("it is declared").snapshot().panicked, 1);
}

#[test]
fn a_pool_that_is_not_registered_says_what_to_do_and_may_come_later() {
    let registry = Registry::new();
    let refusal = ResilienceError::PoolMissing {
        pool: resilience_runtime::Name::from_static("sessions"),
        manager: std::any::type_name::<Sessions>(),
    };
    assert_eq!(
        refusal.to_string(),
        format!(
            "no pool `sessions` of `{}` is registered: `Registry::register_pool` adds it",
            std::any::type_name::<Sessions>()
        )
    );
    assert_eq!(now(registry.scope(id())), Err(Error::Refused(refusal)));
    let pool = ConnectionPool::builder("sessions", Sessions::default()).build().expect("settings in range");
    registry.register_pool(pool).expect("the name is free");
    assert_eq!(now(registry.scope(id())), Ok(0));
}

struct Numbers;

impl Manager for Numbers {
    type Connection = u32;
    type Error = Infallible;

    async fn create(&self) -> Result<u32, Infallible> {
        Ok(7)
    }
}

#[test]
fn a_pool_of_another_manager_is_not_the_one_that_is_asked_for() {
    let registry = Registry::new();
    let pool = ConnectionPool::builder("sessions", Numbers).build().expect("settings in range");
    registry.register_pool(pool).expect("the name is free");
    assert!(matches!(
        now(registry.scope(id())),
        Err(Error::Refused(ResilienceError::PoolMissing { manager, .. })) if manager.ends_with("Sessions")
    ));
}

#[test]
fn the_manager_is_told_from_the_argument_or_by_the_attribute() {
    #[resilient(pool = "numbers")]
    async fn whole(#[pooled] number: &mut Pooled<Numbers>) -> Result<(u64, u32), ResilienceError> {
        Ok((number.info().uses, **number))
    }

    #[resilient(pool(name = "numbers", manager = Numbers))]
    async fn inner(add: u32, #[pooled] number: &mut u32) -> Result<u32, ResilienceError> {
        *number += add;
        Ok(*number)
    }

    #[resilient(pool = "numbers")]
    async fn generic<M: Manager<Connection = u32, Error = Infallible>>(
        #[pooled] number: &mut Pooled<M>,
        _: M,
    ) -> Option<u32> {
        Some(**number)
    }

    let registry = Registry::new();
    let pool = ConnectionPool::builder("numbers", Numbers).build().expect("settings in range");
    registry.register_pool(pool).expect("the name is free");
    now(registry.scope(async {
        assert_eq!(whole().await, Ok((1, 7)));
        assert_eq!(inner(3).await, Ok(10));
        assert_eq!(generic(Numbers).await, Some(10));
        assert_eq!(whole().await, Ok((4, 10)));
    }));
}

#[test]
fn methods_take_connections_too_and_a_block_gives_its_pool_to_those_that_ask() {
    trait Repository {
        async fn load(&self, id: u32) -> Result<u32, Error>;
    }

    struct Users(u32);

    #[resilient(pool = "sessions", circuit = "users")]
    impl Users {
        async fn count(&mut self, #[pooled] session: &mut Session) -> Result<u32, Error> {
            self.0 += 1;
            Ok(self.0 + session.id)
        }

        async fn local(&self) -> Result<u32, Error> {
            Ok(self.0)
        }
    }

    impl Repository for Users {
        #[resilient(pool = "sessions", retry = 1)]
        async fn load(&self, #[pooled] session: &mut Session, id: u32) -> Result<u32, Error> {
            Ok(self.0 + session.id + id)
        }
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    now(registry.scope(async {
        let mut users = Users(1);
        assert_eq!(users.count().await, Ok(2));
        assert_eq!(users.local().await, Ok(2));
        assert_eq!(users.load(5).await, Ok(7));
    }));
    assert_eq!(pool.snapshot().acquired, 2);
}

#[test]
fn the_user_may_mark_the_connection_as_suspect() {
    #[resilient(pool = "sessions")]
    async fn suspects(#[pooled] session: &mut Pooled<Sessions>) -> Result<u32, Error> {
        session.suspect();
        Ok(session.id)
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    assert_eq!(now(registry.scope(suspects())), Ok(0));
    assert_eq!(closed(&pool.snapshot(), CloseReason::Discarded), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_creation_is_the_users_error_and_tried_again() {
    #[resilient(pool = "sessions", circuit = "creation", retry(max = 1, budget = false))]
    async fn load(#[pooled] session: &mut Session) -> Result<u32, Error> {
        Ok(session.id)
    }

    let failures = |failures: u32| Sessions { failures: failures.into(), ..Sessions::default() };
    let (one, _) = registry(failures(1), 1);
    assert_eq!(one.scope(load()).await, Ok(0));
    let (two, _) = registry(failures(2), 1);
    assert_eq!(two.scope(load()).await, Err(Error::Connect(ConnectionRefused)));
    let circuit = two.circuit("creation").expect("it is declared").snapshot();
    assert_eq!((circuit.failed, circuit.succeeded), (2, 0));
}

#[test]
fn errors_that_tell_creating_from_checking_are_given_the_whole_story() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    enum Whole {
        #[error(transparent)]
        Pool(#[from] PoolError<ConnectionRefused>),
        #[error(transparent)]
        Refused(#[from] ResilienceError),
    }

    #[resilient(pool = "sessions")]
    async fn whole(#[pooled] _session: &mut Session) -> Result<(), Whole> {
        Ok(())
    }

    #[resilient(pool = "sessions")]
    async fn boxed(#[pooled] _session: &mut Session) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }

    #[resilient(pool = "sessions")]
    async fn any(#[pooled] _session: &mut Session) -> anyhow::Result<()> {
        Ok(())
    }

    #[resilient(pool = "sessions")]
    async fn maybe(#[pooled] _session: &mut Session) -> Option<()> {
        Some(())
    }

    let (registry, _) = registry(Sessions { failures: 4.into(), ..Sessions::default() }, 1);
    let text = "could not create a connection: connection refused";
    now(registry.scope(async {
        assert_eq!(whole().await, Err(Whole::Pool(PoolError::Create(ConnectionRefused))));
        assert_eq!(boxed().await.expect_err("it fails").to_string(), text);
        assert_eq!(any().await.expect_err("it fails").to_string(), text);
        assert_eq!(maybe().await, None);
    }));
}

/// Held connections leave a call without one: that says nothing about the dependency.
#[tokio::test(start_paused = true)]
async fn an_exhausted_pool_refuses_and_the_circuit_stays_neutral() {
    #[resilient(
        pool = "sessions",
        circuit(name = "exhausted", failure_threshold = 1, probes = 1, open_ms = 1_000),
        retry(max = 3, budget = false)
    )]
    async fn exhausting(#[pooled] session: &mut Session) -> Result<u32, Error> {
        Ok(session.id)
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    let circuit = registry.circuit("exhausted").expect("it is declared");
    let held = pool.acquire().await.expect("it is free");
    let start = Instant::now();
    let refusal = registry.scope(exhausting()).await.expect_err("the only connection is out");
    assert_eq!(
        refusal,
        Error::Refused(ResilienceError::PoolExhausted {
            pool: "sessions".into(),
            max: 1,
            waited: Duration::from_millis(100)
        })
    );
    assert_eq!(
        Instant::now().saturating_since(start),
        Duration::from_millis(100),
        "a refusal is not tried again"
    );
    assert!(circuit.is_closed());
    assert_eq!((circuit.snapshot().ignored, circuit.snapshot().failed), (1, 0));

    // A probe that gets no connection is given back.
    circuit.record_failure();
    assert_eq!(circuit.state(), CircuitState::Open);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(registry.scope(exhausting()).await.is_err());
    drop(held);
    assert_eq!(registry.scope(exhausting()).await, Ok(0));
    assert_eq!(circuit.state(), CircuitState::Closed);

    let site = registry.sites().into_iter().find(|site| site.name.ends_with("exhausting")).expect("listed");
    assert_eq!((site.calls, site.refused_elsewhere, site.succeeded, site.in_flight), (3, 2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_counts_under_the_timeout_of_the_attempt() {
    #[resilient(pool = "sessions", timeout_ms = 30, circuit = "waits")]
    async fn load(#[pooled] session: &mut Session) -> Result<u32, Error> {
        Ok(session.id)
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    let held = pool.acquire().await.expect("it is free");
    let start = Instant::now();
    let error = registry.scope(load()).await.expect_err("the only connection is out");
    assert!(matches!(error, Error::Refused(refusal) if refusal.kind() == ErrorKind::TimedOut));
    assert_eq!(Instant::now().saturating_since(start), Duration::from_millis(30));
    assert_eq!((pool.snapshot().waiting, pool.snapshot().cancelled), (0, 1));
    drop(held);
    assert_eq!(registry.scope(load()).await, Ok(0));
}

#[test]
fn a_closed_pool_and_an_open_circuit_of_the_pool_refuse() {
    let (registry, pool) = registry(Sessions::default(), 1);
    pool.close();
    let refusal = now(registry.scope(id())).expect_err("the pool is closed");
    assert_eq!(refusal, Error::Refused(ResilienceError::ShutDown { name: "sessions".into() }));

    let registry = Registry::new();
    let circuit = Arc::new(CircuitBreaker::builder("db").build().expect("settings in range"));
    circuit.force_open();
    let pool = ConnectionPool::builder("sessions", Sessions::default()).circuit(circuit);
    registry.register_pool(pool.build().expect("settings in range")).expect("the name is free");
    let refusal = now(registry.scope(id())).expect_err("nothing may be created");
    assert!(matches!(refusal, Error::Refused(refusal) if refusal.kind() == ErrorKind::CircuitOpen));
}

#[test]
fn a_fallback_answers_for_a_pool_that_refuses() {
    #[resilient(pool = "sessions", fallback = |_| Ok(default))]
    async fn load(#[pooled] session: &mut Session, default: u32) -> Result<u32, Error> {
        Ok(session.id)
    }

    assert_eq!(now(Registry::new().scope(load(9))), Ok(9));
}

/// Dropped after each number of polls, a call leaves no connection out and no call in flight.
#[test]
fn a_call_that_is_dropped_at_any_await_leaks_nothing() {
    #[resilient(pool = "sessions", circuit = "dropped", retry(max = 1, budget = false), bulkhead = 1)]
    async fn steps(#[pooled] session: &mut Session) -> Result<u32, Error> {
        for _ in 0..3 {
            yield_now().await;
            session.used += 1;
        }
        Ok(session.id)
    }

    let (registry, pool) = registry(Sessions::default(), 1);
    let mut ended = false;
    for polls in 0..5 {
        let mut call = Box::pin(registry.scope(steps()));
        for _ in 0..polls {
            ended |= call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        drop(call);
        assert_eq!(pool.snapshot().active, 0, "after {polls} polls");
    }
    assert!(ended);
    let site = registry.sites().into_iter().find(|site| site.name.ends_with("steps")).expect("listed");
    assert_eq!((site.calls, site.cancelled, site.succeeded, site.in_flight), (4, 3, 1, 0));
    let circuit = registry.circuit("dropped").expect("it is declared").snapshot();
    assert_eq!((circuit.cancelled, circuit.succeeded), (3, 1));
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// What a connection may not be sent with, the future may not either; everything else is as without the attribute.
#[test]
fn the_future_is_send() {
    fn send<T: Send>(future: T) -> T {
        future
    }
    let (registry, _) = registry(Sessions::default(), 1);
    let outcomes = [Ok(())];
    let seen = AtomicUsize::new(0);
    let call = pin!(send(registry.scope(answers(&seen, &outcomes))));
    assert_eq!(now(call), Ok(0));
}

#[resilient(circuit = "tenant-{tenant}", pool = "sessions")]
async fn of_tenant(#[pooled] session: &mut Pooled<Sessions>, tenant: u8) -> Result<u8, Error> {
    session.used += 1;
    Ok(tenant)
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_name_that_a_thread_keeps_keeps_no_connections() {
    let registry = Registry::new();
    let pool = ConnectionPool::builder("sessions", Sessions::default()).build().expect("valid settings");
    let pool = Arc::downgrade(&registry.register_pool(pool).expect("the name is free"));
    assert_eq!(registry.scope(of_tenant(1)).await, Ok(1));
    assert_ne!(pool.strong_count(), 0);
    drop(registry);
    assert_eq!(pool.strong_count(), 0);
}
