//! Whatever stands in the attribute and below it: expanding ends, without a panic, in items that can be parsed or in
//! mistakes that are explained.
//!
//! The input is the arguments, and after a line that holds `---` the item; without one the arguments are tried on
//! several. A macro crate exports nothing but macros, so its modules are compiled as a part of this target.

#![no_main]

#[path = "../../../resilience-macros/src/errors.rs"]
mod errors;
#[path = "../../../resilience-macros/src/expand/mod.rs"]
mod expand;
#[path = "../../../resilience-macros/src/grammar/mod.rs"]
mod grammar;
#[path = "../../../resilience-macros/src/item.rs"]
mod item;
#[path = "../../../resilience-macros/src/shape.rs"]
mod shape;
#[path = "../../../resilience-macros/src/types.rs"]
mod types;
#[path = "../../../resilience-macros/src/words.rs"]
mod words;

use libfuzzer_sys::{Corpus, fuzz_target};
use proc_macro2::TokenStream;

const ITEMS: [&str; 4] = [
    "async fn call(&self, id: u64, mut name: String) -> Result<u64, Error> { self.get(id, &name).await }",
    "impl<T: Get> Client<T> { async fn get(&self) -> Option<T> { None } #[resilient(skip)] async fn raw(&self) {} }",
    "fn render(html: String, #[pooled] db: &mut Db) -> io::Result<Vec<u8>> { Ok(html.into_bytes()) }",
    "fn get<'a>(key: &'a str) -> impl Future<Output = Result<&'a str, E>> + Send { async move { Ok(key) } }",
];

fuzz_target!(|input: &str| -> Corpus {
    let (arguments, items) = match input.split_once("\n---\n") {
        Some((arguments, item)) => (arguments, vec![item]),
        None => (input, ITEMS.to_vec()),
    };
    let Ok(arguments) = arguments.parse::<TokenStream>() else {
        return Corpus::Reject;
    };
    for item in items {
        let Ok(item) = item.parse::<TokenStream>() else {
            return Corpus::Reject;
        };
        let was_item = syn::parse2::<syn::File>(item.clone()).is_ok();
        let expanded = expand::expand(arguments.clone(), item);
        let text = expanded.to_string();
        let parsed = syn::parse2::<syn::File>(expanded);
        assert!(!was_item || parsed.is_ok() || text.contains("compile_error"), "{text}");
    }
    Corpus::Keep
});
