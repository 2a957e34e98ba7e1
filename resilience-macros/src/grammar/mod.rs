//! What the attribute says: every key, read to the end, with all mistakes gathered.

mod group;
mod keys;
mod list;
mod name;
mod suggest;
mod value;

use proc_macro2::{Span, TokenStream};
use syn::{
    Expr, Ident, Path, Token,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    spanned::Spanned,
    token,
};

pub(crate) use self::{
    group::{Group, Setting},
    keys::{Int, Kind, MILLIS},
    name::Name,
    value::Value,
};
use self::{
    keys::{BULKHEAD, CIRCUIT, FOREIGN, GROUPS, POOL, RATE_LIMIT, RETRY, TOP, WORKERS},
    list::{entry_value, twice},
    suggest::nearest,
};
use crate::errors::Errors;

/// Everything one attribute says, or an `impl` block's and a method's together.
#[derive(Clone, Default)]
pub(crate) struct Policy {
    pub(crate) circuit: Option<Group>,
    pub(crate) retry: Option<Group>,
    pub(crate) bulkhead: Option<Group>,
    pub(crate) rate_limit: Option<Group>,
    pub(crate) pool: Option<Group>,
    pub(crate) workers: Option<Group>,
    pub(crate) timeout: Option<Limit>,
    pub(crate) total_timeout: Option<Limit>,
    pub(crate) fallback: Option<Expr>,
    pub(crate) classify: Option<Expr>,
    pub(crate) retry_if: Option<(Span, Expr)>,
    pub(crate) failure_if: Option<Expr>,
    pub(crate) clones: Option<Vec<Ident>>,
    pub(crate) krate: Option<Path>,
    pub(crate) skip: Option<Span>,
}

/// `timeout` or `total_timeout`, in milliseconds.
#[derive(Clone)]
pub(crate) struct Limit {
    pub(crate) key: String,
    pub(crate) span: Span,
    pub(crate) value: Value,
}

