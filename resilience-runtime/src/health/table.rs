//! The report as text.

use std::{fmt, time::Duration};

use super::{HealthReport, HealthStatus};
use crate::{error::Seconds, name::Name, stats::Latency};

/// Columns of a terminal that nobody had to widen.
const WIDTH: usize = 100;

/// Characters of a name; a longer one keeps its end, which tells more than its beginning.
const NAME: usize = 34;

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Degraded => "degraded",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "status: {}", self.status)?;
        section(
            f,
            "site",
            ["calls", "ok", "failed", "refused", "retries", "p50", "p99"],
            &self.sites,
            |site| {
                let refused = site.refused_by_circuit
                    + site.refused_by_bulkhead
                    + site.refused_by_limiter
                    + site.refused_elsewhere;
                let failed = site.failed + site.timed_out + site.panicked;
                let [p50, p99] = percentiles(site.latency);
                let [calls, ok, failed, refused, retries] =
                    [site.calls, site.succeeded, failed, refused, site.retries].map(number);
                (&site.name, [calls, ok, failed, refused, retries, p50, p99])
            },
        )?;
        let circuit_columns = ["state", "ok", "failed", "refused", "rate", "p50", "p99"];
        section(f, "circuit", circuit_columns, &self.circuits, |circuit| {
            let failed = circuit.failed + circuit.timed_out + circuit.panicked;
            let [p50, p99] = percentiles(circuit.latency);
            let rate =
                circuit.failure_rate.map_or_else(|| "-".into(), |rate| format!("{:.0} %", rate * 100.0));
            let [ok, failed, refused] = [circuit.succeeded, failed, circuit.refused].map(number);
            (&circuit.name, [circuit.state.to_string(), ok, failed, refused, rate, p50, p99])
        })?;
        let bulkhead_columns = ["max", "in use", "waiting", "taken", "refused", "", ""];
        section(f, "bulkhead", bulkhead_columns, &self.bulkheads, |bulkhead| {
            let [max, used, waiting] =
                [bulkhead.max, bulkhead.in_flight, bulkhead.waiting].map(|count| number(count as u64));
            let [taken, refused] = [bulkhead.accepted, bulkhead.refused].map(number);
            (&bulkhead.name, [max, used, waiting, taken, refused, String::new(), String::new()])
        })?;
        let limiter_columns = ["free", "waiting", "passed", "refused", "", "", ""];
        section(f, "rate limiter", limiter_columns, &self.limiters, |limiter| {
            let [free, waiting] = [u64::from(limiter.available), limiter.waiting as u64].map(number);
            let [passed, refused] = [limiter.accepted, limiter.refused].map(number);
            let rest = [String::new(), String::new(), String::new()];
            let [one, two, three] = rest;
            (&limiter.name, [free, waiting, passed, refused, one, two, three])
        })?;
        let timeout_columns = ["limit", "in time", "out", "dropped", "", "p50", "p99"];
        section(f, "timeout", timeout_columns, &self.timeouts, |timeout| {
            let [p50, p99] = percentiles(timeout.latency);
            let [completed, timed_out, cancelled] =
                [timeout.completed, timeout.timed_out, timeout.cancelled].map(number);
            let limit = Seconds(timeout.limit).to_string();
            (&timeout.name, [limit, completed, timed_out, cancelled, String::new(), p50, p99])
        })?;
        let pool_columns = ["in use", "idle", "waiting", "max", "made", "closed", "refused"];
        section(f, "pool", pool_columns, &self.pools, |pool| {
            let sizes = [pool.active, pool.idle, pool.waiting, pool.max_size];
            let [active, idle, waiting, max] = sizes.map(|count| number(count as u64));
            let [made, closed, refused] = [pool.created, pool.closed.total(), pool.refused].map(number);
            (&pool.name, [active, idle, waiting, max, made, closed, refused])
        })?;
        let worker_columns = ["running", "queued", "gave up", "threads", "done", "panics", "refused"];
        section(f, "worker pool", worker_columns, &self.workers, |workers| {
            let sizes = [workers.running, workers.queued, workers.abandoned, workers.threads];
            let [running, queued, abandoned, threads] = sizes.map(|count| number(count as u64));
            let [done, panics, refused] = [workers.completed, workers.panicked, workers.refused].map(number);
            (&workers.name, [running, queued, abandoned, threads, done, panics, refused])
        })?;
        let unhealthy = self.unhealthy();
        if !unhealthy.is_empty() {
            writeln!(f)?;
        }
        for item in unhealthy {
            writeln!(f, "! {}", cut(&item.reason, WIDTH - 2))?;
        }
        Ok(())
    }
}

