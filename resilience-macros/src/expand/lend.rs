//! The argument marked `#[pooled]`: taken out of the signature, and bound in each attempt.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use syn::{Attribute, FnArg, Meta, Pat, PatType, Type, punctuated::Punctuated, spanned::Spanned};

use super::{hygienic, site::located};
use crate::{
    errors::Errors,
    grammar::Policy,
    item::{Function, attributes, is_pooled, mentions_word},
    types::without_impl_trait,
};

/// What a connection is bound to.
pub(crate) struct Lend {
    attrs: Vec<Attribute>,
    pat: Pat,
    /// What stands behind the `&mut`.
    connection: Type,
    manager: Option<Type>,
}

impl Lend {
    /// Takes the marked argument out of the signature. `None` if there is none, or if what there is is wrong.
    pub(super) fn take(policy: &Policy, function: &mut Function, errors: &mut Errors) -> Option<Self> {
        let mut marked = Vec::new();
        let mut others = Punctuated::new();
        for mut argument in std::mem::take(&mut function.sig.inputs) {
            match attributes(&mut argument).iter().position(is_pooled) {
                None => others.push(argument),
                Some(at) => marked.push((attributes(&mut argument).remove(at), argument)),
            }
        }
        function.sig.inputs = others;
        let mut marked = marked.into_iter();
        let Some((mark, argument)) = marked.next() else {
            if let (Some(pool), None) = (&policy.pool, &policy.workers) {
                errors.at(
                    pool.span,
                    "`pool` needs an argument to hand the connection to: `#[pooled] connection: &mut Connection`",
                );
            }
            return None;
        };
        let Some(pool) = &policy.pool else {
            errors.over(
                mark,
                "`#[pooled]` needs a pool to take the connection from: `#[resilient(pool = \"db\")]`",
            );
            return None;
        };
        let before = errors.len();
        if let Some((second, _)) = marked.next() {
            errors.over(second, "a second `#[pooled]`: an attempt has one connection");
        }
        if !matches!(mark.meta, Meta::Path(_)) {
            errors.over(&mark, "`#[pooled]` takes nothing: the pool is named in `#[resilient(pool = ..)]`");
        }
        if mentions_word(function.sig.output.to_token_stream(), "async_trait") {
            errors.over(
                &mark,
                "`#[pooled]` does not work below `#[async_trait]`, which has used the argument already",
            );
        }
        let lent = match argument {
            FnArg::Receiver(receiver) => {
                errors.over(receiver, "`self` cannot be a pooled connection: mark another argument");
                None
            }
            FnArg::Typed(PatType { attrs, pat, ty, .. }) => match *ty {
                Type::Reference(reference) if reference.mutability.is_some() => {
                    let connection = without_impl_trait(*reference.elem);
                    Some(Self { attrs, pat: *pat, connection, manager: pool.manager.clone() })
                }
                Type::Reference(reference) => {
                    let shown = shown(&reference.elem);
                    errors.over(
                        reference,
                        format!("a connection is lent to the body alone: write `&mut {shown}`"),
                    );
                    None
                }
                ty => {
                    let shown = shown(&ty);
                    let message = format!(
                        "a connection is lent to the body, and goes back when the attempt ends: write `&mut {shown}`"
                    );
                    errors.over(ty, message);
                    None
                }
            },
        };
        lent.filter(|_| errors.len() == before)
    }

    /// The type of the manager.
    pub(super) fn manager(&self, p: &TokenStream) -> TokenStream {
        match &self.manager {
            Some(manager) => manager.to_token_stream(),
            None => {
                let connection = &self.connection;
                let p = located(p.clone(), connection.span());
                quote_spanned!(connection.span()=> <#connection as #p::Poolable>::Manager)
            }
        }
    }

    /// `let connection: &mut Connection = lend;`
    pub(super) fn binding(&self) -> TokenStream {
        let Self { attrs, pat, connection, .. } = self;
        let lend = located(hygienic!(__lend), connection.span());
        hygienic!(#(#attrs)* let #pat: &mut #connection = #lend;)
    }
}

fn shown(ty: &Type) -> String {
    ty.to_token_stream()
        .to_string()
        .replace(" :: ", "::")
        .replace(" <", "<")
        .replace("< ", "<")
        .replace(" >", ">")
}
