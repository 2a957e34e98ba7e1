//! The item below the attribute. Bodies stay raw tokens: half-typed ones keep the errors they have without the attribute.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote};
use syn::{
    Attribute, FnArg, Ident, Signature, Token, Visibility, braced,
    parse::{Parse, ParseStream},
    token,
};

/// What the attribute may stand on.
pub(crate) enum Item {
    Function(Box<Function>),
    Impl(Impl),
    /// A function without a body: in a trait, or `extern`.
    Bodiless(Box<Signature>),
    Other,
}

/// A function with its raw body.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    vis: Visibility,
    defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

/// An `impl` block: everything before its brace, and its members.
pub(crate) struct Impl {
    head: TokenStream,
    brace: token::Brace,
    pub(crate) members: Vec<Member>,
}

/// What an `impl` block holds.
pub(crate) enum Member {
    Function(Box<Function>),
    Other(TokenStream),
}

impl Item {
    pub(crate) fn parse(tokens: TokenStream) -> Self {
        if let Ok(function) = syn::parse2::<Function>(tokens.clone()) {
            return Self::Function(Box::new(function));
        }
        if let Ok(bodiless) = syn::parse2::<Bodiless>(tokens.clone()) {
            return Self::Bodiless(Box::new(bodiless.0));
        }
        syn::parse2::<Impl>(tokens).map_or(Self::Other, Self::Impl)
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let defaultness =
            if input.peek(Token![default]) && !input.peek2(Token![!]) { input.parse()? } else { None };
        let sig = input.parse()?;
        let tree: TokenTree = input.parse()?;
        let span = tree.span();
        match body(tree) {
            Some(body) => Ok(Self { attrs, vis, defaultness, sig, body }),
            None => Err(syn::Error::new(span, "expected a body")),
        }
    }
}

/// The braces of a body. Those of a `macro_rules!` fragment (`$body:block`) come in an invisible group, or in one for
/// each macro that handed them on.
fn body(tree: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = tree else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => {
            let mut trees = group.stream().into_iter();
            let only = trees.next().filter(|_| trees.next().is_none());
            only.and_then(body)
        }
        Delimiter::Bracket | Delimiter::Parenthesis => None,
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.defaultness.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl Function {
    /// Whether an argument is marked `#[pooled]`.
    pub(crate) fn is_lent_to(&mut self) -> bool {
        self.sig.inputs.iter_mut().any(|argument| attributes(argument).iter().any(is_pooled))
    }

    /// Without `#[pooled]`, which nobody else knows.
    pub(crate) fn without_pooled(mut self) -> Self {
        for argument in &mut self.sig.inputs {
            attributes(argument).retain(|attr| !is_pooled(attr));
        }
        self
    }
}

/// The attributes of an argument.
pub(crate) fn attributes(argument: &mut FnArg) -> &mut Vec<Attribute> {
    match argument {
        FnArg::Receiver(receiver) => &mut receiver.attrs,
        FnArg::Typed(typed) => &mut typed.attrs,
    }
}

/// Whether an argument's attribute is `#[pooled]`.
pub(crate) fn is_pooled(attr: &Attribute) -> bool {
    attr.path().is_ident("pooled")
}

struct Bodiless(Signature);

impl Parse for Bodiless {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let sig = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(Self(sig))
    }
}

impl Parse for Impl {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut head = TokenStream::new();
        head.append_all(input.call(Attribute::parse_outer)?);
        if !(input.peek(Token![impl]) || input.peek2(Token![impl])) {
            return Err(input.error("expected `impl`"));
        }
        // A const argument of the type may have braces, too; those of the block are the last.
        while !(input.peek(token::Brace) && is_last(input)) {
            head.append(input.parse::<TokenTree>()?);
        }
        let content;
        let brace = braced!(content in input);
        let mut members = Vec::new();
        while !content.is_empty() {
            members.push(content.parse()?);
        }
        Ok(Self { head, brace, members })
    }
}

fn is_last(input: ParseStream<'_>) -> bool {
    let rest = input.fork();
    rest.parse::<TokenTree>().is_ok() && rest.is_empty()
}

