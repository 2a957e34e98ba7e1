//! The table `tests/pitfalls.md`, and the pitfalls that only the sources can show.

use std::{fs, path::Path};

const TABLE: &str = include_str!("../pitfalls.md");

/// The cells of the rows below each table's head.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault "))
        .filter_map(|line| line.trim_matches('|').split_once('|'))
}

fn source(path: &str) -> String {
    let path = match path.strip_prefix("rt/") {
        Some(rest) => format!("resilience-runtime/{rest}"),
        None => path.to_owned(),
    };
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_row_names_tests_that_exist() {
    let mut count = 0;
    for (fault, tests) in rows() {
        let named: Vec<_> = tests.split('`').filter(|name| name.contains("::")).collect();
        assert!(!named.is_empty(), "no test for: {fault}");
        for test in named {
            let (path, name) = test.split_once("::").expect("it contains one");
            let source = source(path);
            let at =
                source.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{path} has no test {name}"));
            // The attribute stands in the lines before, or the function in a `proptest!`.
            let before = &source[..at];
            let attributes = before.rsplit("\n\n").next().unwrap_or(before);
            let is_test = attributes.contains("#[test]") || attributes.contains("#[tokio::test");
            assert!(is_test, "{path}: {name} is not a test");
        }
        count += 1;
    }
    assert_eq!(count, 58, "rows");
}

/// The sources of the runtime without their tests, by path.
fn sources(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
            found.push((path.display().to_string(), code));
        }
    }
}

#[test]
fn nothing_but_the_clock_reads_a_clock() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("resilience-runtime/src"), &mut found);
    assert!(found.len() > 50, "the sources were found");
    for (path, code) in found {
        // Documentation shows what users write.
        let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join("\n");
        for reading in ["SystemTime", "std::time::Instant", "tokio::time::Instant::now", "quanta::"] {
            let allowed = match reading {
                // A server may name the moment before which it does not want to be asked again.
                "SystemTime" => path.ends_with("src/class/http.rs"),
                _ => path.ends_with("src/clock.rs"),
            };
            assert!(allowed || !code.contains(reading), "{path} names {reading}");
        }
    }
}

#[test]
fn retries_that_multiply_are_warned_of() {
    assert!(source("rt/src/retry/policy.rs").contains("/// Retries multiply through layers"));
}
