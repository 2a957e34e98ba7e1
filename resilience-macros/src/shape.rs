//! Where the body of a function is, and what surrounds it: the forms that are taken, told apart.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    FnArg, Path, ReceiverKind, ReturnType, Token, Type,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

use crate::{
    item::{Function, is_ours, mentions_word},
    types::future_output,
};

/// The body to be protected.
pub(crate) struct Shape {
    frame: Frame,
    /// The span of the user's `async`, where rustc blames what an attempt captures.
    pub(crate) asyncness: Span,
    /// Whether the user's own future owns what it captures.
    pub(crate) owning: bool,
    /// What the body evaluates to.
    pub(crate) output: Type,
    pub(crate) body: Group,
    /// The arguments as the body names them.
    pub(crate) bindings: Vec<Binding>,
}

/// A name that an argument's pattern binds. Names of constants in patterns are among them, which cannot be told from it.
pub(crate) struct Binding {
    pub(crate) name: Ident,
    /// Where it says `mut`, unless it is a mutable reference into something that the caller keeps.
    pub(crate) mutable: Option<Span>,
    /// Whether it says `ref`.
    pub(crate) by_reference: bool,
}

/// What stands around the body.
enum Frame {
    /// `async fn`: nothing, the body is the function's.
    Function,
    /// An `async` block.
    Block {
        /// `Box::pin` and the span of its parentheses.
        pin: Option<(Path, Span)>,
        /// `async move`.
        intro: TokenStream,
        braces: Span,
        /// async-trait's statements before the body, `let __ret: T =` included.
        head: TokenStream,
        /// Its statements behind the body.
        tail: TokenStream,
        /// Methods called on the block.
        calls: TokenStream,
    },
}

impl Shape {
    /// The body of a function that runs on a thread of its own and is called as an `async fn`.
    pub(crate) fn job(function: &Function) -> syn::Result<Self> {
        unfit(function)?;
        let sig = &function.sig;
        let refused = |tokens: &dyn ToTokens, message: &str| Err(syn::Error::new_spanned(tokens, message));
        if let Some(asyncness) = &sig.asyncness {
            return refused(
                asyncness,
                "`workers` is for functions that block or compute: take `async` away, callers await it all the same",
            );
        }
        if let Some(constness) = &sig.constness {
            return refused(constness, "a function on a thread of its own cannot be `const`");
        }
        for argument in &sig.inputs {
            match argument {
                FnArg::Receiver(receiver) if matches!(receiver.kind, ReceiverKind::Reference(..)) => {
                    return refused(
                        receiver,
                        "`workers` moves the arguments to another thread: take `self` or `self: Arc<Self>`",
                    );
                }
                FnArg::Typed(typed) if is_borrowed(&typed.ty) => {
                    return refused(
                        &typed.ty,
                        "`workers` moves the arguments to another thread: take this one by value, or as an `Arc`",
                    );
                }
                _ => {}
            }
        }
        Ok(Self::whole(function, sig.fn_token.span()))
    }

    /// Finds the body, or says why there is none that could be protected.
    pub(crate) fn of(function: &Function) -> syn::Result<Self> {
        unfit(function)?;
        let refused = |span: Span, message: &str| Err(syn::Error::new(span, message));
        let (sig, body) = (&function.sig, function.body.stream());
        if let Some(asyncness) = &sig.asyncness {
            return Ok(Self::whole(function, asyncness.span()));
        }
        match (|input: ParseStream<'_>| Self::block(input, function)).parse2(body) {
            Ok(Some(shape)) => Ok(shape),
            Ok(None) => refused(
                sig.output.span(),
                "`#[resilient]` cannot tell what this future answers with: write the return type as \
                 `impl Future<Output = ..>`, `Pin<Box<dyn Future<Output = ..>>>` or `BoxFuture<'_, ..>`",
            ),
            Err(_) if returns_future(&sig.output) => refused(
                sig.ident.span(),
                "`#[resilient]` needs the body to be one `async` block, or `Box::pin` of one: \
                 move the other statements into the block",
            ),
            Err(_) if starts_runtime(function) => refused(
                sig.fn_token.span(),
                "put `#[resilient]` above `#[tokio::main]` or `#[tokio::test]`, which has made a function without \
                 `async` of this one already",
            ),
            Err(_) => refused(
                sig.fn_token.span(),
                "`#[resilient]` expects an `async fn`: write `async fn`, or, for a function that blocks or computes, \
                 give it threads with `workers = \"..\"`",
            ),
        }
    }

