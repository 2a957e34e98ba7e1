//! A bulkhead on its own: so many calls at once, so many in the queue, the rest is told at once.

use std::{sync::Arc, time::Duration};

use resilience_runtime::{Bulkhead, CallError, ErrorKind};
use tokio::task::JoinSet;

async fn export(id: u32) -> Result<u32, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(id)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bulkhead =
        Arc::new(Bulkhead::builder("exports").max(2).queue(2).wait(Duration::from_secs(1)).build()?);

    println!("Six exports at once, where two may run and two may wait.");
    let calls = (0..6).map(|id| {
        let bulkhead = bulkhead.clone();
        async move { bulkhead.run(export(id)).await }
    });
    let answers = calls.collect::<JoinSet<_>>().join_all().await;
    for answer in &answers {
        match answer {
            Ok(id) => println!("export {id} is done"),
            Err(error) => println!("{error}"),
        }
    }
    let full = |answer: &&Result<_, CallError<_>>| matches!(answer, Err(CallError::Refused(error)) if error.kind() == ErrorKind::BulkheadFull);
    assert_eq!(answers.iter().filter(full).count(), 2);

    println!("\nIt can be resized while it is in use, and permits can be taken by hand.");
    bulkhead.resize(1)?;
    let permit = bulkhead.try_acquire()?;
    println!("{}", bulkhead.try_acquire().unwrap_err());
    assert_eq!((bulkhead.in_flight(), bulkhead.available()), (1, 0));
    drop(permit);

    let snapshot = bulkhead.snapshot();
    println!("{} accepted, {} refused", snapshot.accepted, snapshot.refused);
    assert_eq!((snapshot.accepted, snapshot.refused), (5, 3));
    Ok(())
}
