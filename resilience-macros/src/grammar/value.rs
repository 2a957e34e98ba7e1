//! Values: literals are checked here, any other expression is left to the compiler.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{Expr, ExprLit, ExprUnary, Lit, UnOp, spanned::Spanned};

use super::{
    keys::{Kind, TOP},
    suggest::nearest,
};

/// A value, as far as it is known here.
#[derive(Clone)]
pub(crate) enum Value {
    Whole(u64, Span),
    Real(f64, Span),
    Flag(bool, Span),
    /// One of the words that the key takes.
    Word(&'static str, Span),
    /// A const expression.
    Open(Box<Expr>),
}

impl Value {
    /// The number, where it is known to be a whole one.
    pub(crate) fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(value, _) => Some(*value),
            _ => None,
        }
    }
}

/// The value is written as the user would write it.
impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (mut literal, span) = match self {
            Self::Whole(value, span) => (Literal::u64_unsuffixed(*value), span),
            Self::Real(value, span) => (Literal::f64_unsuffixed(*value), span),
            Self::Word(word, span) => (Literal::string(word), span),
            Self::Flag(flag, span) => return tokens.extend(quote_spanned!(*span=> #flag)),
            Self::Open(expr) => return expr.to_tokens(tokens),
        };
        literal.set_span(*span);
        literal.to_tokens(tokens);
    }
}

const BACKOFFS: [&str; 4] = ["fixed", "linear", "exponential", "decorrelated"];
const JITTERS: [&str; 3] = ["none", "equal", "full"];

/// The value of `key`, if it is one that a key of this kind takes.
pub(crate) fn value(key: &str, kind: Kind, expr: Expr) -> syn::Result<Value> {
    let Some(literal) = literal(&expr) else {
        return match kind {
            Kind::Backoff => Err(wrong(key, kind, &expr)),
            _ if is_constant(&expr) => Ok(Value::Open(Box::new(expr))),
            _ => Err(wrong(key, kind, &expr)),
        };
    };
    let span = expr.span();
    let number = match literal {
        Literally::Flag(flag) if kind == Kind::Flag => return Ok(Value::Flag(flag, span)),
        Literally::Flag(false) if kind == Kind::Budget => return Ok(Value::Flag(false, span)),
        Literally::Text(text) => return word(key, kind, &text, &expr),
        Literally::Number(number) => number,
        Literally::Flag(_) | Literally::Other => return Err(wrong(key, kind, &expr)),
    };
    let shown = expr.to_token_stream().to_string().replace("- ", "-");
    let out_of_range = || {
        let range = match kind {
            Kind::Whole(_, least, most) if number > least as f64 => format!("at most {most}"),
            _ => kind.range(),
        };
        let mut message = format!("`{key} = {shown}` is out of range: {range}");
        if matches!(kind, Kind::Rate | Kind::Budget | Kind::Jitter) && number > 1.0 && number <= 100.0 {
            message += &format!("; for {number} % write `{}`", number / 100.0);
        }
        syn::Error::new_spanned(&expr, message)
    };
    let of_another_type = match kind {
        Kind::Whole(int, ..) => !["", int.name()].contains(&suffix(&expr)),
        _ => !["", "f64"].contains(&suffix(&expr)),
    };
    if of_another_type {
        return Err(wrong(key, kind, &expr));
    }
    match kind {
        Kind::Whole(_, least, most) => match whole(&expr) {
            Ok(Some(value)) if value >= least && value <= most => Ok(Value::Whole(value, span)),
            Ok(_) => Err(out_of_range()),
            Err(()) => Err(wrong(key, kind, &expr)),
        },
        Kind::Rate | Kind::Budget | Kind::Jitter if number > 0.0 && number <= 1.0 => {
            Ok(Value::Real(number, span))
        }
        Kind::Factor if number >= 1.0 && number.is_finite() => Ok(Value::Real(number, span)),
        Kind::Rate | Kind::Budget | Kind::Jitter | Kind::Factor => Err(out_of_range()),
        Kind::Flag | Kind::Backoff | Kind::Name | Kind::Type => Err(wrong(key, kind, &expr)),
    }
}

/// A length of time as `"500ms"`, in milliseconds.
pub(crate) fn duration(key: &str, expr: Expr) -> syn::Result<Value> {
    let millis_key = format!("{key}_ms");
    let text = match literal(&expr) {
        Some(Literally::Text(text)) => text,
        Some(Literally::Number(_)) => {
            let shown = expr.to_token_stream();
            let message = if ["ms", "s", "m"].contains(&suffix(&expr)) {
                format!("`{key}` takes a string: `{key} = \"{shown}\"`")
            } else {
                format!("`{key}` needs a unit: `{key} = \"{shown}ms\"`, or `{millis_key} = {shown}`")
            };
            return Err(syn::Error::new_spanned(&expr, message));
        }
        _ => {
            return Err(syn::Error::new_spanned(
                &expr,
                format!(
                    "`{key}` takes a string with a unit, `{key} = \"500ms\"`; a constant goes into `{millis_key}`"
                ),
            ));
        }
    };
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_alphabetic()).trim_end();
    let factor = match trimmed[digits.len()..].trim_start() {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        "" if !digits.is_empty() => {
            return Err(syn::Error::new_spanned(
                &expr,
                format!(
                    "`{key} = \"{text}\"` has no unit: write `\"{digits}ms\"`, `\"{digits}s\"` or `\"{digits}m\"`"
                ),
            ));
        }
        unit => {
            let message = if digits.is_empty() {
                format!(
                    "`{key} = \"{text}\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\""
                )
            } else {
                format!("unknown unit `{unit}` in `{key} = \"{text}\"`: use `ms`, `s` or `m`")
            };
            return Err(syn::Error::new_spanned(&expr, message));
        }
    };
    let well_formed = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '_');
    let number: f64 = match digits.replace('_', "").parse() {
        Ok(number) if well_formed => number,
        _ => {
            return Err(syn::Error::new_spanned(
                &expr,
                format!(
                    "`{key} = \"{text}\"` is not a duration: a number with a unit, such as \"500ms\", \"2s\" or \"1m\""
                ),
            ));
        }
    };
    let millis = number * factor;
    let range = if millis < 1.0 {
        Some("1 millisecond or more".to_owned())
    } else {
        (millis >= u64::MAX as f64).then(|| format!("at most {} milliseconds", u64::MAX))
    };
    if let Some(range) = range {
        let message = format!("`{key} = \"{text}\"` is out of range: {range}");
        return Err(syn::Error::new_spanned(&expr, message));
    }
    if millis.fract() != 0.0 {
        return Err(syn::Error::new_spanned(
            &expr,
            format!("`{key} = \"{text}\"` is not a whole number of milliseconds"),
        ));
    }
    Ok(Value::Whole(millis as u64, expr.span()))
}