    /// The whole body of the function.
    fn whole(function: &Function, asyncness: Span) -> Self {
        let sig = &function.sig;
        Self {
            frame: Frame::Function,
            asyncness,
            owning: true,
            output: match &sig.output {
                ReturnType::Default => Type::Verbatim(quote_spanned!(sig.ident.span()=> ())),
                ReturnType::Type(_, output) => (**output).clone(),
            },
            body: function.body.clone(),
            bindings: arguments(function),
        }
    }

    /// `async {..}`, also with methods called on it, or `Box::pin` of one. `None` if the output is not known.
    fn block(input: ParseStream<'_>, function: &Function) -> syn::Result<Option<Self>> {
        let content;
        let (pin, inner) = if input.peek(Token![async]) {
            (None, input)
        } else {
            let path: Path = input.parse()?;
            if path.segments.len() < 2 || path.segments.last().is_none_or(|segment| segment.ident != "pin") {
                return Err(input.error("not `Box::pin`"));
            }
            let parens = syn::parenthesized!(content in input);
            (Some((path, parens.span.join())), &content)
        };
        let asyncness: Token![async] = inner.parse()?;
        let movement: Option<Token![move]> = inner.parse()?;
        let TokenTree::Group(block) = inner.parse()? else { return Err(inner.error("not a block")) };
        let calls = if inner.peek(Token![.]) { inner.parse()? } else { TokenStream::new() };
        inner.parse::<Option<Token![,]>>()?;
        if !(inner.is_empty() && input.is_empty()) {
            return Err(input.error("more than one block"));
        }
        let frame = |head, tail| Frame::Block {
            pin,
            intro: quote!(#asyncness #movement),
            braces: block.span(),
            head,
            tail,
            calls,
        };
        let (asyncness, owning) = (asyncness.span(), movement.is_some());
        let mut bindings = arguments(function);
        if let Some(parts) = AsyncTrait::split(function, block.stream()) {
            // async-trait writes `let mut __self = self;` for `&mut self`, and `mut __arg1` for a pattern with a `mut` in it.
            let borrowed = function
                .sig
                .receiver()
                .is_some_and(|receiver| matches!(receiver.kind, ReceiverKind::Reference(..)));
            bindings.extend(scan(parts.head.clone(), false));
            for binding in &mut bindings {
                let name = binding.name.to_string();
                if borrowed && name == "__self" || name.starts_with("__arg") {
                    binding.mutable = None;
                }
            }
            let frame = frame(parts.head, parts.tail);
            let (output, body) = (parts.output, parts.body);
            return Ok(Some(Self { frame, asyncness, owning, output, body, bindings }));
        }
        let ReturnType::Type(_, output) = &function.sig.output else { return Ok(None) };
        let Some(output) = future_output(output) else { return Ok(None) };
        let frame = frame(TokenStream::new(), TokenStream::new());
        Ok(Some(Self { frame, asyncness, owning, output, body: block, bindings }))
    }

    /// The function's body with `protected` in the place of the user's.
    pub(crate) fn wrap(&self, protected: TokenStream, without_mut: &[Ident]) -> Group {
        let around = self.body.span();
        match &self.frame {
            Frame::Function => delimited(Delimiter::Brace, protected, around),
            Frame::Block { pin, intro, braces, head, tail, calls } => {
                let protected = if head.is_empty() {
                    protected
                } else {
                    delimited(Delimiter::Brace, protected, around).into_token_stream()
                };
                let head = strip_mut(head.clone(), without_mut);
                let block = delimited(Delimiter::Brace, quote!(#head #protected #tail), *braces);
                let block = quote!(#intro #block #calls);
                let block = match pin {
                    None => block,
                    Some((path, span)) => {
                        let parens = delimited(Delimiter::Parenthesis, block, *span);
                        quote!(#path #parens)
                    }
                };
                delimited(Delimiter::Brace, block, *braces)
            }
        }
    }

    /// Whether `self` goes by another name where the body stands.
    pub(crate) fn renames_self(&self) -> bool {
        self.bindings.iter().any(|binding| binding.name == "__self")
    }
}

/// What no function may be.
fn unfit(function: &Function) -> syn::Result<()> {
    let refused = |span: Span, message: &str| Err(syn::Error::new(span, message));
    let (sig, body) = (&function.sig, function.body.stream());
    if let Some(again) = function.attrs.iter().find(|attr| is_ours(attr)) {
        return Err(syn::Error::new_spanned(
            again,
            "a second `#[resilient]`: write all keys into one attribute",
        ));
    }
    if mentions_word(body.clone(), "__RESILIENT_SITE") {
        return refused(sig.ident.span(), "a second `#[resilient]`: write all keys into one attribute");
    }
    if mentions_word(body, "__tracing_attr_span") {
        return refused(
            sig.ident.span(),
            "put `#[resilient]` above `#[instrument]`: the span then covers the whole call, all attempts included",
        );
    }
    match &sig.output {
        ReturnType::Type(_, output) if matches!(**output, Type::Never(_)) => refused(
            output.span(),
            "a function that never ends has no outcome: put `#[resilient]` on what its loop calls",
        ),
        _ => Ok(()),
    }
}

/// Whether a type is a reference to something that does not live for good.
fn is_borrowed(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => is_borrowed(&group.elem),
        Type::Paren(paren) => is_borrowed(&paren.elem),
        Type::Reference(reference) => {
            reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static")
        }
        _ => false,
    }
}

/// What async-trait makes of a body: `let a = a; let __ret: T = { body }; __ret`, or `let a = a; let _: () = { body };`.
/// Its lifetime `'async_trait` gives it away.
struct AsyncTrait {
    head: TokenStream,
    output: Type,
    body: Group,
    tail: TokenStream,
}

impl AsyncTrait {
    fn split(function: &Function, block: TokenStream) -> Option<Self> {
        if !mentions_word(function.sig.output.to_token_stream(), "async_trait") {
            return None;
        }
        let trees: Vec<TokenTree> = block.into_iter().collect();
        let is = |at: usize, text: &str| trees.get(at).is_some_and(|tree| tree.to_string() == text);
        let start = (0..trees.len()).find(|&at| {
            is(at, "let") && is(at + 2, ":") && (is(at + 1, "__ret") || (is(at + 1, "_") && is(at + 3, "()")))
        })?;
        let at = (start..trees.len()).rev().find(|&at| {
            matches!(&trees[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
                && is(at + 1, ";")
        })?;
        let TokenTree::Group(body) = trees[at].clone() else { return None };
        Some(Self {
            head: trees[..at].iter().cloned().collect(),
            output: syn::parse2(trees.get(start + 3..at - 1)?.iter().cloned().collect()).ok()?,
            body,
            tail: trees[at + 1..].iter().cloned().collect(),
        })
    }
}

pub(crate) fn delimited(delimiter: Delimiter, tokens: TokenStream, span: Span) -> Group {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    group
}

/// Takes `mut` away from the named bindings.
pub(crate) fn strip_mut(tokens: TokenStream, names: &[Ident]) -> TokenStream {
    let mut trees = tokens.into_iter().peekable();
    let mut kept = TokenStream::new();
    while let Some(tree) = trees.next() {
        match (&tree, trees.peek()) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)))
                if word == "mut" && names.contains(name) => {}
            (TokenTree::Group(group), _) => {
                let inner = strip_mut(group.stream(), names);
                kept.extend(delimited(group.delimiter(), inner, group.span()).into_token_stream());
            }
            _ => kept.extend([tree]),
        }
    }
    kept
}

fn arguments(function: &Function) -> Vec<Binding> {
    function
        .sig
        .inputs
        .iter()
        .flat_map(|argument| match argument {
            FnArg::Receiver(receiver) => {
                let mutable = receiver.mutability.map(|word| word.span());
                let name = Ident::new("self", receiver.self_token.span());
                vec![Binding { name, mutable, by_reference: false }]
            }
            FnArg::Typed(typed) => scan(typed.pat.to_token_stream(), false),
        })
        .collect()
}

/// Whether a pattern binds this name.
pub(crate) fn binds(pattern: TokenStream, name: &Ident) -> bool {
    scan(pattern, false).iter().any(|binding| binding.name == *name)
}

/// The names in a pattern, and which of them are `mut`; `borrowed` says that it matches what a reference points to.
fn scan(pattern: TokenStream, borrowed: bool) -> Vec<Binding> {
    let mut bindings = Vec::new();
    let (mut mutable, mut by_reference, mut behind_reference) = (None, false, false);
    let mut trees = pattern.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let mut still_behind = false;
        match &tree {
            TokenTree::Ident(word) if word == "mut" => {
                still_behind = behind_reference;
                mutable = (!behind_reference).then(|| word.span());
            }
            TokenTree::Ident(word) if word == "ref" => by_reference = true,
            TokenTree::Ident(word) if word == "let" || word == "_" => {}
            TokenTree::Ident(word) => {
                // `Path(..)`, `Path { .. }`, `path::`, `macro!`; a field before its pattern cannot be told from `let x: T`.
                let is_path = match trees.peek() {
                    Some(TokenTree::Group(_)) => true,
                    Some(TokenTree::Punct(punct)) => {
                        punct.as_char() == '!'
                            || punct.as_char() == ':' && punct.spacing() == proc_macro2::Spacing::Joint
                    }
                    _ => false,
                };
                let mutable = mutable.take().filter(|_| !(borrowed && by_reference));
                if !is_path {
                    bindings.push(Binding { name: word.clone(), mutable, by_reference });
                }
                by_reference = false;
            }
            TokenTree::Group(group) => bindings.extend(scan(group.stream(), borrowed || behind_reference)),
            TokenTree::Literal(_) | TokenTree::Punct(_) => {}
        }
        behind_reference = still_behind || matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == '&');
    }
    bindings
}

