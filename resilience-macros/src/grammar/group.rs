//! `circuit(..)`, `retry(..)`, `bulkhead(..)`, `rate_limit(..)`, `pool(..)`, `workers(..)`, and their short forms.

use proc_macro2::Span;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Type, parse::ParseStream};

use super::{
    keys::{Int, Key, Kind, Order, Spec, TOP},
    list::{self, assigned, entry_value},
    name::Name,
    suggest::nearest,
    value::{Value, value},
};
use crate::errors::Errors;

/// The settings of one group as given.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) spec: &'static Spec,
    pub(crate) span: Span,
    pub(crate) name: Option<Name>,
    /// `manager = Type`.
    pub(crate) manager: Option<Type>,
    pub(crate) settings: Vec<Setting>,
}

/// One `key = value`.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) key: &'static Key,
    /// What the user wrote for it: the group's key in the short form.
    pub(crate) label: &'static str,
    pub(crate) span: Span,
    pub(crate) value: Value,
}

impl Group {
    /// `retry = 3`, `circuit = "api"`.
    pub(crate) fn short(spec: &'static Spec, span: Span, expr: Expr) -> syn::Result<Self> {
        let mut group = Self::empty(spec, span);
        let key = spec.find(spec.main).expect("a group's main key is one of its keys");
        if key.kind == Kind::Name {
            group.name = Some(name(spec, spec.key, &expr)?);
        } else {
            let value = value(spec.key, key.kind, expr)?;
            group.settings.push(Setting { key, label: spec.key, span, value });
        }
        Ok(group)
    }

    /// `retry(max = 3, ..)`.
    pub(crate) fn long(spec: &'static Spec, span: Span, input: ParseStream<'_>, errors: &mut Errors) -> Self {
        let mut group = Self::empty(spec, span);
        // The arguments of a template may stand before the name that uses them.
        let mut unknown: Vec<(Ident, Expr)> = Vec::new();
        let before = errors.len();
        list::entries(input, errors, |ident, input, _| {
            let Some(key) = spec.find(&ident.to_string()) else {
                if input.peek(syn::Token![=]) {
                    unknown.push((ident.clone(), entry_value(&ident, "..", input)?));
                    return Ok(());
                }
                return Err(group.unknown(&ident));
            };
            if key.kind == Kind::Type {
                assigned(&ident, sample(key), input)?;
                return match group.manager.replace(input.parse()?) {
                    None => Ok(()),
                    Some(_) => Err(list::twice(&ident)),
                };
            }
            let expr = entry_value(&ident, sample(key), input)?;
            if group.setting(key.name).is_some() || (key.kind == Kind::Name && group.name.is_some()) {
                return Err(list::twice(&ident));
            }
            if key.kind == Kind::Name {
                group.name = Some(name(spec, "name", &expr)?);
            } else {
                let value = value(key.name, key.kind, expr)?;
                group.settings.push(Setting { key, label: key.name, span: ident.span(), value });
            }
            Ok(())
        });
        for (ident, expr) in unknown {
            match &mut group.name {
                Some(name) if name.arguments.iter().any(|(known, _)| *known == ident) => {
                    errors.push(list::twice(&ident))
                }
                Some(name) if name.uses(&ident) => name.arguments.push((ident, expr)),
                _ => errors.push(group.unknown(&ident)),
            }
        }
        let missing = match spec.main {
            "name" => group.name.is_none(),
            main => group.setting(main).is_none(),
        };
        if missing && errors.len() == before {
            let (key, main, sample) = (spec.key, spec.main, spec.sample());
            errors.at(span, format!("`{key}(..)` needs `{main}`: `{key}({main} = {sample}, ..)`"));
        }
        group.check(errors);
        group
    }

    pub(super) fn empty(spec: &'static Spec, span: Span) -> Self {
        Self { spec, span, name: None, manager: None, settings: Vec::new() }
    }

