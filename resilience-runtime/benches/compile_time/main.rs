//! What the attribute costs the compiler: `cargo run --release -p resilience-benches --bin compile-time`.
//!
//! Writes two crates into a temporary folder, one of 300 plain functions and one of the same functions annotated, and
//! takes the processor time of `cargo check` and of a release build of each, dependencies aside; then of a cold debug
//! build of the library. Each is done several times in turns, and the least counts.

use std::{
    error::Error,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

const FUNCTIONS: usize = 300;

const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("resilience-compile-time-{}", std::process::id()));
    let result = measure(&folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let plain = write_crate(folder, "plain", "")?;
    let annotated = write_crate(
        folder,
        "annotated",
        "#[resilient(circuit = \"api\", retry = 3, timeout_ms = 500, bulkhead = 10)]",
    )?;
    for (what, arguments, budget) in
        [("cargo check", &["check"][..], 2.0), ("release build", &["build", "--release"][..], 5.0)]
    {
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        for krate in [&plain, &annotated] {
            cargo(krate, folder, arguments)?;
        }
        for _ in 0..ROUNDS {
            without = without.min(again(&plain, folder, arguments)?);
            with = with.min(again(&annotated, folder, arguments)?);
        }
        let each = (with.as_secs_f64() - without.as_secs_f64()) * 1e3 / FUNCTIONS as f64;
        println!(
            "{what}: {FUNCTIONS} functions {:.2} s plain, {:.2} s annotated: {each:.2} ms each (budget {budget} ms)",
            without.as_secs_f64(),
            with.as_secs_f64(),
        );
    }
    let cold = (0..2).try_fold(Duration::MAX, |fastest, _| -> Result<_, Box<dyn Error>> {
        let target = folder.join("cold");
        let _ = fs::remove_dir_all(&target);
        let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Ok(fastest.min(cargo(&runtime, &target, &["build", "-p", "resilience-runtime"])?))
    })?;
    println!(
        "cold debug build of both crates: {:.1} s of processor time (budget 6 s on two cores)",
        cold.as_secs_f64(),
    );
    Ok(())
}

/// A library of functions that do what functions do: take arguments, await, fail.
fn write_crate(folder: &Path, name: &str, attribute: &str) -> io::Result<PathBuf> {
    let mut text = String::from(
        "#![allow(unused)]\nuse resilience_runtime::{ResilienceError, resilient};\n\
         #[derive(Debug)]\npub enum Error { Io(std::io::Error), Refused(ResilienceError) }\n\
         impl From<ResilienceError> for Error { fn from(e: ResilienceError) -> Self { Self::Refused(e) } }\n\
         impl From<std::io::Error> for Error { fn from(e: std::io::Error) -> Self { Self::Io(e) } }\n\
         impl std::fmt::Display for Error {\n    \
             fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(\"failed\") }\n}\n\
         impl std::error::Error for Error {}\n\
         pub async fn ask(id: u64) -> Result<u64, std::io::Error> { std::future::ready(Ok(id)).await }\n",
    );
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            text,
            "{attribute}\npub async fn f{function}(id: u64, name: &str) -> Result<u64, Error> {{\n    \
             let first = ask(id).await?;\n    if name.is_empty() {{ return Ok(first); }}\n    \
             Ok(first + ask(id + {function}).await? + name.len() as u64)\n}}"
        );
    }
    // An async function is compiled where it is used, so each is, the annotated and the plain alike.
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            text,
            "pub fn b{function}(id: u64) -> std::pin::Pin<Box<dyn Future<Output = Result<u64, Error>>>> {{\n    \
             Box::pin(f{function}(id, \"name\"))\n}}"
        );
    }
    let krate = folder.join(name);
    fs::create_dir_all(krate.join("src"))?;
    fs::write(krate.join("src/lib.rs"), text)?;
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    fs::write(
        krate.join("Cargo.toml"),
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
             [dependencies]\nresilience-runtime = {{ path = {:?} }}\n",
            runtime.display().to_string()
        ),
    )?;
    Ok(krate)
}

/// Compiles the crate itself again, and nothing else.
fn again(krate: &Path, folder: &Path, arguments: &[&str]) -> Result<Duration, Box<dyn Error>> {
    let source = krate.join("src/lib.rs");
    let text = fs::read_to_string(&source)?;
    fs::write(&source, format!("{text}\n"))?;
    cargo(krate, folder, arguments)
}

fn cargo(krate: &Path, target: &Path, arguments: &[&str]) -> Result<Duration, Box<dyn Error>> {
    let start = compiled();
    let status = Command::new("cargo")
        .args(arguments)
        .arg("--quiet")
        .current_dir(krate)
        .env("CARGO_TARGET_DIR", target.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()?;
    if status.success() { Ok(compiled() - start) } else { Err(format!("cargo {arguments:?} failed").into()) }
}

/// Processor time of all children so far, which other processes do not add to; where it cannot be read, the time.
#[allow(clippy::disallowed_methods)]
fn compiled() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    children().unwrap_or_else(|| BEGUN.elapsed())
}

/// Fields 16 and 17 of `proc(5)`: user and system time of the children that were waited for, in hundredths of a second.
fn children() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13).take(2);
    Some(Duration::from_millis(10 * fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()))
}
