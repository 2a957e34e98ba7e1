//! The registry: what an admin endpoint or an operator's console would do.

use resilience_runtime::{
    CircuitSettings, CircuitState, ErrorKind, Event, ResilienceError, registry, resilient,
};

#[resilient(circuit(name = "payments", failure_threshold = 5, critical = true), bulkhead = 20)]
async fn pay(cents: u32) -> Result<u32, ResilienceError> {
    Ok(cents)
}

/// Says something else about the same circuit: a conflict, which is reported and decided by file and line.
#[resilient(circuit(name = "payments", failure_threshold = 50))]
async fn refund(cents: u32) -> Result<u32, ResilienceError> {
    Ok(cents)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("Before the first call, everything that is annotated is known:\n\n{}", registry().health());
    assert_eq!(registry().circuits().len(), 1);
    let conflicts = registry().conflicts();
    assert_eq!((&*conflicts[0].name, conflicts[0].key), ("payments", "failure_threshold"));

    // Looking up never creates: a mistyped name is `None`.
    assert!(registry().circuit("paymets").is_none());
    let circuit = registry().circuit("payments").ok_or("not declared")?;
    let mut events = registry().subscribe();

    println!("An operator closes the tap ...");
    circuit.force_open();
    let refusal = pay(100).await.unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::CircuitOpen);
    for problem in registry().unhealthy() {
        println!("  {}: {}", problem.kind, problem.reason);
    }

    println!("... makes the circuit more patient, and opens the tap again.");
    circuit.configure(CircuitSettings::new().failure_threshold(20).open_ms(5_000))?;
    circuit.close();
    assert_eq!((pay(100).await?, refund(100).await?), (100, 100));

    println!("\nWhat a subscriber was told meanwhile:");
    let mut states = Vec::new();
    while let Some(event) = events.try_recv() {
        match event {
            Event::Transition(change) => {
                println!("  {} {} -> {}: {}", change.circuit, change.from, change.to, change.reason);
                states.push(change.to);
            }
            Event::Refused { site, kind } => println!("  {site} was refused: {kind:?}"),
            Event::Conflict(conflict) => println!("  {conflict}"),
            other => println!("  {other:?}"),
        }
    }
    assert_eq!(states, [CircuitState::ForcedOpen, CircuitState::Closed]);
    Ok(())
}
