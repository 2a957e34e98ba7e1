//! From the parsed attribute and the function to the function with its policy.
//!
//! One static holds the site. The body is emitted once, in an `async` block that is awaited in the user's own state
//! machine: it borrows the arguments where it may run again, and owns them where it may not. No helper takes a future
//! by value in an `async fn`, which would store it twice.

mod body;
mod lend;
mod site;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{FnArg, Ident, LitStr, Meta, Pat, Token};

use self::lend::Lend;
use crate::{
    errors::Errors,
    grammar::Policy,
    item::{Function, Impl, Item, Member, is_ours, mentions_word},
    shape::{Shape, strip_mut},
    words,
};

/// `quote!` with spans that resolve neither to the user's variables nor the other way round.
macro_rules! hygienic {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}
use hygienic;

/// The attribute. With any mistake the item comes out as it went in, so that the mistake is all that is reported.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let policy = Policy::parse(arguments, &mut errors);
    let mut plain = item.clone();
    let expanded = match Item::parse(item) {
        Item::Function(function) => {
            plain = function.clone().without_pooled().into_token_stream();
            if let Some(span) = policy.skip {
                errors.at(span, "`skip` is for methods of an `impl` block that has the attribute itself");
            }
            policy.check(&mut errors);
            self::function(&policy, *function, None, &mut errors).unwrap_or_default()
        }
        Item::Impl(block) => {
            if let Some(span) = policy.skip {
                errors.at(span, "`skip` is for the methods in this block");
            }
            if let Some(workers) = &policy.workers {
                errors.at(
                    workers.span,
                    "`workers` is for functions without `async`, and a block's settings are for async ones: \
                     put it on the method",
                );
            }
            return self::block(&policy, block, errors);
        }
        Item::Bodiless(sig) => {
            errors.at(
                sig.ident.span(),
                "`#[resilient]` needs a body: put it on the implementations, or give the method a default body",
            );
            TokenStream::new()
        }
        Item::Other => {
            errors.at(Span::call_site(), "`#[resilient]` goes on an `async fn` or on an `impl` block");
            TokenStream::new()
        }
    };
    if errors.is_empty() {
        return expanded;
    }
    let errors = errors.into_tokens();
    quote!(#plain #errors)
}