impl Impl {
    /// The name of the type, without its path and arguments.
    pub(crate) fn type_name(&self) -> Option<String> {
        let head = &self.head;
        let block: syn::ItemImpl = syn::parse2(quote!(#head {})).ok()?;
        match *block.self_ty {
            syn::Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
            _ => None,
        }
    }
}

impl ToTokens for Impl {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.head.to_tokens(tokens);
        self.brace.surround(tokens, |tokens| tokens.append_all(&self.members));
    }
}

impl Parse for Member {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let fork = input.fork();
        if let Ok(function) = fork.parse::<Function>() {
            syn::parse::discouraged::Speculative::advance_to(input, &fork);
            return Ok(Self::Function(Box::new(function)));
        }
        // A constant, a type, a macro call: up to its semicolon, or its brace if it is a call.
        let mut tokens = TokenStream::new();
        let mut called = false;
        while !input.is_empty() {
            let tree: TokenTree = input.parse()?;
            let ends = match &tree {
                TokenTree::Punct(punct) => {
                    called |= punct.as_char() == '!';
                    punct.as_char() == ';'
                }
                TokenTree::Group(group) => called && group.delimiter() == Delimiter::Brace,
                _ => false,
            };
            called &= !matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '=');
            tokens.append(tree);
            if ends {
                break;
            }
        }
        Ok(Self::Other(tokens))
    }
}

impl ToTokens for Member {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Function(function) => function.to_tokens(tokens),
            Self::Other(other) => other.to_tokens(tokens),
        }
    }
}

/// Whether `attr` is this attribute, however it is qualified.
pub(crate) fn is_ours(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|segment| segment.ident == "resilient")
}

/// Whether a variable of this name may occur anywhere in `tokens`, also as a captured argument in a string. Fields and
/// methods are none.
pub(crate) fn mentions(tokens: TokenStream, name: &Ident) -> bool {
    let name = name.to_string();
    occurs(tokens, name.trim_start_matches("r#"), true)
}

/// Whether an identifier occurs anywhere in `tokens`, also in a string.
pub(crate) fn mentions_word(tokens: TokenStream, name: &str) -> bool {
    occurs(tokens, name, false)
}

fn occurs(tokens: TokenStream, name: &str, variable: bool) -> bool {
    let mut dots = 0;
    tokens.into_iter().any(|tree| {
        let behind_dot = variable && dots == 1;
        dots = if matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '.') { dots + 1 } else { 0 };
        match tree {
            TokenTree::Ident(ident) => !behind_dot && ident.to_string().trim_start_matches("r#") == name,
            TokenTree::Group(group) => occurs(group.stream(), name, variable),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                text.match_indices(name).any(|(at, _)| text[..at].ends_with(['{', '$']))
            }
            TokenTree::Punct(_) => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_a_block_is_found_among_other_members() {
        let block = quote! {
            impl T {
                const A: u8 = if B { 1 } else { 2 };
                async fn after_a_constant() {}
                type C = [u8; { 3 }];
                pub fn after_a_type() -> u8 { 1 }
                braces! { x }
                fn after_braces() {}
                parens!(x);
                default fn after_parens() {}
                default! { x }
                fn after_default() {}
                const D: bool = !{ true } != { false };
                fn after_a_negation() {}
                fn bodiless();
                fn after_no_body() {}
            }
        };
        let Item::Impl(found) = Item::parse(block.clone()) else { panic!("not a block") };
        let functions: Vec<_> = found
            .members
            .iter()
            .filter_map(|member| match member {
                Member::Function(function) => Some(function.sig.ident.to_string()),
                Member::Other(_) => None,
            })
            .collect();
        assert_eq!(
            functions,
            [
                "after_a_constant",
                "after_a_type",
                "after_braces",
                "after_parens",
                "after_default",
                "after_a_negation",
                "after_no_body"
            ]
        );
        assert_eq!(found.to_token_stream().to_string(), block.to_string());
        assert_eq!(found.type_name().as_deref(), Some("T"));
    }
}
