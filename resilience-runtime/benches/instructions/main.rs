//! The regression gate: instructions of one call, counted by valgrind, against stored numbers.
//!
//! `cargo run --release -p resilience-benches --bin instructions` fails if any case needs more instructions than its
//! baseline and the tolerance allow; `-- --update` stores new baselines. Unlike time, instructions are the same on a
//! busy machine, so a change of a few of them shows. They are another compiler's in another release of Rust: a new
//! toolchain takes a new baseline.

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    hint::black_box,
    path::Path,
    pin::pin,
    process::{Command, ExitCode},
    task::{Context, Poll, Waker},
};

use resilience_runtime::{
    Bulkhead, CircuitBreaker, Quota, RateLimiter, ResilienceError, registry, resilient,
};

/// Percent that a case may rise before the gate fails, and at least [`SLACK`] instructions.
const TOLERANCE: f64 = 3.0;

const SLACK: f64 = 3.0;

const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions/baselines.txt");

/// Calls under valgrind, after as many to warm up.
const CALLS: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct ApiError(#[from] ResilienceError);

#[resilient]
async fn measured(id: u64) -> Result<u64, ApiError> {
    Ok(id)
}

#[resilient(circuit = "one")]
async fn circuit(id: u64) -> Result<u64, ApiError> {
    Ok(id)
}

#[resilient(circuit = "four", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn four(id: u64) -> Result<u64, ApiError> {
    Ok(id)
}

#[resilient(circuit = "pending", retry = 3, timeout_ms = 60_000, bulkhead = 10)]
async fn four_pending(id: u64) -> Result<u64, ApiError> {
    let mut pending = true;
    std::future::poll_fn(|_| if std::mem::take(&mut pending) { Poll::Pending } else { Poll::Ready(()) })
        .await;
    Ok(id)
}

#[resilient(circuit = "host-{host}", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn dynamic(host: &str, id: u64) -> Result<u64, ApiError> {
    Ok(id)
}

#[resilient(circuit = "open", retry = 3, timeout_ms = 500, bulkhead = 10)]
async fn refused(id: u64) -> Result<u64, ApiError> {
    Ok(id)
}

/// Polls until there is an answer.
fn poll<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut cx) {
            return answer;
        }
    }
}

type Case = (&'static str, fn() -> Result<Box<dyn FnMut(u64)>, Box<dyn Error>>);

const CASES: &[Case] = &[
    ("attribute, measures only", || Ok(Box::new(|id| drop(black_box(poll(measured(id))))))),
    ("attribute, circuit", || Ok(Box::new(|id| drop(black_box(poll(circuit(id))))))),
    ("attribute, four policies", || Ok(Box::new(|id| drop(black_box(poll(four(id))))))),
    ("attribute, four, pending once", || Ok(Box::new(|id| drop(black_box(poll(four_pending(id))))))),
    ("attribute, four, dynamic name", || {
        Ok(Box::new(|id| drop(black_box(poll(dynamic("db-7.internal", id))))))
    }),
    ("attribute, four, refused", || {
        registry().circuit("open").ok_or("not declared")?.force_open();
        Ok(Box::new(|id| drop(black_box(poll(refused(id))))))
    }),
    ("circuit permit", || {
        let circuit = CircuitBreaker::builder("permit").build()?;
        Ok(Box::new(move |_| {
            if let Ok(permit) = circuit.try_acquire() {
                permit.success();
            }
        }))
    }),
    ("bulkhead permit", || {
        let bulkhead = Bulkhead::new("permit", 10)?;
        Ok(Box::new(move |_| drop(black_box(bulkhead.try_acquire()))))
    }),
    ("limiter", || {
        let limiter = RateLimiter::new("permit", Quota::per_second(1_000_000_000));
        Ok(Box::new(move |_| drop(black_box(limiter.try_acquire()))))
    }),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--case", case] => under_valgrind(case).map(|()| ExitCode::SUCCESS),
        ["--update"] => gate(true),
        [] => gate(false),
        _ => Err("usage: instructions [--update]".into()),
    }
}

/// The only function whose instructions are counted.
#[inline(never)]
fn counted_calls(call: &mut dyn FnMut(u64)) {
    (0..CALLS).for_each(|id| call(black_box(id)));
}

fn under_valgrind(case: &str) -> Result<(), Box<dyn Error>> {
    let (_, make) = CASES.iter().find(|(name, _)| *name == case).ok_or("no such case")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let _entered = runtime.enter();
    let mut call = make()?;
    (0..CALLS).for_each(&mut call);
    counted_calls(&mut *call);
    Ok(())
}

fn count(case: &str) -> Result<f64, Box<dyn Error>> {
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_calls*"])
        .arg(std::env::current_exe()?)
        .args(["--case", case])
        .output()
        .map_err(|error| format!("valgrind is needed (apt-get install valgrind): {error}"))?;
    let report = String::from_utf8_lossy(&valgrind.stderr);
    let collected =
        report.lines().find_map(|line| line.split_once("Collected :")).ok_or("nothing was counted")?;
    Ok(collected.1.trim().parse::<f64>()? / CALLS as f64)
}

fn gate(update: bool) -> Result<ExitCode, Box<dyn Error>> {
    let stored = fs::read_to_string(BASELINES).unwrap_or_default();
    let baseline = |case: &str| {
        stored
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| *name == case)?
            .1
            .parse()
            .ok()
    };
    let (mut new, mut failed) = (String::new(), 0);
    println!("{:<32} {:>10} {:>10}", "instructions per call", "baseline", "now");
    for (case, _) in CASES {
        let now = count(case)?;
        writeln!(new, "{case}: {now:.1}")?;
        let before: Option<f64> = baseline(case);
        let most =
            before.map_or(f64::INFINITY, |before| (before * (1.0 + TOLERANCE / 100.0)).max(before + SLACK));
        let verdict = match before {
            None => "  no baseline",
            Some(_) if now > most => "  RISEN",
            Some(before) if now < before * (1.0 - TOLERANCE / 100.0) => "  fallen: store it with --update",
            Some(_) => "",
        };
        failed += usize::from(now > most);
        println!("{case:<32} {:>10.1} {now:>10.1}{verdict}", before.unwrap_or(f64::NAN));
    }
    if update {
        fs::write(Path::new(BASELINES), new)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{failed} cases above their baseline by more than {TOLERANCE} %");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
