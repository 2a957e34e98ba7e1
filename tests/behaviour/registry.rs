//! The registry: declared names, lookup, scopes, conflicts, events, shutdown.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use resilience_runtime::{
    CircuitBreaker, CircuitState, ConnectionPool, ErrorClass, ErrorKind, Event, Manager, Registry,
    WorkerPool, registry, resilient,
};

use crate::error::TestError;

#[resilient(circuit(name = "declared", failure_threshold = 2), bulkhead = 3, rate_limit = 50)]
async fn never_called() -> Result<(), TestError> {
    Ok(())
}

#[test]
fn everything_declared_is_listed_before_its_first_call() {
    let process = registry();
    assert_eq!(process.circuit("declared").unwrap().state(), CircuitState::Closed);
    assert_eq!(process.bulkhead("declared").unwrap().max(), 3);
    assert_eq!(process.limiter("declared").unwrap().available(), 50);
    assert_eq!(process.site("behaviour::registry::never_called").unwrap().calls, 0);
    let names: Vec<_> = process.circuits().iter().map(|circuit| circuit.name().to_owned()).collect();
    assert!(names.is_sorted() && names.iter().any(|name| name == "declared"));
    drop(never_called());
}

#[test]
fn looking_up_a_mistyped_name_is_none_and_creates_nothing() {
    let registry = Registry::new();
    let before = registry.circuits().len();
    for name in ["declard", "", "declared ", &"x".repeat(10_000), "a\u{0}b"] {
        assert!(registry.circuit(name).is_none() && registry.bulkhead(name).is_none());
        assert!(registry.limiter(name).is_none() && registry.site(name).is_none());
    }
    assert_eq!(registry.circuits().len(), before);
}

#[test]
fn a_name_is_registered_once() {
    let registry = Registry::new();
    let circuit = |name: &str| CircuitBreaker::builder(name).build().unwrap();
    let mine = registry.register_circuit(circuit("mine")).unwrap();
    assert!(std::sync::Arc::ptr_eq(&mine, &registry.circuit("mine").unwrap()));
    for taken in ["mine", "declared"] {
        let error = registry.register_circuit(circuit(taken)).unwrap_err();
        assert_eq!(error.name(), taken);
        assert_eq!(
            error.to_string(),
            format!(
                "circuit `{taken}` is registered already; look it up and `configure` it, or choose another name"
            )
        );
    }
}

#[resilient(circuit(name = "settings", failure_threshold = 1))]
async fn fails() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn settings_from_code_beat_declarations_and_keep_the_entry() {
    let registry = Registry::new();
    let circuit = registry.circuit("settings").unwrap();
    circuit.configure(circuit.settings().failure_threshold(3)).unwrap();
    for expected in [false, false, true] {
        registry.scope(fails()).await.unwrap_err();
        assert_eq!(circuit.is_open(), expected);
    }
    let error = circuit.configure(circuit.settings().probes(0)).unwrap_err();
    assert_eq!((error.key, circuit.is_open()), ("probes", true));
}

#[tokio::test(start_paused = true)]
async fn registries_share_no_state_and_tasks_do_not_inherit_a_scope() {
    let (one, two) = (Registry::new(), Registry::new());
    one.circuit("settings").unwrap().force_open();
    let in_scope = one.scope(async {
        let nested = two.scope(fails()).await.unwrap_err();
        assert!(matches!(nested, TestError::Failed(_)));
        let refused = fails().await.unwrap_err().refusal();
        let spawned = tokio::spawn(async { Registry::current().circuit("settings").unwrap().state() });
        (refused.kind(), spawned.await.unwrap())
    });
    assert_eq!(in_scope.await, (ErrorKind::CircuitOpen, CircuitState::Closed));
    assert!(two.circuit("settings").unwrap().is_open(), "tripped by its own failure");
}

mod rivals {
    //! Two functions that disagree about one circuit.
    use super::{TestError, resilient};

    #[resilient(circuit(name = "disputed", open_ms = 1_000), bulkhead = 5)]
    pub(super) async fn first() -> Result<(), TestError> {
        Ok(())
    }

