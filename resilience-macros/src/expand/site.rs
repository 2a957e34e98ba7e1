//! The static that declares a site.

use proc_macro2::{Group as Tokens, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{LitStr, spanned::Spanned};

use super::hygienic;
use crate::grammar::{Group, Int, Kind, Limit, MILLIS, Name, Policy, Setting, Value};

/// What the expansion calls the runtime's support module.
pub(super) fn support() -> TokenStream {
    hygienic!(__resilient)
}

/// Gives the support module that name. Each token of an expansion costs the user's compiler, and there are many paths into
/// it; and if the user has said where to find the runtime, a wrong path is one mistake and not as many as there are uses.
pub(super) fn import(policy: &Policy) -> TokenStream {
    match &policy.krate {
        Some(path) => hygienic!(use #path::__private as __resilient;),
        None => hygienic!(
            use ::resilience_runtime::__private as __resilient;
        ),
    }
}

/// `static __RESILIENT_SITE`, and its entry in the list that the linker collects.
pub(super) fn declaration(policy: &Policy, p: &TokenStream, label: &LitStr) -> TokenStream {
    let mut parts = TokenStream::new();
    if let Some(group) = &policy.circuit {
        let name = name(group.name.as_ref().expect("a circuit without a name is a mistake"), p);
        let settings = declared_settings(group, p, "CircuitSettings");
        parts.extend(hygienic!(.circuit(#name, #settings)));
    }
    if let Some(group) = &policy.retry {
        let settings = main_settings(group, p, "RetrySettings");
        parts.extend(hygienic!(.retry(#settings)));
    }
    for (group, setter, kind) in [
        (&policy.bulkhead, "bulkhead", "BulkheadSettings"),
        (&policy.rate_limit, "rate_limit", "LimiterSettings"),
    ] {
        let Some(group) = group else { continue };
        let setter = Ident::new(setter, Span::mixed_site());
        let name = group.name.as_ref().map_or_else(
            || hygienic!(#p::None),
            |name| {
                let name = self::name(name, p);
                hygienic!(#p::Some(#name))
            },
        );
        let settings = main_settings(group, p, kind);
        parts.extend(hygienic!(.#setter(#name, #settings)));
    }
    if let Some(name) = policy.pool.as_ref().and_then(|group| group.name.as_ref()) {
        let text = &name.text;
        parts.extend(hygienic!(.pool(#text)));
    }
    if let Some(group) = &policy.workers {
        let text = group.name.as_ref().map(|name| &name.text);
        let settings = declared_settings(group, p, "WorkerSettings");
        parts.extend(hygienic!(.workers(#text, #settings)));
    }
    for limit in [&policy.timeout, &policy.total_timeout].into_iter().flatten() {
        let setter =
            Ident::new(if limit.is_total() { "total_timeout_ms" } else { "timeout_ms" }, Span::mixed_site());
        let value = checked(&limit.key, MILLIS, &limit.value, p);
        parts.extend(hygienic!(.#setter(#value)));
    }
    let order = timeout_order(policy, p);
    // Spans of the function's name, so that line and column are its own.
    let place = quote_spanned!(label.span()=> #p::file!(), #p::line!(), #p::column!());
    let named = policy.fills_names_in().then(|| hygienic!(<#p::Named>));
    hygienic! {
        static __RESILIENT_SITE: #p::Site #named = {
            #order
            #p::Site::new(#p::Declaration::new(#p::Location::new(#p::module_path!(), #label, #place))#parts)
        };
        #p::inventory::submit! { #p::Declared(#p::Site::declaration(&__RESILIENT_SITE)) }
    }
}

fn name(name: &Name, p: &TokenStream) -> TokenStream {
    let text = &name.text;
    if name.dynamic {
        hygienic!(#p::NameSpec::Template(#text))
    } else {
        hygienic!(#p::NameSpec::Static(#text))
    }
}

/// The settings of what is joined by its name alone and declared with settings.
fn declared_settings(group: &Group, p: &TokenStream, kind: &str) -> TokenStream {
    if group.settings.is_empty() {
        return hygienic!(#p::None);
    }
    let kind = Ident::new(kind, Span::mixed_site());
    let settings = settings(group, p, hygienic!(#p::#kind::new()));
    hygienic!(#p::Some(#settings))
}

/// Settings whose constructor takes the group's main value.
fn main_settings(group: &Group, p: &TokenStream, kind: &str) -> TokenStream {
    let kind = Ident::new(kind, Span::mixed_site());
    let main = group.setting(group.spec.main).expect("a group without its main value is a mistake");
    let value = checked(main.label, main.key.kind, &main.value, p);
    settings(group, p, hygienic!(#p::#kind::new(#value)))
}

/// `new` with every other setting.
fn settings(group: &Group, p: &TokenStream, new: TokenStream) -> TokenStream {
    let mut chain = new;
    for setting in group.settings.iter().filter(|setting| setting.key.name != group.spec.main) {
        chain.extend(setter(setting, p));
    }
    let orders: TokenStream = group
        .open_orders()
        .map(|(order, int, at)| {
            let end = |(key, default): (&str, u64)| match group.setting(key) {
                Some(setting) => setting.value.to_token_stream(),
                None => Value::Whole(default, Span::mixed_site()).to_token_stream(),
            };
            let message = format!("`{}` must not be above `{}`", order.low.0, order.high.0);
            in_order(int, end(order.low), end(order.high), &message, at.value.to_token_stream(), p)
        })
        .collect();
    if orders.is_empty() { chain } else { hygienic!({ #orders #chain }) }
}

fn setter(setting: &Setting, p: &TokenStream) -> TokenStream {
    let name = Ident::new(setting.key.name, Span::mixed_site());
    let value = checked(setting.label, setting.key.kind, &setting.value, p);
    match (setting.key.kind, &setting.value) {
        (Kind::Budget, Value::Flag(..)) => hygienic!(.no_budget()),
        (Kind::Jitter, Value::Word(word, _)) => {
            let word = variant(word);
            hygienic!(.jitter(#p::Jitter::#word))
        }
        (Kind::Jitter, _) => hygienic!(.jitter(#p::Jitter::Share(#value))),
        (Kind::Backoff, Value::Word(word, _)) => {
            let word = variant(word);
            hygienic!(.backoff(#p::BackoffKind::#word))
        }
        _ => hygienic!(.#name(#value)),
    }
}

/// `Exponential` for `"exponential"`.
fn variant(word: &str) -> Ident {
    let (first, rest) = word.split_at(1);
    Ident::new(&format!("{}{rest}", first.to_uppercase()), Span::mixed_site())
}

/// A literal as it is, for it was checked; any other expression in a check that reports at its own span.
fn checked(key: &str, kind: Kind, value: &Value, p: &TokenStream) -> TokenStream {
    let Value::Open(expr) = value else { return value.to_token_stream() };
    let (check, range) = match kind {
        Kind::Whole(int, least, most) => (int.name(), hygienic!(, #least, #most)),
        Kind::Rate | Kind::Jitter | Kind::Budget => ("rate", TokenStream::new()),
        Kind::Factor => ("factor", TokenStream::new()),
        Kind::Flag | Kind::Backoff | Kind::Name | Kind::Type => return value.to_token_stream(),
    };
    let message = format!("`{key}` is out of range: {}", kind.bounds());
    // A binding of the type, so that a wrong one is reported against the expression alone.
    let ty = match kind {
        Kind::Whole(int, ..) => int.name(),
        _ => "f64",
    };
    let ty = Ident::new(ty, Span::mixed_site());
    let value = hygienic!({ let __resilient_value: #p::primitive::#ty = #expr; __resilient_value });
    call(check, quote!(#value #range, #message), expr.to_token_stream(), p)
}

fn timeout_order(policy: &Policy, p: &TokenStream) -> Option<TokenStream> {
    let (Some(one), Some(all)) = (&policy.timeout, &policy.total_timeout) else { return None };
    if one.value.whole().is_some() && all.value.whole().is_some() {
        return None;
    }
    let message = format!("`{}` must not be shorter than `{}`, which is for one attempt", all.key, one.key);
    let open = [all, one].into_iter().find(|limit| limit.value.whole().is_none())?;
    let (low, high) = (one.value.to_token_stream(), all.value.to_token_stream());
    Some(in_order(Int::U64, low, high, &message, open.value.to_token_stream(), p))
}

fn in_order(
    int: Int,
    low: TokenStream,
    high: TokenStream,
    message: &str,
    blamed: TokenStream,
    p: &TokenStream,
) -> TokenStream {
    let check = format!("{}_order", int.name());
    let call = call(&check, quote!(#low, #high, #message), blamed, p);
    quote!(#call;)
}

/// `support::check::name(arguments)` so that a panic in it is reported at `blamed`.
fn call(name: &str, arguments: TokenStream, blamed: TokenStream, p: &TokenStream) -> TokenStream {
    let trees: Vec<TokenTree> = blamed.into_iter().collect();
    let first = trees.first().map_or_else(Span::call_site, Spanned::span);
    let last = trees.last().map_or(first, Spanned::span);
    let name = Ident::new(name, first);
    let mut parens = Tokens::new(proc_macro2::Delimiter::Parenthesis, arguments);
    parens.set_span(last);
    let p = located(p.clone(), first);
    quote_spanned!(first=> #p::check::#name #parens)
}

impl Limit {
    fn is_total(&self) -> bool {
        self.key.starts_with("total")
    }
}

/// The same tokens, standing elsewhere.
pub(super) fn located(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut tree| {
            tree.set_span(tree.span().located_at(span));
            tree
        })
        .collect()
}