/// Whether the body is what `#[tokio::main]` and its like make of one.
fn starts_runtime(function: &Function) -> bool {
    ["Builder", "block_on"].into_iter().all(|word| mentions_word(function.body.stream(), word))
}

fn returns_future(output: &ReturnType) -> bool {
    matches!(output, ReturnType::Type(_, output) if future_output(output).is_some())
}

/// The same tokens with one identifier in the place of another.
pub(crate) fn renamed(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    tokens
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Ident(ident) if ident == from => Ident::new(to, ident.span()).into(),
            TokenTree::Group(group) => {
                delimited(group.delimiter(), renamed(group.stream(), from, to), group.span()).into()
            }
            tree => tree,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use quote::format_ident;

    use super::*;

    fn names(pattern: TokenStream) -> Vec<(String, bool)> {
        scan(pattern, false)
            .into_iter()
            .map(|binding| (binding.name.to_string(), binding.mutable.is_some()))
            .collect()
    }

    #[test]
    fn a_pattern_is_searched_for_names_and_not_for_its_words() {
        let named = |names: &[(&str, bool)]| -> Vec<(String, bool)> {
            names.iter().map(|(name, mutable)| ((*name).to_owned(), *mutable)).collect()
        };
        assert_eq!(
            names(quote!((mut a, ref b, _, [c, mut d]))),
            named(&[("a", true), ("b", false), ("c", false), ("d", true)])
        );
        assert_eq!(names(quote!(&mut a)), named(&[("a", false)]));
        assert_eq!(
            names(quote!(&mut (ref mut a, b, &mut [ref mut c], mut d))),
            named(&[("a", false), ("b", false), ("c", false), ("d", true)])
        );
        assert_eq!(
            names(quote!((ref mut a, Id(b), path::Of { c, .. }, d!()))),
            named(&[("a", true), ("b", false), ("c", false)])
        );
        assert_eq!(names(quote!(let mut a = b;)), named(&[("a", true), ("b", false)]));
    }

    #[test]
    fn only_the_named_bindings_lose_their_mut() {
        let names = [format_ident!("a"), format_ident!("c")];
        let stripped = strip_mut(quote!(mut a, (mut b, [mut c]), &mut d, let a), &names);
        assert_eq!(stripped.to_string(), quote!(a, (mut b, [c]), &mut d, let a).to_string());
    }

    #[test]
    fn a_reference_is_borrowed_unless_it_is_static() {
        let borrowed = |tokens| is_borrowed(&syn::parse2(tokens).expect("a type"));
        let group = delimited(Delimiter::None, quote!(&'a T), Span::call_site());
        assert_eq!([quote!(&T), quote!(&'a mut T), quote!((&T)), quote!(#group)].map(borrowed), [true; 4]);
        assert_eq!(
            [quote!(T), quote!(&'static T), quote!((&'static T)), quote!(Arc<T>)].map(borrowed),
            [false; 4]
        );
    }

    #[test]
    fn a_body_is_one_async_block_or_box_pin_of_one() {
        let fits = |body: TokenStream| {
            let function = quote!(fn f(a: u8) -> Pin<Box<dyn Future<Output = u8>>> { #body });
            Shape::of(&syn::parse2(function).expect("a function")).is_ok()
        };
        for body in [
            quote!(async { a }),
            quote!(async move { a }.boxed()),
            quote!(Box::pin(async { a })),
            quote!(std::boxed::Box::pin(async move { a },)),
        ] {
            assert!(fits(body.clone()), "{body}");
        }
        for body in [
            quote!(pin(async { a })),
            quote!(Box::new(async { a })),
            quote!(Box::pin(async { a }).into()),
            quote!(Box::pin(async { a }, 3)),
            quote!(let b = a; async { b }),
        ] {
            assert!(!fits(body.clone()), "{body}");
        }
    }

    /// As async-trait 0.1 writes it.
    #[test]
    fn an_async_traits_body_is_found_between_its_bindings_and_its_answer() {
        let shape = |receiver: TokenStream, this: TokenStream| {
            let function = quote! {
                fn f<'a, 'async_trait>(#receiver, a: u8) -> Pin<Box<dyn Future<Output = Wide> + Send + 'async_trait>> {
                    Box::pin(async move {
                        if let Some(__ret) = None::<u8> { return __ret; }
                        #this
                        let mut a = a;
                        let __ret: u8 = { a += 1; a };
                        #[allow(unreachable_code)]
                        __ret
                    })
                }
            };
            Shape::of(&syn::parse2(function).expect("a function")).expect("a shape")
        };
        for (receiver, this, mutable) in [
            (quote!(self), quote!(let mut __self = self;), true),
            (quote!(self), quote!(let __self = self;), false),
            (quote!(&'a mut self), quote!(let mut __self = self;), false),
        ] {
            let shape = shape(receiver, this);
            assert_eq!(shape.output.to_token_stream().to_string(), "u8");
            assert_eq!(
                shape.body.to_string(),
                quote!({
                    a += 1;
                    a
                })
                .to_string()
            );
            let is_mutable = |name: &str| {
                shape
                    .bindings
                    .iter()
                    .filter(|binding| binding.name == name)
                    .any(|binding| binding.mutable.is_some())
            };
            assert_eq!((is_mutable("__self"), is_mutable("a")), (mutable, true));
            assert!(shape.renames_self());
        }
    }
}
