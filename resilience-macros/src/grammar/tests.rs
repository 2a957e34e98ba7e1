//! Every kind of mistake with the exact text it is reported with.

use super::Policy;
use crate::errors::Errors;

/// The mistakes in these arguments, those between keys included.
fn mistakes(arguments: &str) -> Vec<String> {
    let mut errors = Errors::default();
    let policy = Policy::parse(arguments.parse().expect("tokens"), &mut errors);
    policy.check(&mut errors);
    errors.messages()
}

fn assert_mistakes(table: &[(&str, &str)]) {
    for (arguments, message) in table {
        assert_eq!(mistakes(arguments), [*message], "{arguments}");
    }
}

#[test]
fn what_is_right_is_silent() {
    for arguments in [
        "",
        "circuit = \"api\", retry = 3, timeout_ms = 500, bulkhead = 10,",
        "circuit(name = \"api\", failure_rate = 0.5, window = 50, min_calls = 50, probes = 3, probe_successes = 3)",
        "circuit(name = \"a\", window_ms = 10_000, min_calls = 1000, slow_call_ms = 5, slow_call_rate = 1, critical = true)",
        "circuit(name = \"a\", failure_threshold = 5, failure_reset_ms = 1, open_ms = 1, open_max_ms = 1)",
        "retry(max = 0, backoff = \"decorrelated\", delay_ms = 1, max_delay_ms = 1, factor = 1, jitter = \"none\")",
        "retry(max = N, jitter = 0.1, budget = false, max_elapsed_ms = 2 * SECOND)",
        "timeout = \"1.5s\", total_timeout = \"2m\"",
        "timeout = \"1ms\", total_timeout = \"1_000 ms\"",
        "timeout = \"500ms\", total_timeout_ms = 500",
        "bulkhead(max = 10, queue = 0, wait_ms = 0, name = \"db\"), rate_limit(max = 60, per_ms = 60_000, burst = 1)",
        "retry = 1, retry_if = |r| r.is_err(), failure_if = Result::is_err, classify = a::b, fallback = |e| (e, 1)",
        "clone(a, r#type), crate = a::b",
        "pool = \"db\", retry = 1",
        "pool(manager = a::Postgres<'static, T>, name = \"db\")",
        "pool(name = \"{{db}}\", manager = dyn_manager!()), circuit = \"db\"",
        "workers = \"cpu\"",
        "workers(name = \"cpu\", threads = 4, queue = 0)",
        "workers(name = \"cpu\", threads = THREADS)",
        "circuit(tenant = self.tenant, name = \"t-{tenant:>2}-{{x}}\")",
    ] {
        assert_eq!(mistakes(arguments), [""; 0], "{arguments}");
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    assert_eq!(
        mistakes(
            "circut = \"api\", retries = 3, timeout_ms = 0, retry = 3, retry = 4, bulkhead, 7, fallback |e| e"
        ),
        [
            "unknown key `circut`; did you mean `circuit`?",
            "unknown key `retries`; did you mean `retry`?",
            "`timeout_ms = 0` is out of range: 1 or more",
            "`retry` is given twice",
            "`bulkhead` needs a value: `bulkhead = 10`",
            "expected a key such as `retry` or `circuit`, as in `retry = 3`",
            "expected `=`: `fallback = |error| ..`",
        ]
    );
}

#[test]
fn unknown_keys_come_with_a_suggestion() {
    assert_mistakes(&[
        ("bulkhaed = 10", "unknown key `bulkhaed`; did you mean `bulkhead`?"),
        ("circuit_breaker = \"a\"", "unknown key `circuit_breaker`; did you mean `circuit`?"),
        (
            "max_attempts = 4",
            "unknown key `max_attempts`; did you mean `retry = n`, which means n further attempts after the first?",
        ),
        ("rate = 5", "unknown key `rate`; did you mean `rate_limit`?"),
        ("concurrency = 5", "unknown key `concurrency`; did you mean `bulkhead`?"),
        ("timeout_secs = 5", "unknown key `timeout_secs`; did you mean `timeout = \"2s\"`?"),
        (
            "failure_rate = 0.5",
            "`failure_rate` belongs into a group: `circuit(name = \"api\", failure_rate = ..)`",
        ),
        ("backoff = \"fixed\"", "`backoff` belongs into a group: `retry(max = 3, backoff = ..)`"),
        (
            "colour = |a, b| c",
            "unknown key `colour`; there is `circuit`, `retry`, `timeout`, `timeout_ms`, `total_timeout`, \
             `total_timeout_ms`, `bulkhead`, `rate_limit`, `pool`, `workers`, `fallback`, `classify`, `retry_if`, `failure_if`, `clone`, \
             `crate`",
        ),
        (
            "circuit(name = \"a\", threshold = 5)",
            "unknown key `threshold` in `circuit(..)`; did you mean `failure_threshold`?",
        ),
        ("retry(max = 1, delay = 5)", "unknown key `delay` in `retry(..)`; did you mean `delay_ms`?"),
        ("retry(max = 1, fallback = f)", "`fallback` stands beside `retry(..)`, not in it"),
        (
            "bulkhead(max = 1, colour = 5)",
            "unknown key `colour` in `bulkhead(..)`; it takes `name`, `max`, `queue`, `wait_ms`",
        ),
    ]);
}

#[test]
fn values_are_checked_for_type_and_range() {
    assert_mistakes(&[
        ("retry = \"3\"", "`retry` takes a whole number, for example `retry = 3`"),
        ("retry = 1.5", "`retry` takes a whole number, for example `retry = 3`"),
        ("retry = true", "`retry` takes a whole number, for example `retry = 3`"),
        ("retry = false", "`retry` takes a whole number, for example `retry = 3`"),
        ("retry = |failed| 3", "`retry` takes a whole number, for example `retry = 3`"),
        ("bulkhead = \"10\"", "`bulkhead` takes a whole number, for example `bulkhead = 10`"),
        (
            "circuit(name = \"a\", open_ms = \"2s\")",
            "`open_ms` takes a whole number, for example `open_ms = 500`",
        ),
        ("retry = -1", "`retry = -1` is out of range: 0 or more"),
        ("retry = 4_294_967_296", "`retry = 4_294_967_296` is out of range: at most 4294967295"),
        ("bulkhead = 0", "`bulkhead = 0` is out of range: 1 or more"),
        ("circuit(name = \"a\", probes = 1001)", "`probes = 1001` is out of range: at most 1000"),
        ("circuit(name = \"a\", window = 0)", "`window = 0` is out of range: 1 to 1000000"),
        (
            "circuit(name = \"a\", failure_rate = 50)",
            "`failure_rate = 50` is out of range: above 0, at most 1; for 50 % write `0.5`",
        ),
        (
            "circuit(name = \"a\", failure_rate = 0.0)",
            "`failure_rate = 0.0` is out of range: above 0, at most 1",
        ),
        (
            "circuit(name = \"a\", critical = 1)",
            "`critical` takes `true` or `false`, for example `critical = true`",
        ),
        ("retry(max = 1, factor = 0.5)", "`factor = 0.5` is out of range: 1.0 or more, and finite"),
        ("retry(max = 1, factor = 1e999)", "`factor = 1e999` is out of range: 1.0 or more, and finite"),
        (
            "retry(max = 1, backoff = \"exponental\")",
            "unknown `backoff = \"exponental\"`; did you mean \"exponential\"?\n\
             `backoff` takes \"fixed\", \"linear\", \"exponential\" or \"decorrelated\"",
        ),
        (
            "retry(max = 1, backoff = FIXED)",
            "`backoff` takes \"fixed\", \"linear\", \"exponential\" or \"decorrelated\"",
        ),
        (
            "retry(max = 1, jitter = true)",
            "`jitter` takes \"none\", \"equal\", \"full\", or a share such as 0.1",
        ),
        (
            "retry(max = 1, budget = true)",
            "`budget` takes a share such as `budget = 0.2`, or `budget = false` for no bound",
        ),
        (
            "fallback = 5",
            "`fallback` takes a closure or the path of a function that takes the error and gives the answer: \
             `fallback = |error| ..`",
        ),
        (
            "retry = 1, retry_if = true",
            "`retry_if` takes a closure or the path of a function: `retry_if = |outcome| ..`",
        ),
        ("clone", "`clone` takes the names of arguments: `clone(a, b)`"),
        ("clone()", "`clone` takes the names of arguments: `clone(a, b)`"),
        ("clone(a.b)", "`clone` takes the names of arguments: `clone(a, b)`"),
        ("crate = \"a\"", "`crate` takes a path without quotes: `crate = path::to::resilience_runtime`"),
    ]);
}

#[test]
fn what_is_given_twice_is_told_unless_there_is_more_to_say() {
    assert_mistakes(&[
        ("timeout_ms = 5, timeout_ms = 6", "`timeout_ms` is given twice"),
        ("retry = 1, retry(max = 2)", "`retry` is given twice"),
        ("retry = 1, retry = \"2\"", "`retry` takes a whole number, for example `retry = 3`"),
    ]);
}

#[test]
fn a_value_is_assigned_and_not_compared() {
    assert_mistakes(&[
        ("retry == 3", "expected `=`: `retry = 3`"),
        ("retry => 3", "expected `=`: `retry = 3`"),
        ("retry: 3", "expected `=`: `retry = 3`"),
    ]);
}

/// Groups without delimiters are what a macro's fragments come in.
#[test]
fn values_of_a_macros_fragments_are_read_as_they_are() {
    use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

    let group = |tokens: &str| -> TokenStream {
        TokenTree::from(Group::new(Delimiter::None, tokens.parse().expect("tokens"))).into()
    };
    let mistakes = |retry: &str, circuit: &str| {
        let (retry, circuit) = (group(retry), group(circuit));
        let mut errors = Errors::default();
        Policy::parse(quote::quote!(retry = #retry, circuit = #circuit), &mut errors).check(&mut errors);
        errors.messages()
    };
    assert_eq!(mistakes("3", "\"api\""), [""; 0]);
    let expected = ["`retry = 4_294_967_296` is out of range: at most 4294967295"];
    assert_eq!(mistakes("4_294_967_296", "\"api\""), expected);
}

#[test]
fn durations_need_a_unit() {
    assert_mistakes(&[
        ("timeout = 500", "`timeout` needs a unit: `timeout = \"500ms\"`, or `timeout_ms = 500`"),
        ("timeout = \"500\"", "`timeout = \"500\"` has no unit: write `\"500ms\"`, `\"500s\"` or `\"500m\"`"),
        ("timeout = \"5h\"", "unknown unit `h` in `timeout = \"5h\"`: use `ms`, `s` or `m`"),
        (
            "timeout = \"soon\"",
            "`timeout = \"soon\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\"",
        ),
        (
            "timeout = \"-5s\"",
            "`timeout = \"-5s\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\"",
        ),
        (
            "timeout = \"\"",
            "`timeout = \"\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\"",
        ),
        (
            "timeout = \".5s\"",
            "`timeout = \".5s\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\"",
        ),
        (
            "timeout = \"1e3s\"",
            "`timeout = \"1e3s\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\"",
        ),
        ("timeout = \"0s\"", "`timeout = \"0s\"` is out of range: 1 millisecond or more"),
        (
            "timeout = \"1000000000000000000m\"",
            "`timeout = \"1000000000000000000m\"` is out of range: at most 18446744073709551615 milliseconds",
        ),
        (
            "timeout_ms = 18446744073709551616",
            "`timeout_ms = 18446744073709551616` is out of range: at most 18446744073709551615",
        ),
        ("timeout = \"1.5ms\"", "`timeout = \"1.5ms\"` is not a whole number of milliseconds"),
        (
            "timeout = LIMIT",
            "`timeout` takes a string with a unit, `timeout = \"500ms\"`; a constant goes into `timeout_ms`",
        ),
        (
            "timeout_ms = \"2s\"",
            "`timeout_ms` takes a whole number, for example `timeout_ms = 500` (or `timeout = \"2s\"`)",
        ),
        ("timeout = \"1s\", timeout_ms = 5", "`timeout` and `timeout_ms` are one setting: give one of them"),
    ]);
}

#[test]
fn contradictions_are_mistakes() {
    assert_mistakes(&[
        (
            "timeout_ms = 500, total_timeout = \"400ms\"",
            "`total_timeout` is 400 ms, shorter than the 500 ms of `timeout_ms`, which is for one attempt",
        ),
        (
            "circuit(name = \"a\", probes = 2, probe_successes = 3)",
            "`probe_successes = 3` is above `probes`, which is 2",
        ),
        ("circuit(name = \"a\", probe_successes = 3)", "`probe_successes = 3` is above `probes`, which is 2"),
        ("circuit(name = \"a\", min_calls = 101)", "`min_calls = 101` is above `window`, which is 100"),
        ("circuit(name = \"a\", window = 5, min_calls = 6)", "`min_calls = 6` is above `window`, which is 5"),
        ("circuit(name = \"a\", open_max_ms = 5)", "`open_max_ms = 5` is below `open_ms`, which is 30000"),
        ("retry(max = 1, delay_ms = 20_000)", "`delay_ms = 20000` is above `max_delay_ms`, which is 10000"),
        ("retry(max = 1, max_delay_ms = 50)", "`max_delay_ms = 50` is below `delay_ms`, which is 100"),
        (
            "circuit(name = \"a\", window = 5, window_ms = 5)",
            "`window` counts calls and `window_ms` counts time: give one of them",
        ),
        ("circuit(name = \"a\", slow_call_rate = 0.5)", "`slow_call_rate` needs `slow_call_ms` beside it"),
        (
            "circuit(name = \"a\", failure_reset_ms = 5)",
            "`failure_reset_ms` needs `failure_threshold` beside it",
        ),
        ("retry_if = |r| r.is_err()", "`retry_if` needs `retry`: `retry = 3, retry_if = ..`"),
        ("retry(max = 1, max = 2)", "`max` is given twice"),
        ("clone(a), clone(b)", "`clone` is given twice"),
    ]);
}

#[test]
fn groups_say_what_they_need() {
    assert_mistakes(&[
        ("circuit(failure_rate = 0.5)", "`circuit(..)` needs `name`: `circuit(name = \"api\", ..)`"),
        ("retry()", "`retry(..)` needs `max`: `retry(max = 3, ..)`"),
        ("circuit(\"api\")", "write `circuit = \"api\"`, or `circuit(name = \"api\", ..)`"),
        ("retry(3)", "write `retry = 3`, or `retry(max = 3, ..)`"),
        ("circuit: \"api\"", "expected `=`: `circuit = \"api\"`"),
        ("retry = 3 bulkhead = 4", "expected `,`"),
        ("skip = true", "`skip` takes no value"),
    ]);
}

#[test]
fn names_are_literals_and_templates_name_their_arguments() {
    assert_mistakes(&[
        ("circuit = \" \"", "`circuit` needs a name that is not empty"),
        (
            "circuit = NAME",
            "a name is a string literal: `circuit = \"api\"`; to compute it give a template: `circuit = \"host-{host}\"`",
        ),
        (
            "circuit = \"a-{}\"",
            "`{}` names no argument: write `{id}`, or `{key}` with `key = ..` beside the name",
        ),
        (
            "circuit = \"a-{self.b}\"",
            "`{self.b}` is an expression: write `{key}` and give `key = self.b` beside the name, as in \
             `circuit(name = \"..{key}\", key = self.b)`",
        ),
        ("circuit = \"a}\"", "unmatched `}` in the name: write `}}` for a brace"),
        (
            "circuit(name = \"a-{b}\", colour = 1)",
            "`colour` is neither a key of `circuit(..)` nor used in its name as `{colour}`",
        ),
        ("circuit(name = \"a-{b}\", b = 1, b = 2)", "`b` is given twice"),
    ]);
}

#[test]
fn pools_and_workers_are_named_and_bounded() {
    assert_mistakes(&[
        ("pool", "`pool` needs a value: `pool = \"db\"`"),
        ("pool = DB", "a name is a string literal: `pool = \"db\"`"),
        ("pool(\"db\")", "write `pool = \"db\"`, or `pool(name = \"db\", ..)`"),
        ("pool(manager = M)", "`pool(..)` needs `name`: `pool(name = \"db\", ..)`"),
        ("pool(name = \"db\", manager)", "`manager` needs a value: `manager = MyManager`"),
        ("pool(name = \"db\", manager = M, manager = N)", "`manager` is given twice"),
        ("pool = \"db-{shard}\"", "the name of a `pool` cannot be a template: write `{{` for a brace"),
        ("pool(name = \"db\", max = 3)", "unknown key `max` in `pool(..)`; it takes `name`, `manager`"),
        ("pool(name = \"db\", managr = M)", "unknown key `managr` in `pool(..)`; did you mean `manager`?"),
        ("manager = M", "`manager` belongs into a group: `pool(name = \"db\", manager = ..)`"),
        ("connection_pool = \"db\"", "unknown key `connection_pool`; did you mean `pool`?"),
        ("workers = 4", "a name is a string literal: `workers = \"cpu\"`"),
        ("workers(threads = 4)", "`workers(..)` needs `name`: `workers(name = \"cpu\", ..)`"),
        ("workers(name = \"cpu\", threads = 0)", "`threads = 0` is out of range: 1 to 4096"),
        ("workers(name = \"cpu\", threads = 4097)", "`threads = 4097` is out of range: at most 4096"),
        ("workers(name = \"cpu\", queue = -1)", "`queue = -1` is out of range: 0 or more"),
        ("workers(name = \"cpu\", size = 4)", "unknown key `size` in `workers(..)`; did you mean `threads`?"),
        ("threads = 4", "`threads` belongs into a group: `workers(name = \"cpu\", threads = ..)`"),
        ("thread_pool = \"cpu\"", "unknown key `thread_pool`; did you mean `workers`?"),
        (
            "pool = \"db\", workers = \"cpu\"",
            "`pool` lends a connection to an `async fn`, `workers` runs a function without `async`: give one of them",
        ),
    ]);
}

/// What random arguments are made of.
const WORDS: [&str; 43] = [
    "circuit",
    "pool",
    "workers",
    "manager",
    "retry",
    "timeout",
    "timeout_ms",
    "bulkhead",
    "rate_limit",
    "clone",
    "crate",
    "skip",
    "fallback",
    "name",
    "max",
    "min_calls",
    "window",
    "failure_rate",
    "jitter",
    "=",
    ",",
    "(",
    ")",
    "[",
    "]",
    "\"a{\"",
    "\"{{}\"",
    "\"{a:02}\"",
    "\"5ms\"",
    "\"none\"",
    "3",
    "0.5",
    "-",
    "|e|",
    "async",
    "{",
    "}",
    "self",
    "::",
    "1e400",
    "'a'",
    "&",
    "18446744073709551616",
];

/// Reads `length` words drawn from `seed`, if they are tokens at all; whether they were.
fn read_anything(seed: &mut u64, length: usize) -> bool {
    let mut arguments = String::new();
    for _ in 0..length {
        // A linear congruential generator (Knuth's MMIX).
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        arguments += WORDS[(*seed >> 33) as usize % WORDS.len()];
        arguments.push(' ');
    }
    let tokens = arguments.parse::<proc_macro2::TokenStream>().is_ok();
    if tokens {
        mistakes(&arguments);
    }
    tokens
}

/// Whatever stands in the parentheses, reading ends, and ends without a panic.
#[test]
fn no_arguments_make_the_parser_panic() {
    let mut seed = 1;
    let read = (0..20_000).filter(|_| read_anything(&mut seed, 8)).count();
    assert!(read > 5_000, "only {read} were tokens");
}
