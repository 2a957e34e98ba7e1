//! What is read out of written types.

use syn::{GenericArgument, Path, PathArguments, ReturnType, Type, TypeInfer, TypeParamBound};

/// The `T` of `impl Future<Output = T>`, `Pin<Box<dyn Future<Output = T>>>`, `BoxFuture<'_, T>`.
pub(crate) fn future_output(ty: &Type) -> Option<Type> {
    match ty {
        Type::ImplTrait(future) => future.bounds.iter().find_map(bound_output),
        Type::TraitObject(future) => future.bounds.iter().find_map(bound_output),
        Type::Group(group) => future_output(&group.elem),
        Type::Paren(paren) => future_output(&paren.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let mut types = type_arguments(&path.path);
            match last.ident.to_string().as_str() {
                "Pin" | "Box" => future_output(types.next()?),
                "BoxFuture" | "LocalBoxFuture" => types.next().cloned(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn bound_output(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let last = bound.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if last.ident == "Future" && assoc.ident == "Output" => {
            Some(assoc.ty.clone())
        }
        _ => None,
    })
}

fn type_arguments(path: &Path) -> impl Iterator<Item = &Type> {
    let arguments = match path.segments.last().map(|segment| &segment.arguments) {
        Some(PathArguments::AngleBracketed(arguments)) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// `impl Trait` may not stand in a body: `_` does.
pub(crate) fn without_impl_trait(mut ty: Type) -> Type {
    erase(&mut ty);
    ty
}

fn erase(ty: &mut Type) {
    match ty {
        Type::ImplTrait(opaque) => {
            *ty = Type::Infer(TypeInfer {
                attrs: Vec::new(),
                underscore_token: syn::Token![_](opaque.impl_token.span),
            });
        }
        Type::Array(array) => erase(&mut array.elem),
        Type::Group(group) => erase(&mut group.elem),
        Type::Paren(paren) => erase(&mut paren.elem),
        Type::Path(path) => {
            path.path.segments.iter_mut().for_each(|segment| erase_arguments(&mut segment.arguments))
        }
        Type::Ptr(pointer) => erase(&mut pointer.elem),
        Type::Reference(reference) => erase(&mut reference.elem),
        Type::Slice(slice) => erase(&mut slice.elem),
        Type::TraitObject(object) => {
            for bound in &mut object.bounds {
                if let TypeParamBound::Trait(bound) = bound {
                    bound
                        .path
                        .segments
                        .iter_mut()
                        .for_each(|segment| erase_arguments(&mut segment.arguments));
                }
            }
        }
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase),
        _ => {}
    }
}

fn erase_arguments(arguments: &mut PathArguments) {
    match arguments {
        PathArguments::AngleBracketed(arguments) => {
            for argument in &mut arguments.args {
                match argument {
                    GenericArgument::Type(ty) => erase(ty),
                    GenericArgument::AssocType(assoc) => erase(&mut assoc.ty),
                    _ => {}
                }
            }
        }
        PathArguments::Parenthesized(arguments) => {
            arguments.inputs.iter_mut().for_each(|input| erase(&mut input.ty));
            if let ReturnType::Type(_, output) = &mut arguments.output {
                erase(output);
            }
        }
        PathArguments::None => {}
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
    use quote::{ToTokens, quote};

    use super::*;

    fn parsed(tokens: TokenStream) -> Type {
        syn::parse2(tokens).expect("a type")
    }

    /// As a type comes out of a macro's fragment.
    fn grouped(tokens: TokenStream) -> TokenStream {
        TokenTree::from(Group::new(Delimiter::None, tokens)).into()
    }

    fn output(tokens: TokenStream) -> Option<String> {
        future_output(&parsed(tokens)).map(|ty| ty.to_token_stream().to_string())
    }

    #[test]
    fn a_futures_output_is_found_in_every_way_to_write_it() {
        for future in [
            quote!(impl Send + Future<Output = u8>),
            quote!((impl std::future::Future<Output = u8> + Send)),
            grouped(quote!(impl Future<Output = u8>)),
            quote!(Pin<Box<dyn Future<Output = u8> + Send + 'a>>),
            quote!(std::pin::Pin<std::boxed::Box<dyn Future<Output = u8>>>),
            quote!(BoxFuture<'a, u8>),
            quote!(futures::future::LocalBoxFuture<'_, u8>),
        ] {
            assert_eq!(output(future.clone()).as_deref(), Some("u8"), "{future}");
        }
        for other in [
            quote!(impl Iterator<Output = u8>),
            quote!(impl Future<Item = u8>),
            quote!(impl Stream<Item = u8>),
            quote!(Pin<Box<dyn Any>>),
            quote!(Ready<u8>),
            quote!(u8),
        ] {
            assert_eq!(output(other.clone()), None, "{other}");
        }
    }

    #[test]
    fn an_impl_is_erased_wherever_it_stands() {
        let text = |tokens| without_impl_trait(parsed(tokens)).to_token_stream().to_string();
        for (written, erased) in [
            (quote!(impl A), quote!(_)),
            (quote!((impl A, B, (impl C))), quote!((_, B, (_)))),
            (quote!([impl A; 3]), quote!([_; 3])),
            (quote!(&'a [impl A]), quote!(&'a [_])),
            (quote!(*const impl A), quote!(*const _)),
            (quote!(Result<Vec<impl A>, E>), quote!(Result<Vec<_>, E>)),
            (quote!(Box<dyn I<Item = impl A> + Send>), quote!(Box<dyn I<Item = _> + Send>)),
            (quote!(Box<dyn Fn(u8) -> impl A>), quote!(Box<dyn Fn(u8) -> _>)),
        ] {
            assert_eq!(text(written), erased.to_string());
        }
        let group = grouped(quote!(impl B));
        assert_eq!(text(quote!((A, #group))).replace(' ', ""), "(A,_)");
    }
}