impl Policy {
    /// Reads the attribute's arguments. What is wrong goes into `errors` and is left out.
    pub(crate) fn parse(arguments: TokenStream, errors: &mut Errors) -> Self {
        let mut policy = Self::default();
        let read = |input: ParseStream<'_>| {
            list::entries(input, errors, |key, input, errors| policy.entry(&key, input, errors));
            Ok(())
        };
        if let Err(error) = read.parse2(arguments) {
            errors.push(error);
        }
        policy
    }

    /// These settings, with a method's in the place of those of the same key.
    pub(crate) fn overridden_by(self, method: Self) -> Self {
        Self {
            circuit: method.circuit.or(self.circuit),
            retry: method.retry.or(self.retry),
            bulkhead: method.bulkhead.or(self.bulkhead),
            rate_limit: method.rate_limit.or(self.rate_limit),
            pool: method.pool.or(self.pool),
            workers: method.workers,
            timeout: method.timeout.or(self.timeout),
            total_timeout: method.total_timeout.or(self.total_timeout),
            fallback: method.fallback.or(self.fallback),
            classify: method.classify.or(self.classify),
            retry_if: method.retry_if.or(self.retry_if),
            failure_if: method.failure_if.or(self.failure_if),
            clones: method.clones.or(self.clones),
            krate: method.krate.or(self.krate),
            skip: method.skip,
        }
    }

    /// What is wrong only when everything is known.
    pub(crate) fn check(&self, errors: &mut Errors) {
        if let (Some((span, _)), None) = (&self.retry_if, &self.retry) {
            errors.at(*span, "`retry_if` needs `retry`: `retry = 3, retry_if = ..`");
        }
        if let (Some(_), Some(workers)) = (&self.pool, &self.workers) {
            errors.at(
                workers.span,
                "`pool` lends a connection to an `async fn`, `workers` runs a function without `async`: give one of them",
            );
        }
        if let (Some(attempt), Some(total)) = (&self.timeout, &self.total_timeout) {
            if let (Some(one), Some(all)) = (attempt.value.whole(), total.value.whole()) {
                if all < one {
                    let message = format!(
                        "`{}` is {all} ms, shorter than the {one} ms of `{}`, which is for one attempt",
                        total.key, attempt.key
                    );
                    errors.at(total.span, message);
                }
            }
        }
    }

    /// Whether a call can be answered without, or in spite of, the body's own outcome.
    pub(crate) fn can_refuse(&self) -> bool {
        let gates = [&self.circuit, &self.bulkhead, &self.rate_limit, &self.pool, &self.workers];
        gates.into_iter().any(Option::is_some) || self.is_timed()
    }

    /// Whether the body may run more than once.
    pub(crate) fn repeats(&self) -> bool {
        self.retry
            .as_ref()
            .and_then(|retry| retry.setting("max"))
            .is_some_and(|max| max.value.whole() != Some(0))
    }

    /// Whether a call makes up a name of something it goes through.
    pub(crate) fn fills_names_in(&self) -> bool {
        let names = [&self.circuit, &self.bulkhead, &self.rate_limit].into_iter().flatten();
        names.filter_map(|group| group.name.as_ref()).any(|name| name.dynamic)
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.timeout.is_some() || self.total_timeout.is_some()
    }

    fn entry(&mut self, key: &Ident, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let word = key.to_string();
        match word.as_str() {
            "circuit" => group(&CIRCUIT, &mut self.circuit, key, input, errors),
            "retry" => group(&RETRY, &mut self.retry, key, input, errors),
            "bulkhead" => group(&BULKHEAD, &mut self.bulkhead, key, input, errors),
            "rate_limit" => group(&RATE_LIMIT, &mut self.rate_limit, key, input, errors),
            "pool" => group(&POOL, &mut self.pool, key, input, errors),
            "workers" => group(&WORKERS, &mut self.workers, key, input, errors),
            "timeout" | "timeout_ms" => limit(&mut self.timeout, key, input),
            "total_timeout" | "total_timeout_ms" => limit(&mut self.total_timeout, key, input),
            "fallback" => function(&mut self.fallback, key, "|error| ..", input),
            "classify" => function(&mut self.classify, key, "|error| ..", input),
            "failure_if" => function(&mut self.failure_if, key, "|outcome| ..", input),
            "retry_if" => {
                let mut slot = self.retry_if.take().map(|(_, expr)| expr);
                let read = function(&mut slot, key, "|outcome| ..", input);
                self.retry_if = slot.map(|expr| (key.span(), expr));
                read
            }
            "clone" => {
                if self.clones.is_some() {
                    return Err(twice(key));
                }
                self.clones = Some(clones(key, input)?);
                Ok(())
            }
            "crate" => {
                let mut expr = entry_value(key, "path::to::resilience_runtime", input)?;
                // From a `$path:path` of `macro_rules!`.
                while let Expr::Group(group) = expr {
                    expr = *group.expr;
                }
                let Expr::Path(path) = expr else {
                    return Err(syn::Error::new_spanned(
                        expr,
                        "`crate` takes a path without quotes: `crate = path::to::resilience_runtime`",
                    ));
                };
                match self.krate.replace(path.path) {
                    None => Ok(()),
                    Some(_) => Err(twice(key)),
                }
            }
            "skip" if input.is_empty() || input.peek(Token![,]) => {
                self.skip = Some(key.span());
                Ok(())
            }
            "skip" => Err(input.error("`skip` takes no value")),
            _ => {
                // The value is read so that commas in it are not taken for the end.
                if input.peek(Token![=]) {
                    let _ = entry_value(key, "..", input);
                }
                Err(unknown(key, &word))
            }
        }
    }
}

