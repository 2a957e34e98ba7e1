//! Names that calls make up.

use std::{sync::Arc, time::Duration};

use resilience_runtime::{CircuitBreaker, CircuitState, ErrorClass, ErrorKind, Event, Registry, resilient};

use crate::error::TestError;

#[resilient(circuit(name = "host-{host}", failure_threshold = 1), bulkhead = 2)]
async fn fetch(host: &str, fail: bool) -> Result<(), TestError> {
    if fail { Err(TestError::Failed(ErrorClass::Transient)) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn each_name_has_a_circuit_of_its_own() {
    let registry = Registry::new();
    registry.scope(fetch("a", true)).await.unwrap_err();
    registry.scope(fetch("b", false)).await.unwrap();
    assert_eq!(registry.circuit("host-a").unwrap().state(), CircuitState::Open);
    assert_eq!(registry.circuit("host-b").unwrap().state(), CircuitState::Closed);
    assert_eq!(registry.bulkhead("host-b").unwrap().max(), 2);
    assert!(registry.circuit("host-c").is_none() && registry.circuit("host-{host}").is_none());
    let refused = registry.scope(fetch("a", false)).await.unwrap_err().refusal();
    assert_eq!((refused.kind(), refused.name()), (ErrorKind::CircuitOpen, "host-a"));
    assert_eq!(registry.dynamic_names().names, 2);
    assert_eq!(registry.site("behaviour::dynamic::fetch").unwrap().calls, 3);
}

struct Tenant {
    id: u32,
}

impl Tenant {
    #[resilient(
        circuit(name = "t-{tenant}", tenant = self.id),
        bulkhead(name = "b-{shard:02}", max = 1),
        retry = 1
    )]
    async fn query(&self, shard: u8) -> Result<u8, TestError> {
        Ok(shard)
    }
}

#[tokio::test(start_paused = true)]
async fn circuit_and_bulkhead_have_templates_of_their_own_with_named_arguments() {
    let registry = Registry::new();
    for (id, shard) in [(1, 7), (2, 7), (12, 3)] {
        registry.scope(Tenant { id }.query(shard)).await.unwrap();
    }
    assert!(registry.circuit("t-1").is_some() && registry.circuit("t-12").is_some());
    let shared = registry.bulkhead("b-07").unwrap();
    assert_eq!((shared.snapshot().accepted, registry.dynamic_names().names), (2, 3));
}

#[resilient(circuit(name = "split-{one}"), bulkhead(name = "split-{two}", max = 1))]
async fn split(one: &str, two: &str) -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn names_that_read_alike_together_are_told_apart() {
    let registry = Registry::new();
    registry.scope(split("ab", "c")).await.unwrap();
    registry.scope(split("a", "split-bc")).await.unwrap();
    registry.scope(split("absplit-", "c")).await.unwrap();
    registry.scope(split("ab", "split-c")).await.unwrap();
    let circuit = |one: &str| registry.circuit(&format!("split-{one}")).unwrap().snapshot().succeeded;
    let bulkhead = |two: &str| registry.bulkhead(&format!("split-{two}")).unwrap().snapshot().accepted;
    assert_eq!(["ab", "a", "absplit-"].map(circuit), [2, 1, 1]);
    assert_eq!(["c", "split-bc", "split-c"].map(bulkhead), [2, 1, 1]);
}

