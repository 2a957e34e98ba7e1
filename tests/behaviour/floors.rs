//! The shape of the house: who may import whom, and what lies at the top.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The modules of the runtime, floor by floor. A module imports from lower floors, and on its own floor from those
/// named before it.
const FLOORS: [&[&str]; 6] = [
    &["clock", "name", "sync", "unwind"],
    &["error", "class", "settings", "backoff", "events", "gate", "queue", "stats", "window"],
    PRIMITIVES,
    &["registry", "health"],
    &["call", "policy"],
    &["private", "prelude", "lib"],
];

/// These never import each other: each is usable alone.
const PRIMITIVES: &[&str] = &["bulkhead", "circuit", "limiter", "pool", "retry", "timeout", "worker"];

#[test]
fn a_module_imports_only_from_lower_floors() {
    let source = root().join("resilience-runtime/src");
    let mut wrong = BTreeSet::new();
    for file in rust_files(&source) {
        let relative = file.strip_prefix(&source).unwrap();
        // Tests use the library as its users do, by what it re-exports.
        if relative.iter().any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            // A macro that is exported lies at the root, wherever it is written.
            if import != module && !import.starts_with("__") && !allowed(module, &import) {
                wrong.insert(format!("{}: `{module}` imports `crate::{import}`", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_floor() {
    let source = root().join("resilience-runtime/src");
    for entry in fs::read_dir(source).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(floor(name.trim_end_matches(".rs")).is_some(), "`{name}` is on no floor");
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::clock;\nuse crate::{\n    error::{Kind, Other},\n    name::Name, stats,\n};\n\
                let now = crate::window::now(); // crate::registry\npub(in crate::circuit) fn f() {}\n$crate::call!()";
    let expected = ["circuit", "clock", "error", "name", "stats", "window"];
    assert_eq!(imports(text), expected.map(str::to_owned).into());
}

#[test]
fn the_top_level_holds_what_it_should() {
    let expected = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "examples",
        "resilience-macros",
        "resilience-runtime",
        "tests",
    ];
    assert_eq!(top_level(), expected.map(str::to_owned).into());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The floor of a module and its place there.
fn floor(module: &str) -> Option<(usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(floor, modules)| {
        modules.iter().position(|candidate| *candidate == module).map(|place| (floor, place))
    })
}

fn allowed(module: &str, import: &str) -> bool {
    let lower = floor(import).is_some_and(|import| Some(import) < floor(module));
    lower && !(PRIMITIVES.contains(&module) && PRIMITIVES.contains(&import))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The modules that stand behind `crate::` anywhere in the code.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut modules = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        if code[..at].ends_with('$') {
            continue;
        }
        let path = &code[at + found.len()..];
        match path.strip_prefix('{') {
            Some(group) => modules.extend(heads(group)),
            None => modules.extend([word(path)]),
        }
    }
    modules
}

/// The first words of the paths in a group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut begins, mut words) = (0, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => begins |= depth == 0,
            letter if begins && !letter.is_whitespace() => {
                words.push(word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// What is visible at the top: what git tracks, or, outside a repository, what lies there.
fn top_level() -> BTreeSet<String> {
    let tracked = Command::new("git").arg("ls-files").current_dir(root()).output();
    let tracked = tracked.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
    let mut names: BTreeSet<String> =
        tracked.lines().filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
    if names.is_empty() {
        let entries = fs::read_dir(root()).unwrap();
        names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.remove("target");
    }
    names.retain(|name| !name.starts_with('.'));
    names
}
