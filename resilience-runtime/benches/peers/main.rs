//! Ours beside its peers, in one run and one table: `cargo bench -p resilience-benches`.
//!
//! `cargo bench -p resilience-benches -- bulkhead` measures only the comparisons whose name contains that word.

mod body;
mod limits;
mod ours;
mod pools;
mod primitives;
mod stacks;
mod threads;

use resilience_benches::{CountingAllocator, Table, reads_cycle_counter};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// About a tenth of a second for each contender.
const ROUNDS: usize = 1_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |what: &str| wanted.is_empty() || wanted.iter().any(|word| what.contains(word.as_str()));
    assert!(reads_cycle_counter(), "a debug build, or feature `test-util` is on: not what users run");
    println!(
        "clock: cycle counter; {ROUNDS} rounds of 100 microseconds each, in turns; fastest round of each\n"
    );

    let mut table = Table::default();
    let comparisons = [
        ours::comparisons(),
        primitives::comparisons(),
        limits::comparisons(),
        pools::comparisons(),
        stacks::comparisons(),
    ];
    for comparison in comparisons.iter().flatten().filter(|comparison| is_wanted(comparison.what())) {
        table.compare(comparison, ROUNDS);
    }
    if is_wanted("two threads") {
        threads::compare(&mut table, ROUNDS);
    }
    if is_wanted("64 tasks over 8 connections") {
        pools::compare(&mut table, ROUNDS / 10);
    }
    eprintln!();
    println!("{table}");
    println!("{} budgets missed", table.missed());
}
