//! fallback > total timeout > retry > circuit peek > rate limit > bulkhead > circuit permit > attempt timeout > body

use std::time::Duration;

use resilience_runtime::{CircuitState, ErrorClass, ErrorKind, Registry, resilient};

use crate::error::TestError;

#[resilient(
    circuit(name = "order", failure_threshold = 1, open_ms = 1_000, probes = 1),
    rate_limit(max = 1, per_ms = 10_000),
    bulkhead(max = 1, queue = 5, wait_ms = 10_000)
)]
async fn order(fail: bool) -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    if fail { Err(TestError::Failed(ErrorClass::Transient)) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_before_anything_is_taken() {
    let registry = Registry::new();
    registry.circuit("order").unwrap().force_open();
    let refused = registry.scope(order(false)).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::CircuitOpen);
    assert_eq!(registry.limiter("order").unwrap().available(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_stands_before_the_bulkhead() {
    let registry = Registry::new();
    let mut first = tokio_test::task::spawn(registry.scope(order(false)));
    assert!(first.poll().is_pending());
    let refused = registry.scope(order(false)).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
}

#[resilient(
    circuit(name = "late", failure_threshold = 1, open_ms = 1_000, probes = 1),
    bulkhead(max = 1, queue = 5, wait_ms = 10_000)
)]
async fn late(fail: bool) -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    if fail { Err(TestError::Failed(ErrorClass::Transient)) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opened_while_a_call_was_queued_refuses_it() {
    let registry = Registry::new();
    let (first, queued) = tokio::join!(registry.scope(late(true)), registry.scope(late(false)));
    assert!(matches!(first, Err(TestError::Failed(_))));
    assert_eq!(queued.unwrap_err().refusal().kind(), ErrorKind::CircuitOpen);
    assert_eq!(registry.bulkhead("late").unwrap().available(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_waiting_in_the_queue_holds_no_probe() {
    let registry = Registry::new();
    let circuit = registry.circuit("late").unwrap();
    registry.scope(late(true)).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
    let held = registry.bulkhead("late").unwrap().try_acquire_owned().unwrap();
    let mut queued = tokio_test::task::spawn(registry.scope(late(false)));
    assert!(queued.poll().is_pending());
    assert_eq!(circuit.snapshot().probes_admitted, 0);
    drop((held, queued));
    // The only probe is still to be had.
    registry.scope(late(false)).await.unwrap();
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_the_bulkhead_refuses_takes_no_slot() {
    let registry = Registry::new();
    registry.scope(late(true)).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(1)).await;
    let held = registry.bulkhead("late").unwrap().try_acquire_owned().unwrap();
    let refused = tokio::time::timeout(Duration::from_secs(20), registry.scope(late(false))).await.unwrap();
    assert_eq!(
        refused.unwrap_err().refusal().to_string(),
        "bulkhead `late` is full with 1 running after waiting 10.0 s"
    );
    assert_eq!(registry.circuit("late").unwrap().snapshot().probes_admitted, 0);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_in_the_queue_gives_no_slot_back() {
    let registry = Registry::new();
    let bulkhead = registry.bulkhead("late").unwrap();
    let held = bulkhead.try_acquire_owned().unwrap();
    let mut queued = tokio_test::task::spawn(registry.scope(late(false)));
    assert!(queued.poll().is_pending());
    drop((queued, held));
    let only = bulkhead.try_acquire().unwrap();
    assert_eq!(bulkhead.try_acquire().unwrap_err().kind(), ErrorKind::BulkheadFull);
    drop(only);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_to_queue_counts_one_attempt() {
    let registry = Registry::new();
    let held = registry.bulkhead("late").unwrap().try_acquire_owned().unwrap();
    let mut queued = tokio_test::task::spawn(registry.scope(late(false)));
    assert!(queued.poll().is_pending());
    drop(held);
    queued.await.unwrap();
    let site = registry.site("behaviour::order::late").unwrap();
    assert_eq!((site.calls, site.attempts, site.succeeded), (1, 1, 1));
}

#[resilient(rate_limit(max = 1, per_ms = 10_000), bulkhead(max = 1, name = "crowded"))]
async fn crowded() -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_the_bulkhead_refuses_gives_its_turn_back() {
    let registry = Registry::new();
    let held = registry.bulkhead("crowded").unwrap().try_acquire_owned().unwrap();
    let refused = registry.scope(crowded()).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::BulkheadFull);
    drop(held);
    registry.scope(crowded()).await.unwrap();
    let refused = registry.scope(crowded()).await.unwrap_err().refusal();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    let site = registry.site("behaviour::order::crowded").unwrap();
    assert_eq!((site.refused_by_bulkhead, site.refused_by_limiter, site.succeeded), (1, 1, 1));
}

#[resilient(timeout_ms = 50, bulkhead(max = 1, queue = 1, wait_ms = 10_000, name = "patient"))]
async fn patient() -> Result<(), TestError> {
    tokio::time::sleep(Duration::from_millis(40)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_after_the_queue() {
    let registry = Registry::new();
    let held = registry.bulkhead("patient").unwrap().try_acquire_owned().unwrap();
    let mut queued = tokio_test::task::spawn(registry.scope(patient()));
    assert!(queued.poll().is_pending());
    tokio::time::advance(Duration::from_secs(1)).await;
    drop(held);
    queued.await.unwrap();
}

#[resilient(total_timeout_ms = 200, bulkhead(max = 1, queue = 5, wait_ms = 10_000, name = "impatient"))]
async fn impatient() -> Result<(), TestError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_whose_total_time_is_over_times_out_and_was_not_refused() {
    let registry = Registry::new();
    let bulkhead = registry.bulkhead("impatient").unwrap();
    let held = bulkhead.try_acquire().unwrap();
    let error = registry.scope(impatient()).await.unwrap_err().refusal();
    assert_eq!(error.to_string(), "`behaviour::order::impatient` timed out after 200 ms");
    let snapshot = bulkhead.snapshot();
    assert_eq!((snapshot.refused, snapshot.cancelled, snapshot.waiting), (0, 1, 0));
    assert_eq!(registry.site("behaviour::order::impatient").unwrap().timed_out, 1);
    drop(held);
}

#[resilient(rate_limit(max = 10, per_ms = 1_000, burst = 1, wait_ms = 350, name = "paced"))]
async fn paced() -> Result<Duration, TestError> {
    Ok(tokio::time::Instant::now().duration_since(START.with(|start| start.get().expect("set"))))
}

thread_local! {
    static START: std::cell::Cell<Option<tokio::time::Instant>> = const { std::cell::Cell::new(None) };
}

#[tokio::test(start_paused = true)]
async fn waiters_of_a_limiter_are_spaced_exactly_and_the_surplus_is_refused() {
    START.set(Some(tokio::time::Instant::now()));
    let registry = Registry::new();
    let (a, b, c, d, e) = tokio::join!(
        registry.scope(paced()),
        registry.scope(paced()),
        registry.scope(paced()),
        registry.scope(paced()),
        registry.scope(paced())
    );
    let turns = [a, b, c, d].map(|turn| turn.unwrap().as_millis());
    assert_eq!(turns, [0, 100, 200, 300]);
    assert_eq!(e.unwrap_err().refusal().kind(), ErrorKind::RateLimited);
}

mod nested {
    //! Any other order: the primitives' own `run`, one inside the other.

    use std::{cell::Cell, io, time::Duration};

    use resilience_runtime::{
        Bulkhead, CallError, CircuitBreaker, Classified, Classify, Policy, Retry, RetrySettings, Timeout,
    };

    const LIMIT: Timeout = Timeout::new(Duration::from_millis(10));

    fn circuit() -> CircuitBreaker {
        CircuitBreaker::builder("nested").failure_threshold(1).build().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_bulkhead_inside_says_nothing_about_the_dependency_however_deep_it_lies() {
        let (circuit, bulkhead) = (circuit(), Bulkhead::new("nested", 1).unwrap());
        let _held = bulkhead.try_acquire().unwrap();
        let answer = async || Ok::<_, Classified<u8>>(());
        let _ = circuit.run(bulkhead.run(answer())).classify(Classify::classify).await;
        let _ = circuit.run(LIMIT.run(bulkhead.run(answer()))).classify(Classify::classify).await;
        let answer = async || Ok::<_, io::Error>(());
        let _ = circuit.run(bulkhead.run(answer())).classify(CallError::class).await;
        let _ = circuit.run(LIMIT.run(bulkhead.run(answer()))).classify(CallError::class).await;
        let counts = circuit.snapshot();
        assert_eq!((counts.ignored, counts.failed, circuit.is_closed()), (4, 0, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_inside_is_a_failure() {
        for by_the_error in [true, false] {
            let circuit = circuit();
            let run = circuit.run(LIMIT.run(std::future::pending::<io::Result<()>>()));
            let answer = if by_the_error {
                run.classify(Classify::classify).await
            } else {
                run.classify(CallError::class).await
            };
            assert!(answer.is_err() && circuit.is_open());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_inside_is_not_retried_and_an_error_as_it_says() {
        let bulkhead = Bulkhead::new("nested", 1).unwrap();
        let attempts = Cell::new(0);
        let operation = async |answer: Result<(), Classified<u8>>| {
            attempts.set(attempts.get() + 1);
            bulkhead.run(async { answer }).await
        };
        let retry = Retry::new(2);
        let policy = Policy::builder().retry(RetrySettings::new(2)).build().unwrap();
        for (answer, made) in [(Classified::permanent(1), 1), (Classified::transient(1), 3)] {
            let _ = retry.run(|| operation(Err(answer))).classify(Classify::classify).await;
            assert_eq!(attempts.replace(0), made);
            let _ = policy.run(|| operation(Err(answer))).classify(Classify::classify).await;
            assert_eq!(attempts.replace(0), made);
        }
        let _held = bulkhead.try_acquire().unwrap();
        let _ = retry.run(|| operation(Ok(()))).classify(Classify::classify).await;
        assert_eq!(attempts.replace(0), 1);
        let _ = policy.run(|| operation(Ok(()))).classify(Classify::classify).await;
        assert_eq!(attempts.replace(0), 1);
    }

    #[test]
    fn a_text_is_an_error_of_which_nothing_is_known() {
        let error: CallError<&str> = CallError::Failed("reset");
        assert_eq!(error.classify(), resilience_runtime::ErrorClass::Transient);
    }
}
