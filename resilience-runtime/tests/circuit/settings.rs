//! Settings, given at once or later.

use resilience_runtime::CircuitSettings;

use super::*;

#[test]
fn bad_settings_are_refused_by_builder_and_configure_and_change_nothing() {
    let circuit = circuit();
    let before = circuit.settings();
    let problem = circuit.configure(CircuitSettings::new().failure_rate(2.0)).unwrap_err();
    assert_eq!((problem.key, circuit.settings() == before), ("failure_rate", true));
    let problem = CircuitBreaker::builder("api").probes(2).probe_successes(3).build().unwrap_err();
    assert_eq!(problem.to_string(), "`probe_successes` must be at most `probes`");
    let short = CircuitBreaker::builder("api").window_time(Duration::from_micros(999)).build().unwrap_err();
    assert_eq!(short.to_string(), "`window_time` must be at least 1 ms");
}

#[test]
fn what_was_set_can_be_read_and_so_can_what_was_not() {
    const MS: fn(u64) -> Duration = Duration::from_millis;
    let circuit = CircuitBreaker::builder("api").build().unwrap();
    let rules = circuit.settings().rules();
    assert_eq!((rules.failure_rate, rules.failure_threshold, rules.failure_reset), (Some(0.5), None, None));
    assert_eq!((rules.window, rules.window_time, rules.min_calls), (Some(100), None, 10));
    assert_eq!((rules.slow_call, rules.slow_call_rate), (None, None));
    assert_eq!((rules.open, rules.open_max, rules.half_open_max), (OPEN, None, OPEN));
    assert_eq!((rules.probes, rules.probe_successes, rules.critical), (2, 2, false));

    let rates =
        CircuitSettings::new().failure_rate(0.2).slow_call_ms(7).slow_call_rate(0.9).window_ms(60_000);
    let runs = rates.min_calls(20).failure_threshold(5).failure_reset_ms(8).critical(true);
    let times = runs.open_ms(1_000).open_max_ms(9_000).half_open_max_ms(3_000).probes(4).probe_successes(3);
    circuit.configure(times).unwrap();
    let rules = circuit.settings().rules();
    assert_eq!(
        (rules.failure_rate, rules.failure_threshold, rules.failure_reset),
        (Some(0.2), Some(5), Some(MS(8)))
    );
    assert_eq!((rules.window, rules.window_time, rules.min_calls), (None, Some(60 * SECOND), 20));
    assert_eq!((rules.slow_call, rules.slow_call_rate), (Some(MS(7)), Some(0.9)));
    assert_eq!((rules.open, rules.open_max, rules.half_open_max), (SECOND, Some(9 * SECOND), 3 * SECOND));
    assert_eq!((rules.probes, rules.probe_successes, rules.critical), (4, 3, true));
}

#[test]
fn configure_applies_at_once_and_keeps_state_and_window() {
    let circuit = CircuitBreaker::builder("api").window(10).build().unwrap();
    for _ in 0..4 {
        circuit.record_failure();
    }
    circuit.configure(CircuitSettings::new().window(10).min_calls(5).failure_rate(1.0)).unwrap();
    assert_eq!((circuit.state(), circuit.snapshot().window_calls), (CircuitState::Closed, 4));
    circuit.record_failure();
    assert!(circuit.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_open_time_that_has_begun_keeps_its_end() {
    let circuit = circuit();
    trip(&circuit);
    circuit.configure(CircuitSettings::new().failure_threshold(2).open_ms(1_000)).unwrap();
    assert_eq!(circuit.snapshot().next_probe_in, Some(OPEN));
    circuit.close();
    trip(&circuit);
    assert_eq!(circuit.snapshot().next_probe_in, Some(SECOND));
}

#[test]
fn a_window_of_another_shape_starts_empty_and_old_permits_are_late() {
    let circuit = CircuitBreaker::builder("api").window(10).min_calls(2).build().unwrap();
    let heard = Heard::on(&circuit);
    let shapes =
        [CircuitSettings::new().window(3), CircuitSettings::new().window_ms(60_000), CircuitSettings::new()];
    for (late, settings) in (1..).zip(shapes) {
        let old = permit(&circuit);
        circuit.record_failure();
        circuit.configure(settings.min_calls(2)).unwrap();
        old.failure();
        let snapshot = circuit.snapshot();
        assert_eq!((snapshot.window_calls, snapshot.late_results), (0, late));
        circuit.record_failure();
        assert_eq!(circuit.snapshot().window_calls, 1);
        circuit.close();
    }
    assert_eq!(heard.changes(), [], "no change of state was told");
}

#[tokio::test(start_paused = true)]
async fn probes_go_on_while_the_window_changes_its_shape() {
    let circuit = half_open(builder().probes(1)).await;
    let probe = permit(&circuit);
    circuit.configure(CircuitSettings::new().window(7).probes(1)).unwrap();
    probe.success();
    assert!(circuit.is_closed());
    for _ in 0..8 {
        circuit.record_success();
    }
    assert_eq!(circuit.snapshot().window_calls, 7);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_watched_from_the_moment_they_are_configured() {
    let circuit = CircuitBreaker::builder("api").build().unwrap();
    let before = permit(&circuit);
    circuit.configure(CircuitSettings::new().slow_call_ms(1_000)).unwrap();
    let after = permit(&circuit);
    advance(2 * SECOND).await;
    before.success();
    after.success();
    assert_eq!((circuit.snapshot().slow, circuit.snapshot().succeeded), (1, 2));
}
