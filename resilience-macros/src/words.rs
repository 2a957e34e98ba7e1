//! The policy in words, for the function's documentation.

use quote::ToTokens;
use syn::{Attribute, parse_quote};

use crate::grammar::{Group, Limit, Policy, Value};

/// A paragraph of its own below the user's.
pub(crate) fn documentation(policy: &Policy) -> Vec<Attribute> {
    let text = sentence(policy);
    vec![parse_quote!(#[doc = ""]), parse_quote!(#[doc = #text])]
}

/// `**Resilience:** circuit `api`; up to 3 retries; at most 500 ms for each attempt.`
fn sentence(policy: &Policy) -> String {
    let mut parts = Vec::new();
    if let Some(name) = policy.circuit.as_ref().and_then(|group| group.name.as_ref()) {
        parts.push(format!("circuit `{}`", name.text));
    }
    if let Some(limit) = &policy.total_timeout {
        parts.push(format!("at most {} in all", millis(limit)));
    }
    if let Some(limit) = &policy.timeout {
        parts.push(format!("at most {} for each attempt", millis(limit)));
    }
    if let Some(group) = &policy.retry {
        let max = main(group);
        let retries = if max == "1" { "retry" } else { "retries" };
        let backoff = match group.setting("backoff").map(|setting| &setting.value) {
            Some(Value::Word(word, _)) => format!(" with {word} backoff"),
            _ => String::new(),
        };
        parts.push(format!("up to {max} {retries}{backoff}"));
    }
    if let Some(group) = &policy.bulkhead {
        parts.push(format!("at most {} at once", main(group)));
    }
    if let Some(group) = &policy.rate_limit {
        let per = match group.setting("per_ms").map(|setting| &setting.value) {
            None | Some(Value::Whole(1_000, _)) => "a second".to_owned(),
            Some(Value::Whole(60_000, _)) => "a minute".to_owned(),
            Some(value) => format!("in {} ms", shown(value)),
        };
        parts.push(format!("at most {} {per}", main(group)));
    }
    if let Some(name) = policy.pool.as_ref().and_then(|group| group.name.as_ref()) {
        parts.push(format!("a connection of pool `{}` for each attempt", name.text));
    }
    if let Some(name) = policy.workers.as_ref().and_then(|group| group.name.as_ref()) {
        parts.push(format!("runs on a thread of worker pool `{}`", name.text));
    }
    if policy.fallback.is_some() {
        parts.push("a fallback answers instead of a final error".to_owned());
    }
    if parts.is_empty() {
        parts.push("measured only".to_owned());
    }
    format!("**Resilience:** {}.", parts.join("; "))
}

fn main(group: &Group) -> String {
    group.setting(group.spec.main).map_or(String::new(), |setting| shown(&setting.value))
}

fn millis(limit: &Limit) -> String {
    match limit.value {
        Value::Whole(millis, _) if millis % 60_000 == 0 => format!("{} min", millis / 60_000),
        Value::Whole(millis, _) if millis % 1_000 == 0 => format!("{} s", millis / 1_000),
        ref value => format!("{} ms", shown(value)),
    }
}

/// A number, or the expression that stands for it.
fn shown(value: &Value) -> String {
    match value {
        Value::Open(expr) => format!("`{}`", expr.to_token_stream().to_string().replace(" :: ", "::")),
        value => value.to_token_stream().to_string(),
    }
}
