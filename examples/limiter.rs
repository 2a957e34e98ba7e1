//! A rate limiter on its own: refusing what is too much, or letting it wait for its turn.

use std::time::Duration;

use resilience_runtime::{Instant, Quota, RateLimiter};

const MAIL: Quota = Quota::per_second(20).burst(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{MAIL}: the fourth mail is one too many.");
    let limiter = RateLimiter::new("mail", MAIL);
    for _ in 0..3 {
        limiter.try_acquire()?;
    }
    let refusal = limiter.try_acquire().unwrap_err();
    println!("{refusal}");
    assert!(refusal.retry_after() <= Some(Duration::from_millis(50)));

    println!("\nWhere it may wait, each call reserves a turn of its own, 50 ms after the one before.");
    let limiter = RateLimiter::builder("patient mail").quota(MAIL).wait(Duration::from_secs(1)).build()?;
    let begun = Instant::now();
    for mail in 1..=6 {
        limiter.run(async { Ok::<_, std::io::Error>(()) }).await?;
        println!("mail {mail} after {} ms", Instant::now().saturating_since(begun).as_millis());
    }
    assert!(Instant::now().saturating_since(begun) >= Duration::from_millis(140));

    println!("\nThe quota can change while the limiter is in use.");
    limiter.configure(Quota::per_second(1_000));
    println!("{} now", limiter.quota());
    assert_eq!(limiter.snapshot().accepted, 6);
    Ok(())
}
