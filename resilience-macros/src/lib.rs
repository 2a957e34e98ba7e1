//! The `#[resilient]` attribute of `resilience-runtime`.
#![forbid(unsafe_code)]

mod errors;
mod expand;
mod grammar;
mod item;
mod shape;
mod types;
mod words;

use proc_macro::TokenStream;

/// Gives an async function a policy.
#[proc_macro_attribute]
pub fn resilient(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