/// Every async method of the block; mistakes in the block's own arguments leave it as it is.
fn block(policy: &Policy, mut block: Impl, mut errors: Errors) -> TokenStream {
    policy.check(&mut errors);
    let sound = errors.is_empty();
    let type_name = block.type_name();
    let (mut methods, mut lends) = (0, false);
    for member in &mut block.members {
        let Member::Function(method) = member else { continue };
        let mut of_method = Errors::default();
        method.attrs.retain(|attr| {
            let late = attr.path().is_ident("cfg_attr")
                && mentions_word(attr.meta.to_token_stream(), "resilient");
            if late {
                of_method.over(
                    attr,
                    "in an `impl` block that has the attribute itself, `cfg_attr` is read too late: write two methods, \
                     one below `#[cfg(..)]` and one below `#[cfg(not(..))]`",
                );
            }
            !late
        });
        let own = own_arguments(method, &mut of_method);
        let annotated = own.is_some();
        let own = own.unwrap_or_default();
        // Only what is asked for by name has to be a shape that can be protected.
        if annotated || method.sig.asyncness.is_some() || Shape::of(method).is_ok() {
            methods += 1;
            if sound && own.skip.is_none() && of_method.is_empty() {
                let takes_connection = method.is_lent_to();
                lends |= takes_connection;
                // The block's pool is for those methods that ask for it.
                let asks = takes_connection || own.pool.is_some();
                let mut merged = policy.clone().overridden_by(own);
                merged.pool = merged.pool.filter(|_| asks);
                merged.check(&mut of_method);
                let expanded = function(&merged, (**method).clone(), type_name.as_deref(), &mut of_method);
                errors.extend(of_method);
                *member = match expanded {
                    Some(tokens) => Member::Other(tokens),
                    None => Member::Function(Box::new(method.clone().without_pooled())),
                };
                continue;
            }
        }
        **method = method.clone().without_pooled();
        errors.extend(of_method);
    }
    if let (true, false, Some(pool)) = (sound, lends, &policy.pool) {
        errors.at(pool.span, "no method in this block takes a connection: mark an argument `#[pooled]`");
    }
    if sound && methods == 0 {
        errors.at(
            Span::call_site(),
            "there is no `async fn` in this `impl` block for `#[resilient]` to protect",
        );
    }
    let errors = errors.into_tokens();
    quote!(#block #errors)
}

/// Takes the method's own attribute off it and reads it.
fn own_arguments(method: &mut Function, errors: &mut Errors) -> Option<Policy> {
    let (ours, others) = std::mem::take(&mut method.attrs).into_iter().partition::<Vec<_>, _>(is_ours);
    method.attrs = others;
    let mut ours = ours.into_iter();
    let first = ours.next()?;
    if let Some(second) = ours.next() {
        errors.over(second, "a second `#[resilient]`: write all keys into one attribute");
    }
    Some(match first.meta {
        Meta::List(list) => Policy::parse(list.tokens, errors),
        Meta::Path(_) => Policy::default(),
        Meta::NameValue(pair) => {
            errors.over(pair, "write `#[resilient(key = value, ..)]`");
            Policy::default()
        }
    })
}

/// One function, of `owner` if that is known; `None` if it cannot be, and `errors` says why.
fn function(
    policy: &Policy,
    mut function: Function,
    owner: Option<&str>,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let lend = Lend::take(policy, &mut function, errors);
    let shape = if policy.workers.is_some() { Shape::job(&function) } else { Shape::of(&function) };
    let shape = match shape {
        Ok(shape) => shape,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let clones: &[Ident] = policy.clones.as_deref().unwrap_or_default();
    check_arguments(policy, &shape, clones, errors);
    if !errors.is_empty() {
        return None;
    }
    let name = function.sig.ident.to_string();
    let name = name.trim_start_matches("r#");
    let label = owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}::{name}"));
    let label = LitStr::new(&label, function.sig.ident.span());
    let protected = body::protected(policy, &shape, lend.as_ref(), clones, &label);
    // The fresh clone is what is mutable then.
    for argument in &mut function.sig.inputs {
        if let FnArg::Typed(typed) = argument {
            *typed.pat = Pat::Verbatim(strip_mut(typed.pat.to_token_stream(), clones));
        }
    }
    if policy.workers.is_some() {
        function.sig.asyncness = Some(Token![async](shape.asyncness));
    }
    function.body = shape.wrap(protected, clones);
    function.attrs.extend(words::documentation(policy));
    Some(function.into_token_stream())
}

fn check_arguments(policy: &Policy, shape: &Shape, clones: &[Ident], errors: &mut Errors) {
    for name in clones {
        if name == "self" {
            errors.at(
                name.span(),
                "`self` cannot be cloned for each attempt: take `&self`, or clone it in the body",
            );
        } else if !shape.bindings.iter().any(|binding| binding.name == *name) {
            errors.at(name.span(), format!("`clone({name})`: there is no argument `{name}`"));
        }
    }
    if !policy.repeats() {
        return;
    }
    for binding in &shape.bindings {
        let Some(span) = binding.mutable else { continue };
        let name = &binding.name;
        if binding.by_reference {
            let message = format!(
                "`ref mut {name}` would carry changes from one attempt into the next: write `{name}`, and \
                 `let mut {name} = {name}.clone();` in the body"
            );
            errors.at(span, message);
            continue;
        }
        if clones.contains(name) {
            continue;
        }
        let message = if name == "self" || name == "__self" {
            "`mut self` would carry changes from one attempt into the next: take `&mut self`, \
             or write `self` and `let mut this = ..` in the body"
                .to_owned()
        } else {
            format!(
                "`mut {name}` would carry changes from one attempt into the next: give each attempt a copy with \
                 `clone({name})`, or write `{name}` and `let mut {name} = ..` in the body"
            )
        };
        errors.at(span, message);
    }
}

#[cfg(test)]
mod tests;