/// A literal, seen through a minus sign and the invisible groups of `macro_rules!`.
#[derive(Debug)]
enum Literally {
    Number(f64),
    Text(String),
    Flag(bool),
    Other,
}

fn literal(expr: &Expr) -> Option<Literally> {
    match expr {
        Expr::Group(group) => literal(&group.expr),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => match literal(expr)? {
            Literally::Number(number) => Some(Literally::Number(-number)),
            _ => Some(Literally::Other),
        },
        Expr::Lit(ExprLit { lit, .. }) => Some(match lit {
            Lit::Int(int) => int.base10_parse().map_or(Literally::Number(f64::INFINITY), Literally::Number),
            Lit::Float(float) => float.base10_parse().map_or(Literally::Other, Literally::Number),
            Lit::Str(text) => Literally::Text(text.value()),
            Lit::Bool(flag) => Literally::Flag(flag.value),
            _ => Literally::Other,
        }),
        _ => None,
    }
}

/// What says of which type a number is, or what takes its place.
fn suffix(expr: &Expr) -> &str {
    match expr {
        Expr::Group(group) => suffix(&group.expr),
        Expr::Unary(ExprUnary { expr, .. }) => suffix(expr),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.suffix(),
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.suffix(),
        _ => "",
    }
}

/// `Err` if it is no whole number, `None` if it is one that no type holds.
fn whole(expr: &Expr) -> Result<Option<u64>, ()> {
    match expr {
        Expr::Group(group) => whole(&group.expr),
        Expr::Unary(ExprUnary { expr, .. }) => whole(expr).map(|_| None),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => Ok(int.base10_parse().ok()),
        _ => Err(()),
    }
}

/// Expressions that can never be a constant number are mistakes of the attribute, not of an expression.
fn is_constant(expr: &Expr) -> bool {
    !matches!(
        expr,
        Expr::Closure(_)
            | Expr::Async(_)
            | Expr::Await(_)
            | Expr::Array(_)
            | Expr::Range(_)
            | Expr::Assign(_)
    )
}

fn word(key: &str, kind: Kind, text: &str, expr: &Expr) -> syn::Result<Value> {
    let words: &[&'static str] = match kind {
        Kind::Backoff => &BACKOFFS,
        Kind::Jitter => &JITTERS,
        _ => return Err(wrong(key, kind, expr)),
    };
    if let Some(word) = words.iter().find(|word| **word == text) {
        return Ok(Value::Word(word, expr.span()));
    }
    let meant = nearest(text, words.iter().copied())
        .map_or(String::new(), |word| format!("; did you mean \"{word}\"?"));
    let message = format!("unknown `{key} = \"{text}\"`{meant}\n`{key}` takes {}", takes(key, kind));
    Err(syn::Error::new_spanned(expr, message))
}

/// What should have been written.
fn wrong(key: &str, kind: Kind, expr: &Expr) -> syn::Error {
    let hint = match (literal(expr), key.strip_suffix("_ms")) {
        (Some(Literally::Text(text)), Some(stem)) if TOP.contains(&stem) => {
            format!(" (or `{stem} = \"{text}\"`)")
        }
        _ => String::new(),
    };
    syn::Error::new_spanned(expr, format!("`{key}` takes {}{hint}", takes(key, kind)))
}

fn takes(key: &str, kind: Kind) -> String {
    match kind {
        Kind::Whole(..) => format!("a whole number, for example `{key} = {}`", example(key)),
        Kind::Rate => format!("a number above 0 and at most 1, for example `{key} = 0.5`"),
        Kind::Factor => format!("a number of 1.0 or more, for example `{key} = 2.0`"),
        Kind::Flag => format!("`true` or `false`, for example `{key} = true`"),
        Kind::Backoff => "\"fixed\", \"linear\", \"exponential\" or \"decorrelated\"".to_owned(),
        Kind::Jitter => "\"none\", \"equal\", \"full\", or a share such as 0.1".to_owned(),
        Kind::Budget => "a share such as `budget = 0.2`, or `budget = false` for no bound".to_owned(),
        Kind::Name => "a string literal".to_owned(),
        Kind::Type => "a type".to_owned(),
    }
}

fn example(key: &str) -> &'static str {
    match key {
        "retry" | "max" | "probes" | "probe_successes" | "failure_threshold" => "3",
        key if key.ends_with("_ms") => "500",
        _ => "10",
    }
}