    pub(crate) fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key.name == key)
    }

    /// What one value says about another.
    fn check(&self, errors: &mut Errors) {
        for (first, second) in self.spec.either {
            if let (Some(_), Some(second)) = (self.setting(first), self.setting(second)) {
                errors.at(
                    second.span,
                    format!("`{first}` counts calls and `{}` counts time: give one of them", second.label),
                );
            }
        }
        for (first, second) in self.spec.needs {
            if let (Some(first), None) = (self.setting(first), self.setting(second)) {
                errors.at(first.span, format!("`{}` needs `{second}` beside it", first.label));
            }
        }
        for order in self.spec.orders {
            if let Some((low, high, at)) = self.ordered(order) {
                if let (Some(low_value), Some(high_value)) = (low, high) {
                    if low_value > high_value {
                        errors.at(at.span, crossed(order, at, low_value, high_value));
                    }
                }
            }
        }
    }

    /// Both ends of `order` as far as they are known, and the setting to blame; `None` if neither is given.
    fn ordered(&self, order: &Order) -> Option<(Option<u64>, Option<u64>, &Setting)> {
        if order.unless.is_some_and(|key| self.setting(key).is_some()) {
            return None;
        }
        let (low, high) = (self.setting(order.low.0), self.setting(order.high.0));
        let known = |setting: Option<&Setting>, default| {
            setting.map_or(Some(default), |setting| setting.value.whole())
        };
        Some((known(low, order.low.1), known(high, order.high.1), low.or(high)?))
    }

    /// The orders that only the compiler can check, with the type of their values and the setting to blame.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = (&'static Order, Int, &Setting)> {
        self.spec.orders.iter().filter_map(|order| {
            let (low, high, at) = self.ordered(order)?;
            let Kind::Whole(int, ..) = at.key.kind else { return None };
            (low.is_none() || high.is_none()).then_some((order, int, at))
        })
    }

    fn unknown(&self, ident: &Ident) -> syn::Error {
        let (word, spec) = (ident.to_string(), self.spec);
        let group = spec.key;
        let keys = spec.keys.iter().map(|key| key.name);
        let foreign = spec.foreign.iter().find(|(foreign, _)| *foreign == word).map(|(_, key)| *key);
        let message = if let Some(key) = foreign.or_else(|| nearest(&word, keys.clone())) {
            format!("unknown key `{word}` in `{group}(..)`; did you mean `{key}`?")
        } else if TOP.contains(&word.as_str()) {
            format!("`{word}` stands beside `{group}(..)`, not in it")
        } else if self.name.as_ref().is_some_and(|name| name.dynamic) {
            format!("`{word}` is neither a key of `{group}(..)` nor used in its name as `{{{word}}}`")
        } else {
            let keys = keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            format!("unknown key `{word}` in `{group}(..)`; it takes {keys}")
        };
        syn::Error::new(ident.span(), message)
    }
}

/// Says which value is beyond which.
fn crossed(order: &Order, at: &Setting, low: u64, high: u64) -> String {
    let ((low_key, _), (high_key, _)) = (order.low, order.high);
    if at.key.name == low_key {
        format!("`{low_key} = {low}` is above `{high_key}`, which is {high}")
    } else {
        format!("`{high_key} = {high}` is below `{low_key}`, which is {low}")
    }
}

/// What a value of this key may look like.
fn sample(key: &Key) -> &'static str {
    match key.kind {
        Kind::Whole(Int::U64, ..) => "500",
        Kind::Whole(Int::U32, ..) => "3",
        Kind::Whole(Int::Usize, ..) => "10",
        Kind::Rate => "0.5",
        Kind::Factor => "2.0",
        Kind::Flag => "true",
        Kind::Backoff => "\"exponential\"",
        Kind::Jitter => "\"full\"",
        Kind::Budget => "0.2",
        Kind::Name => "\"api\"",
        Kind::Type => "MyManager",
    }
}

fn name(spec: &Spec, key: &str, expr: &Expr) -> syn::Result<Name> {
    let mistake = |message: String| Err(syn::Error::new_spanned(expr, message));
    let Some(literal) = string(expr) else {
        let template = if spec.templates {
            format!("; to compute it give a template: `{key} = \"host-{{host}}\"`")
        } else {
            String::new()
        };
        return mistake(format!("a name is a string literal: `{key} = {}`{template}", spec.sample()));
    };
    let name = Name::new(key, literal.clone())?;
    if name.dynamic && !spec.templates {
        return mistake(format!(
            "the name of a `{}` cannot be a template: write `{{{{` for a brace",
            spec.key
        ));
    }
    Ok(name)
}

fn string(expr: &Expr) -> Option<&LitStr> {
    match expr {
        Expr::Group(group) => string(&group.expr),
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => Some(literal),
        _ => None,
    }
}