/// A heading and a line for each item: a name and seven columns.
fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    columns: [&str; 7],
    items: &[T],
    row: impl Fn(&T) -> (&Name, [String; 7]),
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    line(f, title, columns.map(str::to_owned))?;
    for item in items {
        let (name, cells) = row(item);
        line(f, &end_of(&format!("{name}")), cells)?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, [first, cells @ ..]: [String; 7]) -> fmt::Result {
    let mut text = format!("{name:<NAME$} {first:>12}");
    for cell in cells {
        text.push_str(&format!(" {cell:>7}"));
    }
    writeln!(f, "{}", text.trim_end())
}

fn percentiles(latency: Option<Latency>) -> [String; 2] {
    let shown = |time: Duration| Seconds(time).to_string().replace(' ', "");
    latency.map_or_else(|| ["-".into(), "-".into()], |latency| [latency.p50, latency.p99].map(shown))
}

/// A count in at most six characters.
fn number(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.1}G", count as f64 / 1e9),
    }
}

/// The end of a name that is too long.
fn end_of(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME {
        return name.to_owned();
    }
    std::iter::once('…').chain(name.chars().skip(length - (NAME - 1))).collect()
}

/// The beginning of a line that is too long.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        circuit::{CircuitBreaker, CircuitSnapshot},
        events::CircuitState,
        registry::{Registry, SiteSnapshot, SiteStats},
    };

    #[test]
    fn rows_sum_up_what_was_refused_and_what_failed() {
        let mut report = Registry::new().health();
        report.sites = vec![SiteSnapshot {
            calls: 1_500_000,
            refused_by_circuit: 1,
            refused_by_bulkhead: 20,
            refused_by_limiter: 300,
            refused_elsewhere: 4_000,
            failed: 5,
            timed_out: 60,
            panicked: 700,
            ..SiteStats::new("site".into()).snapshot()
        }];
        let circuit = CircuitBreaker::builder("api").build().unwrap();
        report.circuits =
            vec![CircuitSnapshot { failed: 1, timed_out: 20, panicked: 300, ..circuit.snapshot() }];
        let text = report.to_string();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["status:", "healthy"]);
        assert_eq!(rows[2], ["site", "1.5M", "0", "765", "4321", "0", "-", "-"]);
        assert_eq!(rows[4], ["api", "closed", "0", "321", "0", "-", "-", "-"]);
        assert_eq!(rows.len(), 5, "nothing follows where all is well: {text}");
        report.circuits[0].state = CircuitState::ForcedOpen;
        let lines = report.to_string().lines().skip(5).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines, ["", "! circuit `api` is forced open"]);
    }

    #[test]
    fn what_is_too_long_for_its_place_is_shortened() {
        let counts = [999_999, 1_000_000, 999_900_000, 2_500_000_000];
        assert_eq!(counts.map(number), ["999999", "1.0M", "999.9M", "2.5G"]);
        let name = "a-name-of-exactly-thirty-four-chars";
        assert_eq!(end_of(&name[1..]), name[1..]);
        assert_eq!(end_of(name), format!("…{}", &name[2..]));
        assert_eq!((cut("größe", 5), cut("größe", 4)), ("größe".to_owned(), "grö…".to_owned()));
    }
}
