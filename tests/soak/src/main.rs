//! A soak over real sockets: thousands of callers of annotated functions against a server that resets, stalls,
//! truncates, slows, refuses, dies and returns. What the library promises is checked all the time, every call's end
//! is held against the library's own numbers, and the exit status says whether all of it held.
//!
//! ```text
//! cargo run --release -p resilience-soak -- --seconds 60
//! ```

mod client;
mod ledger;
mod server;

use std::{
    collections::BTreeSet,
    error::Error,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use resilience_runtime::{ErrorKind, Instant, SiteSnapshot, registry};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use client::{
    BURST, Client, FetchError, Mood, PROBES, QUEUE, RETRY_RESERVE, RETRY_SHARE, SEARCHES, SLOTS, fetch,
    search,
};
use ledger::{Calls, Ending, Ledger};
use server::{Manner, serve};

const CALLERS: usize = 2_000;

/// A fault lasts so long, and the peace after it. All faults pass in a round.
const FAULT: Duration = Duration::from_millis(900);
const PEACE: Duration = Duration::from_millis(1_100);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match seconds().and_then(|seconds| runtime?.block_on(soak(Duration::from_secs(seconds)))) {
        Ok(broken) if broken.is_empty() => {
            println!("every invariant held");
            ExitCode::SUCCESS
        }
        Ok(broken) => {
            broken.iter().for_each(|broken| println!("BROKEN: {broken}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the soak could not run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `--seconds N`; 60 if it is not given.
fn seconds() -> Result<u64, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(60),
        (Some("--seconds"), Some(seconds)) => Ok(seconds.parse()?),
        _ => Err("usage: resilience-soak [--seconds N]".into()),
    }
}

/// What did not hold.
type Broken = BTreeSet<String>;

async fn soak(length: Duration) -> Result<Broken, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let ledger = Arc::new(Ledger::default());
    let (manner, watched) = watch::channel(Manner::Answers);
    let server = tokio::spawn(serve(listener, ledger.clone(), watched));
    let upstream = registry().circuit("upstream").ok_or("the circuit is declared")?;
    let transitions = Arc::new(AtomicU64::new(0));
    let told = transitions.clone();
    let listening = upstream.on_state_change(move |_| {
        told.fetch_add(1, SeqCst);
    });
    let client = Arc::new(Client::new(address, ledger.clone(), upstream.clone())?);

    let start = Instant::now();
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call_until(client.clone(), over.clone()));
    }
    let checks = tokio::spawn(check_until(client.clone(), start, over.clone()));

    let mut met = BTreeSet::new();
    for fault in Manner::FAULTS.into_iter().cycle() {
        if Instant::now().saturating_since(start) + FAULT + PEACE > length && !met.is_empty() {
            break;
        }
        met.insert(format!("{fault:?}"));
        manner.send_replace(fault);
        sleep(FAULT).await;
        manner.send_replace(Manner::Answers);
        sleep(PEACE).await;
    }
    over.store(true, SeqCst);
    while let Some(caller) = callers.join_next().await {
        caller?;
    }
    let mut broken = checks.await?;
    listening.cancel();

    // In peace everything works again.
    let mut last = fetch(&client, Mood::Plain).await;
    client.ledger.fetches.begin();
    client.ledger.fetches.end(ending(&last));
    for _ in 0..20 {
        if last.is_ok() && upstream.is_closed() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
        last = fetch(&client, Mood::Plain).await;
        client.ledger.fetches.begin();
        client.ledger.fetches.end(ending(&last));
    }
    let elapsed = Instant::now().saturating_since(start);
    let mut check = |holds: bool, what: String| {
        if !holds {
            broken.insert(what);
        }
    };
    check(last.is_ok() && upstream.is_closed(), format!("it recovered: {last:?}, {:?}", upstream.state()));
    check(transitions.load(SeqCst) >= 3, "the circuit opened, probed and closed".to_owned());
    at_rest(&client, &mut check);
    report(&client, elapsed, transitions.load(SeqCst), &met);
    drop(manner);
    server.abort();
    Ok(broken)
}

