//! How the tour tells what happens, and how it checks what it tells.

use std::{fmt, io::IsTerminal, time::Duration};

use resilience_runtime::{CircuitState, Event, EventReceiver, HealthReport, Instant, registry};

/// The calling code, to quote from.
const CODE: &str = include_str!("shop.rs");

/// Columns of the page.
const WIDTH: usize = 100;

/// Tells the story to standard output and remembers what did not happen as told.
pub(crate) struct Story {
    events: EventReceiver,
    begun: Instant,
    coloured: bool,
    turns: usize,
    /// The functions quoted so far, each with its turn.
    quoted: Vec<(&'static str, usize)>,
    claims: usize,
    failed: Vec<String>,
}

impl Story {
    pub(crate) fn begin() -> Self {
        Self {
            events: registry().subscribe(),
            begun: Instant::now(),
            coloured: std::io::stdout().is_terminal(),
            turns: 0,
            quoted: Vec::new(),
            claims: 0,
            failed: Vec::new(),
        }
    }

    /// A new turn: its heading, the function it is about, and what happens in it.
    pub(crate) fn turn(&mut self, title: &str, function: &'static str, text: &str) {
        self.turns += 1;
        let heading = format!("{}. {title} ", self.turns);
        println!("\n{}\n", self.paint("1;36", &format!("{heading:─<WIDTH$}")));
        if let Some((_, turn)) = self.quoted.iter().find(|(quoted, _)| *quoted == function) {
            println!("    {}", self.paint("33", &format!("async fn {function}, as in turn {turn}")));
        } else {
            for line in quote(function) {
                println!("    {}", self.paint("33", line));
            }
            self.quoted.push((function, self.turns));
        }
        println!("\n{text}\n");
    }

    /// A remark between what is checked.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        println!("  {} {text}", self.paint("2", "·"));
    }

    /// What happened; it must be as expected.
    pub(crate) fn equal<T: fmt::Debug + PartialEq>(
        &mut self,
        text: impl fmt::Display,
        found: T,
        expected: T,
    ) {
        let holds = found == expected;
        let wrong = (!holds).then(|| format!("expected {expected:?}, found {found:?}"));
        self.claim(text, wrong);
    }

    /// How long something took; it must lie within generous bounds.
    pub(crate) fn took(&mut self, text: &str, found: Duration, least: u64, most: u64) {
        let bounds = Duration::from_millis(least)..Duration::from_millis(most);
        let wrong = (!bounds.contains(&found)).then(|| format!("expected {least} to {most} ms"));
        self.claim(format_args!("{text} {}", Time(found)), wrong);
    }

    fn claim(&mut self, text: impl fmt::Display, wrong: Option<String>) {
        self.claims += 1;
        match wrong {
            None => println!("  {} {text}", self.paint("32", "✓")),
            Some(wrong) => {
                println!("  {} {text}: {wrong}", self.paint("1;31", "✗"));
                self.failed.push(format!("turn {}: {text}: {wrong}", self.turns));
            }
        }
    }

    /// The changes of state since the last call, and the rows of the health table that are about these names; what
    /// is not well is always shown.
    pub(crate) fn health(&mut self, names: &[&str]) {
        while let Some(event) = self.events.try_recv() {
            if let Event::Transition(change) = event {
                let at = change.at.saturating_since(self.begun).as_secs_f64();
                let change = format!("{} {} → {}", change.circuit, change.from, change.to);
                println!("  {} {change}, at {at:.2} s", self.paint("35", "●"));
            }
        }
        let mut health = registry().health();
        let about = |name: &str| names.iter().any(|part| name.ends_with(part));
        health.sites.retain(|site| about(&site.name));
        health.circuits.retain(|circuit| about(&circuit.name) || circuit.state != CircuitState::Closed);
        health.bulkheads.retain(|bulkhead| about(&bulkhead.name));
        health.limiters.retain(|limiter| about(&limiter.name));
        println!();
        self.table(&health);
    }

    /// A health report, with its headings and the words that matter set off.
    fn table(&self, health: &HealthReport) {
        for line in health.to_string().lines() {
            let heading = ["site ", "circuit ", "bulkhead ", "rate limiter "];
            let style = match line {
                line if heading.iter().any(|title| line.starts_with(title)) => "2",
                line if line.starts_with('!') => "31",
                "status: healthy" => "1;32",
                line if line.starts_with("status") => "1;31",
                _ => "0",
            };
            println!("{}", self.paint(style, format!("    {line}").trim_end()));
        }
    }

    /// The last words. Whether everything happened as told.
    pub(crate) fn end(self) -> bool {
        let elapsed = Time(Instant::now().saturating_since(self.begun));
        println!("\n{}\n", self.paint("1;36", &"─".repeat(WIDTH)));
        for failed in &self.failed {
            println!("  {} {failed}", self.paint("1;31", "✗"));
        }
        let held = self.claims - self.failed.len();
        println!("{held} of {} claims held, {} turns, {elapsed}.", self.claims, self.turns);
        println!(
            "Next: README.md, examples/quickstart.rs, and examples/tour/shop.rs, the code you saw at work."
        );
        self.failed.is_empty()
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.coloured && !text.is_empty() {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The attribute and the signature of a function of the shop.
fn quote(function: &str) -> Vec<&'static str> {
    let signature = format!("async fn {function}(");
    let mut lines = Vec::new();
    for line in CODE.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)) {
        if line.starts_with("#[resilient") {
            lines.clear();
        }
        lines.push(line.trim_start_matches("pub(crate) ").trim_end_matches(" {"));
        if line.contains(&signature) {
            return lines;
        }
    }
    Vec::new()
}

/// A duration in the unit that suits it.
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_micros() {
            micros @ ..1_000 => write!(f, "{micros} µs"),
            micros @ ..1_000_000 => write!(f, "{} ms", micros / 1_000),
            micros => write!(f, "{:.2} s", micros as f64 / 1e6),
        }
    }
}