#[resilient(rate_limit(name = "limit-{id}", max = 1, per_ms = 60_000))]
async fn limited(id: u32) -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_limiter_alone_may_have_a_template() {
    let registry = Registry::new();
    assert!(registry.limiter("limit-{id}").is_none());
    registry.scope(limited(1)).await.unwrap();
    registry.scope(limited(2)).await.unwrap();
    registry.scope(limited(1)).await.unwrap_err();
    assert!(registry.limiter("limit-1").is_some() && registry.limiter("limit-{id}").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_limiter_is_held_is_not_dropped() {
    let registry = Registry::new();
    registry.scope(limited(1)).await.unwrap();
    let held = registry.limiter("limit-1").unwrap();
    registry.scope(limited(2)).await.unwrap();
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!((registry.dynamic_names().names, registry.dynamic_names().evicted), (1, 1));
    drop(held);
    assert_eq!((registry.dynamic_names().names, registry.dynamic_names().evicted), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hostile_name_harms_nothing() {
    let registry = Registry::new();
    let long = "x".repeat(10_000);
    for host in [&*long, "a\nb\u{1b}[31m", "", "\u{1f}[1, 2]", "é".repeat(5_000).as_str()] {
        registry.scope(fetch(host, true)).await.unwrap_err();
        let refused = registry.scope(fetch(host, false)).await.unwrap_err().refusal();
        assert!(refused.to_string().chars().all(|c| !c.is_control()));
        assert!(registry.circuit(&format!("host-{host}")).unwrap().is_open());
    }
    assert!(registry.circuits().iter().all(|circuit| circuit.name().len() <= 256));
    assert!(registry.health().to_string().lines().all(|line| line.chars().count() <= 100));
}

#[tokio::test(start_paused = true)]
async fn guarantee_10_a_million_distinct_names_stay_within_the_bound() {
    let registry = Registry::new().max_dynamic_names(100);
    for host in 0..1_000_000 {
        registry.scope(fetch(&host.to_string(), false)).await.unwrap();
    }
    let names = registry.dynamic_names();
    assert_eq!((names.names, names.most, names.evicted, names.shared), (100, 100, 999_900, 0));
    let host_circuits = registry.circuits().iter().filter(|it| it.name().starts_with("host-")).count();
    assert_eq!(host_circuits, 100);
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_names_that_cannot_go_make_further_ones_share_an_entry() {
    let registry = Registry::new().max_dynamic_names(2);
    let mut events = registry.subscribe();
    registry.scope(fetch("open", true)).await.unwrap_err();
    registry.scope(fetch("held", false)).await.unwrap();
    let held = registry.circuit("host-held").unwrap();
    for host in ["x", "y"] {
        registry.scope(fetch(host, false)).await.unwrap();
        assert!(registry.circuit(&format!("host-{host}")).is_none());
    }
    assert_eq!(registry.circuit("host-{host}").unwrap().snapshot().succeeded, 2);
    let names = registry.dynamic_names();
    assert_eq!((names.names, names.evicted, names.shared), (2, 0, 2));
    let told = std::iter::from_fn(|| events.try_recv())
        .filter(|event| matches!(event, Event::NamesAtCapacity { .. }))
        .count();
    assert_eq!(told, 1);
    // Let go of one, and there is room again.
    drop(held);
    registry.scope(fetch("z", false)).await.unwrap();
    assert!(registry.circuit("host-z").is_some() && registry.circuit("host-held").is_none());
    assert!(registry.circuit("host-open").is_some_and(|circuit| circuit.is_open()));
}

#[tokio::test(start_paused = true)]
async fn names_nobody_uses_are_dropped_after_ten_minutes() {
    let registry = Registry::new();
    registry.scope(fetch("idle", false)).await.unwrap();
    tokio::time::advance(Duration::from_secs(300)).await;
    registry.scope(fetch("busy", false)).await.unwrap();
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(registry.dynamic_names().names, 2);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(registry.dynamic_names().names, 1);
    assert!(registry.circuit("host-idle").is_none() && registry.circuit("host-busy").is_some());
}

#[tokio::test(start_paused = true)]
async fn settings_given_to_a_name_go_with_it_unless_it_is_held_or_registered() {
    let registry = Registry::new();
    let registered = CircuitBreaker::builder("host-registered").failure_threshold(7).build().unwrap();
    registry.register_circuit(registered).unwrap();
    let circuit = |host| registry.circuit(&format!("host-{host}")).unwrap();
    let call_all = async || {
        for host in ["left", "held", "registered"] {
            registry.scope(fetch(host, false)).await.unwrap();
        }
    };
    call_all().await;
    for host in ["left", "held"] {
        circuit(host).configure(circuit(host).settings().failure_threshold(7)).unwrap();
    }
    let held = circuit("held");
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(registry.dynamic_names().evicted, 2);
    call_all().await;
    let thresholds =
        ["left", "held", "registered"].map(|it| circuit(it).settings().rules().failure_threshold);
    assert_eq!(thresholds, [Some(1), Some(7), Some(7)]);
    drop(held);
}

#[resilient(circuit(name = "slow-{host}"))]
async fn slow(host: &str) -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_name_with_a_call_under_way_is_never_dropped() {
    let registry = Registry::new().max_dynamic_names(1);
    let mut call = tokio_test::task::spawn(registry.scope(slow("a")));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_secs(900)).await;
    registry.scope(fetch("b", false)).await.unwrap();
    assert_eq!(registry.dynamic_names().names, 1);
    assert!(registry.circuit("slow-a").is_some());
}

#[test]
fn a_thread_keeps_the_name_it_used_last() {
    let registry = Registry::new().max_dynamic_names(1);
    let call = |host| tokio_test::block_on(registry.scope(fetch(host, false))).unwrap();
    std::thread::scope(|threads| {
        let (called, wait) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let keeper = threads.spawn(move || {
            call("a");
            called.send(()).unwrap();
            ended.recv().unwrap_err();
        });
        wait.recv().unwrap();
        call("b");
        assert_eq!((registry.dynamic_names().evicted, registry.dynamic_names().shared), (0, 1));
        drop(end);
        keeper.join().unwrap();
    });
    for (host, evicted) in [("c", 1), ("c", 1), ("d", 2), ("c", 3)] {
        call(host);
        assert_eq!((registry.dynamic_names().evicted, registry.dynamic_names().shared), (evicted, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_takes_its_dynamic_circuits_with_it_once_the_thread_calls_another() {
    let registry = Registry::new();
    registry.scope(fetch("a", false)).await.unwrap();
    let circuit = Arc::downgrade(&registry.circuit("host-a").unwrap());
    drop(registry);
    Registry::new().scope(fetch("a", false)).await.unwrap();
    assert_eq!(circuit.strong_count(), 0, "the same name of another registry is another name");
}

/// With room for each thread of the test: one may be interrupted at any moment, with a slot in its hands.
#[resilient(circuit(name = "many-{host}"), bulkhead = 4)]
async fn fetch_at_once(host: &str) -> Result<(), TestError> {
    let _ = host;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_making_the_same_names_agree() {
    let registry = Registry::new().max_dynamic_names(64);
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for call in 0..2_000 {
                    let host = ((call * 7 + task) % 200).to_string();
                    registry.scope(fetch_at_once(&host)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let names = registry.dynamic_names();
    assert!(names.names <= 64, "{names:?}");
    let circuits: Vec<_> =
        registry.circuits().into_iter().filter(|it| it.name().starts_with("many-")).collect();
    // Each name, and perhaps the shared entry.
    assert!(circuits.len() <= 65, "{}", circuits.len());
    assert_eq!(registry.site("behaviour::dynamic::fetch_at_once").unwrap().succeeded, 32_000);
    assert!(circuits.iter().all(|circuit| Arc::strong_count(circuit) <= 3));
}

#[resilient(
    circuit(name = "fixed-api", failure_threshold = 3),
    bulkhead(name = "fixed-db", max = 10),
    rate_limit(name = "fixed-user-{user}", max = 100)
)]
async fn beside_a_template(user: u32, fail: bool) -> Result<(), TestError> {
    if fail { Err(TestError::Failed(ErrorClass::Transient)) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_name_beside_a_template_is_there_from_the_start_and_stays() {
    let registry = Registry::new();
    let circuit = registry.circuit("fixed-api").expect("known before the first call");
    assert_eq!(registry.bulkhead("fixed-db").unwrap().max(), 10);
    assert!(registry.limiter("fixed-user-{user}").is_none());
    circuit.configure(circuit.settings().failure_threshold(4)).unwrap();
    drop(circuit);
    for user in 0..3 {
        registry.scope(beside_a_template(user, true)).await.unwrap_err();
        tokio::time::advance(Duration::from_secs(601)).await;
        assert_eq!(registry.dynamic_names().names, 0, "the quota of user {user} went");
    }
    registry.scope(beside_a_template(3, true)).await.unwrap_err();
    let circuit = registry.circuit("fixed-api").unwrap();
    assert_eq!((circuit.state(), circuit.snapshot().failed), (CircuitState::Open, 4));
    circuit.force_open();
    drop(circuit);
    registry.scope(beside_a_template(9, false)).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(registry.dynamic_names().names, 0, "an open circuit that stays anyway keeps no name");
}

#[resilient(rate_limit(name = "hourly-{user}", max = 5, per_ms = 3_600_000))]
async fn hourly(user: u32) -> Result<(), TestError> {
    Ok(())
}

async fn served(registry: &Registry, user: u32, calls: usize) -> usize {
    let mut served = 0;
    for _ in 0..calls {
        served += usize::from(registry.scope(hourly(user)).await.is_ok());
    }
    served
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_partly_used_is_not_dropped() {
    let registry = Registry::new().max_dynamic_names(2);
    assert_eq!(served(&registry, 1, 50).await, 5);
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(registry.dynamic_names().names, 1);
    for user in 2..20 {
        served(&registry, user, 1).await;
    }
    assert_eq!(served(&registry, 1, 50).await, 0, "not an hour has passed, whoever else came");
    tokio::time::advance(Duration::from_secs(7_200)).await;
    assert_eq!(registry.dynamic_names().names, 0);
}

#[resilient(circuit = "two-{a}", bulkhead(name = "names-{b}", max = 1))]
async fn two_names(a: &str, b: &str) -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_names_are_never_taken_for_two_others() {
    let registry = Registry::new();
    for (a, b) in [("x", "yz"), ("xy", "z"), ("xyz", ""), ("", "xyz"), ("xyz\u{1f}5", "")] {
        registry.scope(two_names(a, b)).await.unwrap();
        assert!(registry.circuit(&format!("two-{a}")).is_some());
        assert!(registry.bulkhead(&format!("names-{b}")).is_some());
    }
    assert_eq!(registry.dynamic_names().names, 5);
}

#[tokio::test(start_paused = true)]
async fn a_health_report_drops_idle_names_of_every_kind() {
    let registry = Registry::new();
    registry.scope(fetch("a", false)).await.unwrap();
    registry.scope(hourly(1)).await.unwrap();
    registry.scope(two_names("a", "b")).await.unwrap();
    tokio::time::advance(Duration::from_secs(86_400)).await;
    let report = registry.health();
    assert_eq!((report.dynamic_names.names, report.dynamic_names.evicted), (0, 3));
}
