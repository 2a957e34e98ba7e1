//! `workers(..)`: a function that computes or blocks is called as an async one. Example `worker` shows the threads alone.

use std::time::Duration;

use resilience_runtime::{Instant, ResilienceError, registry, resilient};

/// Callers write `primes_below(n).await`, and their runtime goes on meanwhile.
#[resilient(workers(name = "cpu", threads = 2, queue = 2), timeout_ms = 5_000)]
fn primes_below(end: u32) -> Result<usize, ResilienceError> {
    Ok((2..end).filter(|n| (2..=n.isqrt()).all(|d| n % d != 0)).count())
}

/// A thread cannot be stopped from outside: the caller is answered in time, the thread is taken until the work ends.
#[resilient(workers = "cpu", timeout_ms = 50, fallback = |_| "late".to_owned())]
fn read_slowly(pause: Duration) -> String {
    std::thread::sleep(pause);
    "read".to_owned()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ResilienceError> {
    let start = Instant::now();
    let (low, high) = tokio::join!(primes_below(100_000), primes_below(200_000));
    println!(
        "{} and {} primes, side by side, in {:.0?}",
        low?,
        high?,
        Instant::now().saturating_since(start)
    );

    let busy = tokio::join!(
        read_slowly(Duration::from_millis(200)),
        read_slowly(Duration::from_millis(200)),
        primes_below(10),
        primes_below(20),
        primes_below(30),
    );
    println!("two slow reads: {}, {}", busy.0, busy.1);
    println!("two that waited in the queue: {}, {}", busy.2?, busy.3?);
    println!("one too many: {}", busy.4.unwrap_err());
    println!("\n{}", registry().health());
    Ok(())
}
