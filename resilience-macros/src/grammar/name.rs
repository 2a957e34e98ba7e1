//! Names: a literal, or a template that each call fills in.

use syn::{Expr, Ident, LitStr};

/// The name of a circuit, bulkhead or limiter.
#[derive(Clone)]
pub(crate) struct Name {
    /// As written, for `format_args!`.
    pub(crate) literal: LitStr,
    /// The name itself where it is static, the template where it is not.
    pub(crate) text: String,
    pub(crate) dynamic: bool,
    /// `key = expr` pairs that the template uses.
    pub(crate) arguments: Vec<(Ident, Expr)>,
}

impl Name {
    pub(crate) fn new(key: &str, literal: LitStr) -> syn::Result<Self> {
        let mistake = |message: String| Err(syn::Error::new(literal.span(), message));
        let template = literal.value();
        if template.trim().is_empty() {
            return mistake(format!("`{key}` needs a name that is not empty"));
        }
        let mut text = String::new();
        let mut dynamic = false;
        let mut rest = template.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.next_if_eq(&c).is_some() => text.push(c),
                '{' => {
                    dynamic = true;
                    let placeholder: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    let argument = placeholder.split(':').next().unwrap_or_default().trim();
                    if argument.is_empty() || argument.starts_with(|c: char| c.is_ascii_digit()) {
                        return mistake(format!(
                            "`{{{placeholder}}}` names no argument: write `{{id}}`, or `{{key}}` with `key = ..` beside the name"
                        ));
                    }
                    if argument.contains(['.', '(', '[']) {
                        return mistake(format!(
                            "`{{{argument}}}` is an expression: write `{{key}}` and give `key = {argument}` beside the name, \
                             as in `circuit(name = \"..{{key}}\", key = {argument})`"
                        ));
                    }
                }
                '}' => return mistake("unmatched `}` in the name: write `}}` for a brace".to_owned()),
                c => text.push(c),
            }
        }
        Ok(Self { text: if dynamic { template } else { text }, literal, dynamic, arguments: Vec::new() })
    }

    /// Whether the template uses the argument.
    pub(crate) fn uses(&self, argument: &Ident) -> bool {
        let argument = argument.to_string();
        self.dynamic
            && self.text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == argument)
    }
}