    #[resilient(circuit(name = "disputed", open_ms = 2_000), bulkhead = 5)]
    pub(super) async fn second() -> Result<(), TestError> {
        Ok(())
    }

    #[resilient(circuit = "disputed")]
    pub(super) async fn joins() -> Result<(), TestError> {
        Ok(())
    }
}

#[tokio::test]
async fn conflicting_declarations_are_reported_and_the_first_wins() {
    let registry = Registry::new();
    let (first, second, joins) = tokio::join!(
        registry.scope(rivals::first()),
        registry.scope(rivals::second()),
        registry.scope(rivals::joins())
    );
    assert!(first.is_ok() && second.is_ok() && joins.is_ok());
    let conflicts: Vec<_> =
        registry.conflicts().into_iter().filter(|conflict| conflict.name == "disputed").collect();
    let told: Vec<_> = conflicts
        .iter()
        .map(|conflict| (conflict.kind, conflict.key, &*conflict.used, &*conflict.ignored))
        .collect();
    let expected = [("circuit", "open_ms", "1s", "2s"), ("circuit", "half_open_max_ms", "1s", "2s")];
    assert_eq!(told, expected);
    assert!(conflicts[0].used_at.line < conflicts[0].ignored_at.line);
    assert!(conflicts[0].used_at.file.ends_with("registry.rs"));
    assert!(registry.unhealthy().iter().any(|item| item.kind == "conflict" && item.name == "disputed"));
    // All three go through one circuit.
    assert_eq!(registry.circuit("disputed").unwrap().snapshot().succeeded, 3);
}