/// One caller: calls, thinks, and now and then gives up or brings a bug along.
async fn call_until(client: Arc<Client>, over: Arc<AtomicBool>) {
    while !over.load(SeqCst) {
        let (calls, patience) = (&client.ledger.fetches, Duration::from_millis(fastrand::u64(1..40)));
        match fastrand::u16(..1_000) {
            0..150 => {
                client.ledger.searches.begin();
                let ending = match search(&client).await {
                    Ok(0) => Ending::FellBack,
                    Ok(_) => Ending::Answered,
                    Err(_) => Ending::Failed,
                };
                client.ledger.searches.end(ending);
            }
            150..200 => {
                calls.begin();
                let ending = match timeout(patience, fetch(&client, Mood::Plain)).await {
                    Ok(answer) => ending(&answer),
                    Err(_) => Ending::Cancelled,
                };
                calls.end(ending);
            }
            200 => {
                calls.begin();
                let ending = match unwound(fetch(&client, Mood::Panics)).await {
                    Some(answer) => ending(&answer),
                    None => Ending::Panicked,
                };
                calls.end(ending);
            }
            _ => {
                calls.begin();
                calls.end(ending(&fetch(&client, Mood::Plain).await));
            }
        }
        sleep(Duration::from_millis(fastrand::u64(50..600))).await;
    }
}

/// The output of a future; `None` if it panicked.
async fn unwound<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

fn ending(answer: &Result<usize, FetchError>) -> Ending {
    match answer {
        Ok(_) => Ending::Answered,
        Err(FetchError::Refused(refusal)) => match refusal.kind() {
            ErrorKind::CircuitOpen => Ending::CircuitOpen,
            ErrorKind::BulkheadFull => Ending::BulkheadFull,
            ErrorKind::RateLimited => Ending::RateLimited,
            ErrorKind::TimedOut => Ending::TimedOut,
            _ => Ending::Failed,
        },
        Err(_) => Ending::Failed,
    }
}

/// Looks every few milliseconds at what has to hold at every moment.
async fn check_until(client: Arc<Client>, start: Instant, over: Arc<AtomicBool>) -> Broken {
    let mut broken = Broken::new();
    let ledger = &client.ledger;
    while !over.load(SeqCst) {
        let mut check = |holds: bool, what: &str| {
            if !holds {
                broken.insert(what.to_owned());
            }
        };
        check(
            ledger.seen_by_server.peak() <= SLOTS,
            "the server never sees more requests than there are slots",
        );
        check(ledger.attempts.peak() <= SLOTS, "never more attempts than slots");
        check(ledger.probes.peak() <= PROBES, "never more probes than allowed");
        for bulkhead in registry().bulkheads() {
            let now = bulkhead.snapshot();
            check(now.in_flight <= SLOTS && now.waiting <= QUEUE, "the bulkhead keeps its bounds");
        }
        for circuit in registry().circuits() {
            check(usize::from(circuit.snapshot().probes_admitted) <= PROBES, "no circuit admits more probes");
        }
        let pool = client.pool().snapshot();
        check(pool.active + pool.idle + pool.creating <= pool.max_size, "the pool keeps its size");
        let elapsed = Instant::now().saturating_since(start).as_secs_f64();
        for site in registry().sites() {
            check(site.in_flight <= CALLERS as u64, "no more calls in flight than callers");
            let budget = RETRY_SHARE * site.calls as f64 + RETRY_RESERVE * (elapsed + 10.0);
            check(site.retries as f64 <= budget, "retries stay within the budget");
        }
        let quota = f64::from(SEARCHES) * elapsed + f64::from(BURST);
        let searched = ledger.search_attempts.load(SeqCst) as f64;
        // What came in between the two readings is within the next few milliseconds' quota.
        check(searched <= quota + 1.0, "the limiter keeps its rate");
        sleep(Duration::from_millis(5)).await;
    }
    broken
}

