//! A circuit breaker on its own: it trips, refuses, probes and closes.

use std::time::Duration;

use resilience_runtime::{CallError, CircuitBreaker, CircuitState};

async fn query(broken: bool) -> Result<&'static str, &'static str> {
    if broken { Err("connection reset") } else { Ok("3 rows") }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let circuit = CircuitBreaker::builder("db")
        .failure_rate(0.5)
        .window(20)
        .min_calls(4)
        .open(Duration::from_millis(200))
        .probes(2)
        .build()?;
    // Dropping the subscription would leave the listener in place, too; `cancel` removes it.
    let listener = circuit.on_state_change(|change| {
        println!("  ({} -> {}: {})", change.from, change.to, change.reason);
    });

    println!("The database is well for two queries, then it is not.");
    for broken in [false, false, true, true] {
        println!("{:?}", circuit.run(query(broken)).await);
    }
    assert_eq!(circuit.state(), CircuitState::Open);

    println!("\nThe open circuit does not even start the query.");
    let Err(CallError::Refused(refusal)) = circuit.run(query(false)).await else {
        unreachable!("it is open")
    };
    println!("{refusal}");

    let wait = refusal.retry_after().expect("a circuit that tripped knows when it will probe");
    tokio::time::sleep(wait).await;
    assert_eq!(circuit.state(), CircuitState::HalfOpen);

    println!("\nAfter that time two probes find out whether it is well again.");
    for _ in 0..2 {
        println!("{:?}", circuit.run(query(false)).await);
    }
    assert_eq!(circuit.state(), CircuitState::Closed);
    listener.cancel();

    println!("\nCode that is not a future takes a permit and reports.");
    circuit.try_acquire()?.success();

    let snapshot = circuit.snapshot();
    println!("{} succeeded, {} failed, {} refused", snapshot.succeeded, snapshot.failed, snapshot.refused);
    assert_eq!((snapshot.succeeded, snapshot.failed, snapshot.refused), (5, 2, 1));
    Ok(())
}
