//! A list of entries, read to its end whatever is wrong in it.

use proc_macro2::TokenTree;
use syn::{Expr, Ident, Token, ext::IdentExt, parse::ParseStream};

use crate::errors::Errors;

/// Calls `entry` after each key; it reads the rest of the entry. After a mistake reading goes on behind the next comma.
pub(crate) fn entries(
    input: ParseStream<'_>,
    errors: &mut Errors,
    mut entry: impl FnMut(Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    while !input.is_empty() {
        let read = match input.call(Ident::parse_any) {
            Ok(key) => entry(key, input, errors),
            Err(_) => Err(input.error("expected a key such as `retry` or `circuit`, as in `retry = 3`")),
        };
        if let Err(error) = read {
            errors.push(error);
            skip(input);
        } else if !input.is_empty() && !input.peek(Token![,]) {
            errors.push(input.error("expected `,`"));
            skip(input);
        }
        // Either there is a comma here or nothing is.
        let _ = input.parse::<Option<Token![,]>>();
    }
}

/// The value behind `key =`.
pub(crate) fn entry_value(key: &Ident, sample: &str, input: ParseStream<'_>) -> syn::Result<Expr> {
    assigned(key, sample, input)?;
    input.parse()
}

/// The `=` behind `key`, and that something follows it.
pub(crate) fn assigned(key: &Ident, sample: &str, input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(key.span(), format!("`{key}` needs a value: `{key} = {sample}`")));
    }
    if input.peek(Token![:]) || !input.peek(Token![=]) || input.peek(Token![==]) || input.peek(Token![=>]) {
        return Err(input.error(format!("expected `=`: `{key} = {sample}`")));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(key.span(), format!("`{key}` needs a value: `{key} = {sample}`")));
    }
    Ok(())
}

pub(crate) fn twice(key: &Ident) -> syn::Error {
    syn::Error::new(key.span(), format!("`{key}` is given twice"))
}

fn skip(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // A token tree is always there before the end.
        let _ = input.parse::<TokenTree>();
    }
}