/// What has to hold once nobody calls any more.
fn at_rest(client: &Client, check: &mut impl FnMut(bool, String)) {
    let ledger = &client.ledger;
    for (calls, name) in [(&ledger.fetches, "fetch"), (&ledger.searches, "search")] {
        check(calls.lost() == 0, format!("{name}: {} calls were lost", calls.lost()));
        let site = site(name);
        let ends = site.succeeded
            + site.failed
            + site.timed_out
            + site.refused_by_circuit
            + site.refused_by_bulkhead
            + site.refused_by_limiter
            + site.refused_elsewhere
            + site.cancelled
            + site.panicked;
        check(
            site.calls == calls.begun() && ends == site.calls,
            format!("{name}: every call counted once: {site:?}"),
        );
        check(site.in_flight == 0, format!("{name}: nothing in flight: {site:?}"));
    }
    let (fetches, fetched) = (&ledger.fetches, site("fetch"));
    // A caller's patience may end before its first poll counts, but not the other way round.
    let counted = [
        (Ending::Answered, fetched.succeeded),
        (Ending::Failed, fetched.failed),
        (Ending::TimedOut, fetched.timed_out),
        (Ending::CircuitOpen, fetched.refused_by_circuit),
        (Ending::BulkheadFull, fetched.refused_by_bulkhead),
        (Ending::Cancelled, fetched.cancelled),
        (Ending::Panicked, fetched.panicked),
    ];
    for (ending, count) in counted {
        let seen = fetches.ended(ending);
        check(seen == count, format!("fetch: {ending:?} was seen {seen} times and counted {count} times"));
    }
    let searched = site("search");
    let fell_back = ledger.searches.ended(Ending::FellBack);
    check(searched.fallbacks == fell_back, format!("search: {fell_back} fallbacks: {searched:?}"));
    let gauges = [&ledger.attempts, &ledger.seen_by_server, &ledger.probes].map(|gauge| gauge.now());
    check(gauges == [0; 3], format!("attempts left over: {gauges:?}"));
    for bulkhead in registry().bulkheads() {
        let now = bulkhead.snapshot();
        check((now.available, now.waiting) == (now.max, 0), format!("all slots are back: {now:?}"));
    }
    for limiter in registry().limiters() {
        check(limiter.waiting() == 0, format!("nobody waits: {limiter:?}"));
    }
    for circuit in registry().circuits() {
        let now = circuit.snapshot();
        let label = if now.name == *"upstream" { "fetch" } else { "search" };
        let results = now.succeeded
            + now.failed
            + now.timed_out
            + now.panicked
            + now.ignored
            + now.cancelled
            + now.late_results;
        let attempts = site(label).attempts;
        check(results == attempts, format!("{label}: {attempts} attempts and {results} results"));
    }
    let pool = client.pool().snapshot();
    check(
        (pool.active, pool.creating, pool.waiting) == (0, 0, 0),
        format!("all connections are back: {pool:?}"),
    );
    check(pool.created == pool.idle as u64 + pool.closed.total(), format!("no connection is lost: {pool:?}"));
}

fn site(function: &str) -> SiteSnapshot {
    let label = format!("resilience_soak::client::{function}");
    registry().site(&label).unwrap_or_else(|| panic!("no site {label}"))
}

fn report(client: &Client, elapsed: Duration, transitions: u64, met: &BTreeSet<String>) {
    let ledger = &client.ledger;
    let names: Vec<_> = met.iter().map(String::as_str).collect();
    println!("{CALLERS} callers, {:.1} s, faults met: {}\n", elapsed.as_secs_f64(), names.join(", "));
    for (calls, name) in [(&ledger.fetches, "fetch"), (&ledger.searches, "search")] {
        report_calls(calls, name);
    }
    println!(
        "circuit `upstream`: {transitions} transitions; most at once: {} attempts and {} requests in the server \
         (of {SLOTS}), {} probes (of {PROBES})",
        ledger.attempts.peak(),
        ledger.seen_by_server.peak(),
        ledger.probes.peak(),
    );
    let pool = client.pool().snapshot();
    println!("connections: {} created, {} closed, {} idle\n", pool.created, pool.closed.total(), pool.idle);
    println!("lost = {}", ledger.fetches.lost() + ledger.searches.lost());
}

fn report_calls(calls: &Calls, name: &str) {
    let site = site(name);
    println!("{name}: {} calls, {} attempts, {} retries", calls.begun(), site.attempts, site.retries);
    for ending in Ending::ALL.into_iter().filter(|&ending| calls.ended(ending) > 0) {
        println!("  {:<14}{:>9}", format!("{ending:?}"), calls.ended(ending));
    }
    if let Some(latency) = site.latency {
        println!("  p50 {:?}, p99 {:?}, max {:?}", latency.p50, latency.p99, latency.max);
    }
}