fn group(
    spec: &'static keys::Spec,
    slot: &mut Option<Group>,
    key: &Ident,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<()> {
    let read = read_group(spec, key, input, errors);
    // A group with a mistake is there all the same: what needs it is no mistake as well.
    let (group, result) = match read {
        Ok(group) => (group, Ok(())),
        Err(error) => (Group::empty(spec, key.span()), Err(error)),
    };
    match slot.replace(group) {
        Some(_) if result.is_ok() => Err(twice(key)),
        _ => result,
    }
}

fn read_group(
    spec: &'static keys::Spec,
    key: &Ident,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<Group> {
    if input.peek(token::Paren) {
        let content;
        syn::parenthesized!(content in input);
        if let (true, Ok(literal)) = (content.peek(syn::Lit), content.fork().parse::<syn::Lit>()) {
            let literal = quote::quote!(#literal);
            let (key, main) = (spec.key, spec.main);
            let message = format!("write `{key} = {literal}`, or `{key}({main} = {literal}, ..)`");
            errors.at(content.span(), message);
            return content.parse::<TokenStream>().map(|_| Group::empty(spec, key.span()));
        }
        Ok(Group::long(spec, key.span(), &content, errors))
    } else {
        Group::short(spec, key.span(), entry_value(key, spec.sample(), input)?)
    }
}

fn limit(slot: &mut Option<Limit>, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    let name = key.to_string();
    let in_millis = name.ends_with("_ms");
    let expr = entry_value(key, if in_millis { "500" } else { "\"500ms\"" }, input)?;
    let value = if in_millis { value::value(&name, MILLIS, expr)? } else { value::duration(&name, expr)? };
    let stem = name.trim_end_matches("_ms");
    match slot.replace(Limit { key: name.clone(), span: key.span(), value }) {
        None => Ok(()),
        Some(first) if first.key == name => Err(twice(key)),
        Some(_) => Err(syn::Error::new(
            key.span(),
            format!("`{stem}` and `{stem}_ms` are one setting: give one of them"),
        )),
    }
}

fn function(slot: &mut Option<Expr>, key: &Ident, sample: &str, input: ParseStream<'_>) -> syn::Result<()> {
    let expr = entry_value(key, sample, input)?;
    if matches!(expr, Expr::Lit(_)) {
        let hint = if key == "fallback" { " that takes the error and gives the answer" } else { "" };
        return Err(syn::Error::new(
            expr.span(),
            format!("`{key}` takes a closure or the path of a function{hint}: `{key} = {sample}`"),
        ));
    }
    match slot.replace(expr) {
        None => Ok(()),
        Some(_) => Err(twice(key)),
    }
}

fn clones(key: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    let sample = "`clone` takes the names of arguments: `clone(a, b)`";
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(key.span(), sample));
    }
    let content;
    syn::parenthesized!(content in input);
    let content: TokenStream = content.parse()?;
    let names = |input: ParseStream<'_>| input.parse_terminated(Ident::parse_any, Token![,]);
    match names.parse2(content.clone()) {
        Ok(names) if !names.is_empty() => {
            let names: Vec<Ident> = names.into_iter().collect();
            match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
                Some(at) => Err(twice(&names[at])),
                None => Ok(names),
            }
        }
        Ok(_) => Err(syn::Error::new(key.span(), sample)),
        Err(_) => Err(syn::Error::new_spanned(content, sample)),
    }
}

fn unknown(key: &Ident, word: &str) -> syn::Error {
    let owner = GROUPS.iter().find(|spec| spec.find(word).is_some());
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == word);
    let keys = TOP.iter().copied().filter(|key| *key != "skip");
    let message = if let Some((_, instead)) = foreign {
        format!("unknown key `{word}`; did you mean {instead}?")
    } else if let Some(spec) = owner {
        let (group, main, sample) = (spec.key, spec.main, spec.sample());
        format!("`{word}` belongs into a group: `{group}({main} = {sample}, {word} = ..)`")
    } else if let Some(near) = nearest(word, keys.clone()) {
        format!("unknown key `{word}`; did you mean `{near}`?")
    } else {
        let keys = keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        format!("unknown key `{word}`; there is {keys}")
    };
    syn::Error::new(key.span(), message)
}

#[cfg(test)]
mod tests;
