//! The README says what is the case. Its code is compiled by the runtime's doctests.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_first_example_is_the_quickstart() {
    let readme = read("README.md");
    let quickstart = read("examples/quickstart.rs");
    let (_, rest) = readme.split_once("```rust\n").unwrap();
    let (example, _) = rest.split_once("```\n").unwrap();
    let (_, code) = quickstart.split_once("\n\n").unwrap();
    assert_eq!(example, code);
}

#[test]
fn the_tables_hold_the_keys_of_the_grammar_and_no_others() {
    let grammar = read("resilience-macros/src/grammar/keys.rs");
    let mut known = BTreeSet::new();
    for call in ["key(\"", "millis(\""] {
        known.extend(grammar.match_indices(call).map(|(at, _)| quoted(&grammar[at..])));
    }
    let (_, top) = grammar.split_once("static TOP").unwrap();
    let (top, _) = top.split_once("];").unwrap();
    known.extend(top.lines().filter(|line| line.contains('"')).map(quoted));

    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Keys of the attribute\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<_> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|key| key.trim().trim_matches('`'))
        .collect();
    assert_eq!(told, known);
}

fn quoted(text: &str) -> &str {
    text.split('"').nth(1).unwrap()
}
