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
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(erase),
        _ => {}
    }
}

fn erase_arguments(arguments: &mut PathArguments) {
    match arguments {
        PathArguments::AngleBracketed(arguments) => {
            for argument in &mut arguments.args {
                if let GenericArgument::Type(ty) = argument {
                    erase(ty);
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