#[tokio::test(start_paused = true)]
async fn events_tell_what_happened_and_a_slow_reader_never_holds_up_a_call() {
    let registry = Registry::new();
    let mut events = registry.subscribe();
    let known = registry.conflicts().len();
    for conflict in registry.conflicts() {
        assert_eq!(events.recv().await, Some(Event::Conflict(conflict)));
    }
    assert!(known > 0, "the disputed circuit");
    registry.scope(fails()).await.unwrap_err();
    registry.scope(fails()).await.unwrap_err();
    let Some(Event::Transition(change)) = events.recv().await else { panic!("the trip comes first") };
    assert_eq!((change.circuit, change.to), ("settings".into(), CircuitState::Open));
    let site = resilience_runtime::Name::from("behaviour::registry::fails");
    assert_eq!(events.recv().await, Some(Event::Refused { site, kind: ErrorKind::CircuitOpen }));
    for _ in 0..3_000 {
        registry.scope(fails()).await.unwrap_err();
    }
    assert!(events.recv().await.is_some());
    assert_eq!(events.lost(), 3_000 - 1_024);
    drop(registry);
    while events.recv().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn reset_closes_circuits_and_starts_the_numbers_at_zero() {
    let registry = Registry::new();
    registry.scope(fails()).await.unwrap_err();
    registry.reset();
    let (circuit, site) =
        (registry.circuit("settings").unwrap(), registry.site("behaviour::registry::fails").unwrap());
    assert_eq!((circuit.state(), circuit.snapshot().failed), (CircuitState::Closed, 0));
    assert_eq!((site.calls, site.failed, site.latency), (0, 0, None));
}

struct Numbers;

impl Manager for Numbers {
    type Connection = u8;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<u8, Self::Error> {
        Ok(7)
    }
}

#[tokio::test(start_paused = true)]
async fn reset_starts_the_numbers_of_pools_at_zero_and_leaves_what_is_in_them() {
    let registry = Registry::new();
    let pool = registry.register_pool(ConnectionPool::builder("numbers", Numbers).build().unwrap()).unwrap();
    let workers =
        registry.register_worker_pool(WorkerPool::builder("sums").threads(1).build().unwrap()).unwrap();
    // First, because time goes on while this waits for a thread, and with it the upkeep of the pool.
    workers.run(|| 1 + 1).await.unwrap();
    let connection = pool.acquire().await.unwrap();
    drop(pool.acquire().await.unwrap());
    registry.reset();
    let (pool, workers) = (pool.snapshot(), workers.stats());
    assert_eq!((pool.acquired, pool.created, pool.wait, pool.in_use), (0, 0, None, None));
    assert_eq!((pool.active, pool.idle, *connection), (1, 1, 7));
    assert_eq!((workers.completed, workers.wait, workers.run), (0, None, None));
}

#[test]
fn a_pool_is_found_by_its_name_and_by_what_makes_its_connections() {
    struct Others;

    impl Manager for Others {
        type Connection = u8;
        type Error = std::convert::Infallible;

        async fn create(&self) -> Result<u8, Self::Error> {
            Ok(9)
        }
    }

    let registry = Registry::new();
    let pool = registry.register_pool(ConnectionPool::builder("numbers", Numbers).build().unwrap()).unwrap();
    assert_eq!(registry.pool("numbers").unwrap().name(), "numbers");
    assert!(std::sync::Arc::ptr_eq(&registry.pool_of::<Numbers>("numbers").unwrap(), &pool));
    assert!(registry.pool_of::<Others>("numbers").is_none() && registry.pool("others").is_none());
}

#[resilient(
    circuit(name = "overdrawn", failure_rate = 1.0, window = 100_000, min_calls = 100_000),
    retry(max = 3, delay_ms = 1, jitter = "none")
)]
async fn overdrawn(attempts: &AtomicU32) -> Result<(), TestError> {
    attempts.fetch_add(1, Ordering::Relaxed);
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn reset_fills_the_retry_budgets() {
    let (registry, attempts) = (Registry::new(), AtomicU32::new(0));
    for _ in 0..500 {
        registry.scope(overdrawn(&attempts)).await.unwrap_err();
    }
    assert!(attempts.swap(0, Ordering::Relaxed) < 2_000, "the budget is used up");
    registry.reset();
    for _ in 0..10 {
        registry.scope(overdrawn(&attempts)).await.unwrap_err();
    }
    assert_eq!(attempts.into_inner(), 40, "all of them, as in a new registry");
}

#[resilient(bulkhead(max = 1, queue = 1, wait_ms = 60_000, name = "slow"))]
async fn slow() -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn shutdown_refuses_new_calls_and_waits_for_running_ones() {
    let registry = Registry::new();
    let start = tokio::time::Instant::now();
    let mut running = tokio_test::task::spawn(registry.scope(slow()));
    let mut queued = tokio_test::task::spawn(registry.scope(slow()));
    assert!(running.poll().is_pending() && queued.poll().is_pending());
    assert!(!registry.shutdown(Duration::from_secs(1)).await, "one is still running");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert!(queued.is_woken());
    let refused = tokio_test::assert_ready_err!(queued.poll()).refusal();
    assert_eq!(refused.kind(), ErrorKind::ShutDown);
    let refused = registry.scope(slow()).await.unwrap_err().refusal();
    assert_eq!(refused.to_string(), "`behaviour::registry::slow` is shut down");
    let (ended, result) = tokio::join!(registry.shutdown(Duration::from_secs(60)), async {
        std::future::poll_fn(|_| running.poll()).await
    });
    assert!(ended && result.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_calls_connections_and_jobs() {
    const WAIT: Duration = Duration::from_secs(1);
    let new = || {
        let registry = Registry::new();
        let pool = ConnectionPool::builder("numbers", Numbers).build().unwrap();
        let pool = registry.register_pool(pool).unwrap();
        let workers = WorkerPool::builder("sums").threads(1).build().unwrap();
        let workers = registry.register_worker_pool(workers).unwrap();
        (registry, pool, workers)
    };

    let (registry, pool, _) = new();
    drop(pool.acquire().await.unwrap());
    assert!(registry.shutdown(WAIT).await);
    assert!(pool.acquire().await.is_err());

    let (registry, ..) = new();
    let mut running = tokio_test::task::spawn(registry.scope(slow()));
    assert!(running.poll().is_pending());
    assert!(!registry.shutdown(WAIT).await);

    let (registry, pool, _) = new();
    let held = pool.acquire().await.unwrap();
    assert!(!registry.shutdown(WAIT).await);
    drop(held);

    let (registry, _, workers) = new();
    let (started, begun) = tokio::sync::oneshot::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let mut job = tokio_test::task::spawn(workers.run(move || {
        let _ = started.send(());
        ended.recv().is_err()
    }));
    assert!(job.poll().is_pending());
    begun.await.unwrap();
    assert!(!registry.shutdown(WAIT).await);
    drop(end);
}

#[test]
fn a_registry_at_rest_shuts_down_without_a_timer() {
    let registry = Registry::new();
    let mut shutdown = tokio_test::task::spawn(registry.shutdown(Duration::from_secs(60)));
    assert!(shutdown.poll().is_pending(), "it looks twice");
    assert!(shutdown.is_woken());
    assert!(tokio_test::assert_ready!(shutdown.poll()), "nothing was under way");
}

#[resilient(rate_limit(max = 1, per_ms = 1_000, wait_ms = 60_000))]
async fn limited() -> Result<(), TestError> {
    Ok(())
}

#[resilient(circuit = "backing off", retry(max = 1, delay_ms = 1_000, jitter = "none"))]
async fn backs_off() -> Result<(), TestError> {
    Err(TestError::Failed(ErrorClass::Transient))
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_a_backoff_and_lets_a_turn_come() {
    let registry = Registry::new();
    registry.scope(limited()).await.unwrap();
    let (turn, backoff, ended) = tokio::join!(
        registry.scope(limited()),
        registry.scope(backs_off()),
        registry.shutdown(Duration::from_secs(60))
    );
    assert!(turn.is_ok() && ended);
    assert_eq!(backoff.unwrap_err().refusal().kind(), ErrorKind::ShutDown);
}

#[resilient]
async fn measured() -> u8 {
    tokio::task::yield_now().await;
    7
}

#[resilient(retry(max = 1, delay_ms = 1_000, jitter = "none"))]
async fn only_retried(attempts: &AtomicU32) -> Result<u8, String> {
    if attempts.fetch_add(1, Ordering::Relaxed) == 0 { Err("not yet".into()) } else { Ok(measured().await) }
}

/// They have no place for a refusal.
#[tokio::test(start_paused = true)]
async fn functions_that_nothing_can_refuse_go_on_after_a_shutdown() {
    let (registry, attempts) = (Registry::new(), AtomicU32::new(0));
    let (retried, ended) =
        tokio::join!(registry.scope(only_retried(&attempts)), registry.shutdown(Duration::from_secs(60)));
    assert_eq!((retried, ended), (Ok(7), true));
    assert_eq!(registry.scope(measured()).await, 7);
    let site = registry.site("behaviour::registry::measured").unwrap();
    assert_eq!((site.calls, site.succeeded), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn circuits_registered_later_draw_from_the_seed_as_well() {
    let open_times = |seed| async move {
        let registry = Registry::new().jitter_seed(seed);
        let circuit = CircuitBreaker::builder("registered later")
            .failure_threshold(1)
            .open(Duration::from_millis(100))
            .open_max(Duration::from_secs(10))
            .build()
            .unwrap();
        let circuit = registry.register_circuit(circuit).unwrap();
        circuit.record_failure();
        tokio::time::advance(Duration::from_millis(100)).await;
        circuit.record_failure();
        circuit.snapshot().next_probe_in
    };
    assert_eq!(open_times(7).await, open_times(7).await);
    assert_ne!(open_times(7).await, open_times(8).await);
}

#[tokio::test(start_paused = true)]
async fn pools_draw_from_the_seed_whenever_they_are_registered() {
    let lifetime = |seed, seeded_first| async move {
        let registry = Registry::new();
        let registry = if seeded_first { registry.jitter_seed(seed) } else { registry };
        let pool = ConnectionPool::builder("registered later", Numbers)
            .max_lifetime(Duration::from_secs(1))
            .build()
            .unwrap();
        let pool = registry.register_pool(pool).unwrap();
        let _registry = if seeded_first { registry } else { registry.jitter_seed(seed) };
        drop(pool.acquire().await.unwrap());
        let (mut upkeep, created) = (tokio_test::task::spawn(pool.maintain()), tokio::time::Instant::now());
        while pool.snapshot().idle > 0 {
            assert!(upkeep.poll().is_pending());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        created.elapsed()
    };
    assert_eq!(lifetime(7, true).await, lifetime(7, false).await);
    assert_ne!(lifetime(7, true).await, lifetime(8, true).await);
}
