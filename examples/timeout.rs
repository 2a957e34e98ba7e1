//! Timeouts on their own: around one future, and named, so that health counts them.

use std::time::Duration;

use resilience_runtime::{CallError, ErrorKind, Instant, Timeout, registry};

async fn report(pages: u64) -> Result<u64, std::io::Error> {
    tokio::time::sleep(Duration::from_millis(10 * pages)).await;
    Ok(pages)
}

const SHORT: Timeout = Timeout::new(Duration::from_millis(20));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reports = Timeout::named("reports", Duration::from_millis(100));

    println!("A short report is ready in time.");
    println!("{} page", reports.run(report(1)).await?);

    println!("\nA long one is not; its future is dropped at the limit.");
    let begun = Instant::now();
    let Err(CallError::Refused(error)) = reports.run(report(1_000)).await else {
        unreachable!("it takes 10 s")
    };
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(Instant::now().saturating_since(begun) < Duration::from_secs(5));

    println!("\nAny future will do, and a timeout can be a constant.");
    let error = SHORT.wrap(std::future::pending::<()>()).await.unwrap_err();
    println!("{error}\n");

    let health = registry().health();
    println!("{health}");
    let counted = &health.timeouts[0];
    assert_eq!((&*counted.name, counted.completed, counted.timed_out), ("reports", 1, 1));
    Ok(())
}
