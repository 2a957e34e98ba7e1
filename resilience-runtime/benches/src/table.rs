//! The table of results.

use std::fmt;

use crate::contender::{Contender, Measured, measure};

/// What a measurement has to keep to.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// No promise; shown for orientation.
    None,
    /// At most this much of the peer's time.
    Times(f64),
    /// At most this many nanoseconds more than the peer.
    Beyond(f64),
    /// At most this many nanoseconds.
    Nanos(f64),
    /// At least this many times the peer's throughput.
    Throughput(f64),
}

/// One of ours and those it is compared with.
#[derive(Debug)]
pub struct Comparison {
    what: &'static str,
    ours: Contender,
    peers: Vec<(Contender, Budget)>,
}

impl Comparison {
    /// A comparison with nobody yet.
    #[must_use]
    pub const fn new(what: &'static str, ours: Contender) -> Self {
        Self { what, ours, peers: Vec::new() }
    }

    /// What is compared.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Compares with this peer, too.
    #[must_use]
    pub fn against(mut self, peer: Contender, budget: Budget) -> Self {
        self.peers.push((peer, budget));
        self
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Outcome {
    what: String,
    peer: String,
    ours: f64,
    theirs: f64,
    /// Shown in the ratio's column, and held against the budget.
    ratio: f64,
    budget: Budget,
    allocations: Option<(f64, f64)>,
    futures: (Option<usize>, Option<usize>),
}

impl Outcome {
    /// A comparison of throughputs, from the times of a call; a budget of zero is none.
    #[must_use]
    pub fn throughput(what: &str, peer: &str, ours: f64, theirs: f64, budget: f64) -> Self {
        Self {
            what: what.to_owned(),
            peer: peer.to_owned(),
            ours,
            theirs,
            ratio: theirs / ours,
            budget: if budget > 0.0 { Budget::Throughput(budget) } else { Budget::None },
            allocations: None,
            futures: (None, None),
        }
    }

    /// A comparison of times, in nanoseconds.
    #[must_use]
    pub fn times(what: &str, peer: &str, ours: f64, theirs: f64, budget: Budget) -> Self {
        Self {
            what: what.to_owned(),
            peer: peer.to_owned(),
            ours,
            theirs,
            ratio: ours / theirs,
            budget,
            allocations: None,
            futures: (None, None),
        }
    }

    fn new(
        what: &'static str,
        (ours, peer, theirs): (Measured, &'static str, Measured),
        budget: Budget,
    ) -> Self {
        Self {
            allocations: Some((ours.allocations, theirs.allocations)),
            futures: (ours.future, theirs.future),
            ..Self::times(what, peer, ours.nanos, theirs.nanos, budget)
        }
    }

    fn is_met(&self) -> Option<bool> {
        match self.budget {
            Budget::None => None,
            Budget::Times(most) => Some(self.ratio <= most),
            Budget::Beyond(most) => Some(self.ours - self.theirs <= most),
            Budget::Nanos(most) => Some(self.ours <= most),
            Budget::Throughput(least) => Some(self.ratio >= least),
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        let size = |size: Option<usize>| size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        [
            self.what.clone(),
            self.peer.clone(),
            format!("{:.1}", self.ours),
            format!("{:.1}", self.theirs),
            match self.budget {
                Budget::Beyond(_) => format!("{:+.1} ns", self.ours - self.theirs),
                _ => format!("{:.2} x", self.ratio),
            },
            match self.budget {
                Budget::None => String::new(),
                Budget::Times(most) => format!("<= {most} x"),
                Budget::Beyond(most) => format!("<= +{most} ns"),
                Budget::Nanos(most) => format!("<= {most} ns"),
                Budget::Throughput(least) => format!(">= {least} x"),
            },
            match self.is_met() {
                None => String::new(),
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
            },
            self.allocations.map_or_else(String::new, |(ours, theirs)| format!("{ours:.0} / {theirs:.0}")),
            match self.futures {
                (None, None) => String::new(),
                (ours, theirs) => format!("{} / {}", size(ours), size(theirs)),
            },
        ]
    }
}

const COLUMNS: usize = 9;

const HEADINGS: [&str; COLUMNS] =
    ["what", "against", "ours ns", "theirs ns", "ratio", "budget", "met", "allocations", "future bytes"];

/// All results. Displayed as a Markdown table, so that it can be quoted as it is.
#[derive(Debug, Default)]
pub struct Table {
    outcomes: Vec<Outcome>,
}

impl Table {
    /// Measures a comparison and adds its lines.
    pub fn compare(&mut self, comparison: &Comparison, rounds: usize) {
        let contenders: Vec<&Contender> =
            std::iter::once(&comparison.ours).chain(comparison.peers.iter().map(|(peer, _)| peer)).collect();
        let measured = measure(&contenders, rounds);
        for ((peer, budget), theirs) in comparison.peers.iter().zip(&measured[1..]) {
            self.add(Outcome::new(comparison.what, (measured[0], peer.name, *theirs), *budget));
        }
    }

    /// Adds a line.
    pub fn add(&mut self, outcome: Outcome) {
        eprint!(".");
        self.outcomes.push(outcome);
    }

    /// Budgets that were missed.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_met() == Some(false)).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; COLUMNS]> = self.outcomes.iter().map(Outcome::cells).collect();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].len()).chain([HEADINGS[column].len()]).max().unwrap_or(0)
        });
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String; COLUMNS]| {
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                if column < 2 { write!(f, "| {cell:<width$} ")? } else { write!(f, "| {cell:>width$} ")? }
            }
            writeln!(f, "|")
        };
        line(f, &HEADINGS.map(str::to_owned))?;
        for (column, width) in widths.into_iter().enumerate() {
            let rule = "-".repeat(width + 1);
            if column < 2 { write!(f, "|{rule}-")? } else { write!(f, "|{rule}:")? }
        }
        writeln!(f, "|")?;
        rows.iter().try_for_each(|row| line(f, row))
    }
}
