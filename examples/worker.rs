//! A worker pool on its own: blocking or computing work on threads of its own, in a bounded queue.

use std::{thread, time::Duration};

use resilience_runtime::{WorkerError, WorkerPool, registry};

fn hash(text: &str) -> u64 {
    thread::sleep(Duration::from_millis(50));
    text.bytes().fold(7, |hash, byte| hash * 31 + u64::from(byte))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let workers = WorkerPool::builder("passwords").threads(2).queue(2).build()?;
    let workers = registry().register_worker_pool(workers)?;

    println!("Six jobs at once, where two may run and two may wait.");
    let mut jobs = tokio::task::JoinSet::new();
    for job in ["a", "b", "c", "d", "e", "f"] {
        let workers = workers.clone();
        jobs.spawn(async move { workers.run(move || hash(job)).await });
    }
    let answers = jobs.join_all().await;
    for answer in &answers {
        match answer {
            Ok(hash) => println!("{hash}"),
            Err(error) => println!("{error}"),
        }
    }
    let refused = |answer: &&Result<_, _>| matches!(answer, Err(WorkerError::Refused(_)));
    assert_eq!(answers.iter().filter(refused).count(), 2);

    println!("\nA job that panics fails its own caller; its thread lives on.");
    // The message of the panic itself goes where the panic hook sends it; here that is nowhere.
    std::panic::set_hook(Box::new(|_| ()));
    let error = workers.run(|| -> u64 { panic!("no such user") }).await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, WorkerError::Panicked(_)));

    println!("\nA job whose caller gives up keeps its thread until it really ends.");
    let late = tokio::time::timeout(Duration::from_millis(10), workers.run(|| hash("slow"))).await;
    let abandoned = workers.stats().abandoned;
    println!("{abandoned} abandoned, room for {} more", workers.available_capacity());
    assert_eq!((late.is_err(), abandoned, workers.available_capacity()), (true, 1, 3));

    assert_eq!(workers.shutdown(Duration::from_secs(1)).await, 0, "all of them ended in time");
    println!("\n{}", registry().health());
    let snapshot = workers.stats();
    assert_eq!((snapshot.completed, snapshot.panicked, snapshot.refused), (5, 1, 2));
    Ok(())
}
