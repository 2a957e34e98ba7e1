//! The loop around the body.

use proc_macro2::{Delimiter, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Block, Expr, LitStr, Stmt, spanned::Spanned};

use super::{
    hygienic,
    lend::Lend,
    site::{self, located},
};
use crate::{
    grammar::{Group, Name, Policy},
    item::{mentions, mentions_word},
    shape::{Shape, binds, delimited, renamed},
    types::without_impl_trait,
};

/// Everything that stands in the place of the user's body.
pub(super) fn protected(
    policy: &Policy,
    shape: &Shape,
    lend: Option<&Lend>,
    clones: &[Ident],
    label: &LitStr,
) -> TokenStream {
    let p = site::support();
    let output = without_impl_trait(shape.output.clone()).to_token_stream();
    let body = Body { policy, shape, lend, clones, p: &p, output };
    let import = site::import(policy);
    let site = site::declaration(policy, &p, label);
    let begin = body.begin();
    let call = body.call();
    hygienic! {
        #import
        #site
        let mut __call = #begin;
        #call
    }
}

struct Body<'a> {
    policy: &'a Policy,
    shape: &'a Shape,
    lend: Option<&'a Lend>,
    clones: &'a [Ident],
    /// Path of the runtime's support module.
    p: &'a TokenStream,
    /// The type of the answer, as it can be named in a body.
    output: TokenStream,
}

impl Body<'_> {
    fn begin(&self) -> TokenStream {
        let p = self.p;
        let name = |group: &Option<Group>| {
            let name = group.as_ref()?.name.as_ref()?;
            name.dynamic.then(|| self.formatted(name))
        };
        let names = [name(&self.policy.circuit), name(&self.policy.bulkhead), name(&self.policy.rate_limit)];
        if !self.policy.fills_names_in() {
            return hygienic!(<#p::Site>::begin(&__RESILIENT_SITE));
        }
        let [circuit, bulkhead, limiter] =
            names.map(|name| name.map_or_else(|| hygienic!(#p::None), |name| hygienic!(#p::Some(#name))));
        hygienic!(<#p::Site<#p::Named>>::begin(&__RESILIENT_SITE, [#circuit, #bulkhead, #limiter]))
    }

    fn formatted(&self, name: &Name) -> TokenStream {
        let p = self.p;
        let literal = &name.literal;
        let arguments = name.arguments.iter().map(|(key, value)| {
            let value = self.users(value);
            quote!(, #key = #value)
        });
        hygienic!(#p::format_args!(#literal #(#arguments)*))
    }

    /// The call, from its first attempt to what the function leaves with.
    fn call(&self) -> TokenStream {
        let (p, output) = (self.p, &self.output);
        let by_type = self.is_judged_by_type();
        let Some(fallback) = &self.policy.fallback else {
            let refuse = self.refuse();
            let refusal = if by_type {
                self.runs()
            } else {
                let outcome = self.steps();
                hygienic! {{
                    let __outcome = #outcome;
                    match __outcome {
                        #p::Ok(__out) => return __out,
                        #p::Err(__refusal) => __refusal,
                    }
                }}
            };
            return hygienic! {
                let __refusal = #refusal;
                #refuse(__refusal)
            };
        };
        let outcome = if by_type { self.runs() } else { self.steps() };
        let answer = self.answer(fallback);
        hygienic! {
            let __outcome = #outcome;
            let __shape = #p::Shape::<#output>::new();
            let __error = {
                #[allow(unused_imports)]
                use #p::{ShapeOfAny as _, ShapeOfResult as _};
                match (&&__shape).resilient_split(__outcome, &__call) {
                    #p::Ok(__out) => return __out,
                    #p::Err(__error) => __error,
                }
            };
            #p::Call::fall_back(&__call);
            #answer
        }
    }

    /// Whether all that happens to an attempt is known before it: then one future does it all.
    fn is_judged_by_type(&self) -> bool {
        let policy = self.policy;
        let judged = policy.classify.is_some() || policy.retry_if.is_some() || policy.failure_if.is_some();
        let prepared = self.lend.is_some() || policy.workers.is_some() || !self.clones.is_empty();
        !judged && !prepared && !mentions_word(self.output.clone(), "_")
    }

    /// One future for each attempt, which admits it, runs it and settles it. With a fallback it comes to a `Result`;
    /// without, to a refusal: an answer leaves from where it is, and is not moved about beside what could refuse.
    fn runs(&self) -> TokenStream {
        let (p, output) = (self.p, &self.output);
        let again = self.policy.repeats().then(|| hygienic!(break));
        let (answered, refused) = if self.policy.fallback.is_some() {
            (hygienic!(#again #p::Ok(__out)), hygienic!(#again #p::Err(__refusal)))
        } else {
            (hygienic!(return __out), hygienic!(#again __refusal))
        };
        let room = self.room();
        let judge = self.judge(hygienic!(#p::Probe::<#output>::new()));
        let block = self.block();
        let run = hygienic!(#p::Call::run(&mut __call, #p::#room::new(), #block, __judge).await);
        let outcome = if again.is_some() {
            hygienic! {
                loop {
                    match #run {
                        #p::Some(__out) => #answered,
                        #p::None => if let #p::Some(__refusal) = #p::Call::unanswered(&mut __call) {
                            #refused
                        }
                    }
                }
            }
        } else {
            hygienic! {
                match #run {
                    #p::Some(__out) => #answered,
                    #p::None => {
                        let __refusal = #p::Call::refusal(&mut __call);
                        #refused
                    }
                }
            }
        };
        hygienic! {{
            let __judge = #judge;
            #outcome
        }}
    }

    /// Step by step, where something of the user's stands between the steps: `'call` is left with the body's answer, or
    /// with what takes its place.
    fn steps(&self) -> TokenStream {
        let round = self.round();
        if self.policy.repeats() { hygienic!('call: loop { #round }) } else { hygienic!('call: { #round }) }
    }

    /// The function that makes an answer of a refusal: the only bound on the return type, named once.
    fn refuse(&self) -> TokenStream {
        let (p, output) = (self.p, &self.output);
        if !self.policy.can_refuse() {
            return hygienic!(#p::never_refused::<#output>);
        }
        let p = self.at_output(p.clone());
        let refuse = self.at_output(hygienic!(from_refusal));
        hygienic!(<#output as #p::FromRefusal>::#refuse)
    }

    /// What judges outcomes of the type that `probe` is for.
    fn judge(&self, probe: TokenStream) -> TokenStream {
        let p = self.p;
        hygienic! {{
            #[allow(unused_imports)]
            use #p::FindJudge as _;
            (&&&&&&&#probe).resilient_judge()
        }}
    }

    /// The room for what an attempt may have to wait for, and for what bounds it.
    fn room(&self) -> Ident {
        let policy = self.policy;
        let room = if policy.bulkhead.is_some() || policy.rate_limit.is_some() {
            "WaitingRoom"
        } else if policy.repeats() || policy.is_timed() {
            "Timer"
        } else {
            "NoRoom"
        };
        Ident::new(room, Span::mixed_site())
    }

    /// One attempt with what stands before and behind it.
    fn round(&self) -> TokenStream {
        let p = self.p;
        let admit = self.admit();
        let attempt = self.attempt();
        let settle = self.settle();
        let again = self.policy.repeats();
        let answered = if again {
            hygienic! {
                match #settle {
                    #p::Next::Done => break 'call #p::Ok(__out),
                    #p::Next::Retry => {}
                }
            }
        } else {
            hygienic! {
                let _ = #settle;
                break 'call #p::Ok(__out)
            }
        };
        let on_thread = self.policy.workers.is_some();
        if !self.policy.is_timed() && self.lend.is_none() && !on_thread {
            return hygienic! {
                #admit
                let __out = #attempt.await;
                #answered
            };
        }
        let (outcome, close, settled) = match self.lend {
            None if on_thread => (
                hygienic!(#attempt.await),
                None,
                hygienic!(#p::Call::settle_refusal(&mut __call, &__refusal)),
            ),
            None => (hygienic!(#attempt.await), None, hygienic!(#p::Call::settle_timeout(&mut __call))),
            Some(_) => (
                hygienic!(__outcome),
                // It must be gone before the next attempt is waited for.
                Some(hygienic!(#p::drop(__lent);)),
                hygienic!(#p::Call::settle_refusal(&mut __call, &__refusal)),
            ),
        };
        let cut_off = if again {
            hygienic! {
                match #settled {
                    #p::Next::Done => break 'call #p::Err(__refusal),
                    #p::Next::Retry => {}
                }
            }
        } else {
            hygienic! {
                let _ = #settled;
                break 'call #p::Err(__refusal)
            }
        };
        let connect = self.lend.map(|lend| self.connect(lend, attempt));
        hygienic! {
            #admit
            #connect
            match #outcome {
                #p::Ok(__out) => { #answered }
                #p::Err(__refusal) => { #close #cut_off }
            }
        }
    }

    /// A connection and what the attempt makes of it, or what becomes of the attempt without one.
    fn connect(&self, lend: &Lend, attempt: TokenStream) -> TokenStream {
        let (p, output) = (self.p, &self.output);
        let manager = lend.manager(p);
        let attempted = if self.policy.is_timed() {
            hygienic!(#attempt.await)
        } else {
            hygienic!(#p::Ok(#attempt.await))
        };
        let place = self.at_output(hygienic!(#p::Place));
        let convert = self.at_output(hygienic!(resilient_convert));
        hygienic! {
            let (__outcome, __lent) = match #p::Call::lend::<#manager>(&mut __call).await {
                #p::Ok(mut __lent) => {
                    let __lend = #p::Lent::connection(&mut __lent);
                    let __outcome = #attempted;
                    (__outcome, #p::Some(__lent))
                }
                #p::Err(#p::NoConnection::Refused(__refusal)) => (#p::Err(__refusal), #p::None),
                #p::Err(#p::NoConnection::Failed(__failure)) => {
                    #[allow(unused_imports)]
                    use #p::{PlaceByError as _, PlaceByPoolError as _, PlaceByShape as _, PlaceOfNever as _};
                    (#p::Ok((&&&&#place::<#output, _>::of(&__failure)).#convert(__failure)), #p::None)
                }
            };
        }
    }

    fn admit(&self) -> TokenStream {
        let p = self.p;
        let room = self.room();
        hygienic! {
            if let #p::Err(__refusal) = #p::Call::admit(&mut __call, #p::#room::new()).await {
                break 'call #p::Err(__refusal);
            }
        }
    }

    /// The body as a future of its own, or as a job for a thread.
    fn block(&self) -> TokenStream {
        let (p, output, body) = (self.p, &self.output, &self.shape.body);
        let (clones, fresh) = (self.clones, self.fresh());
        let bound = clones.iter().map(|name| {
            let mut bindings = self.shape.bindings.iter().filter(|binding| binding.name == *name);
            let first = bindings.next();
            // Below async-trait it is bound twice, and `mut` where the body sees it.
            let binding = bindings.find(|binding| binding.mutable.is_some()).or(first);
            // The argument's own tokens: warnings about it are about what the user wrote.
            binding.map_or_else(
                || name.to_token_stream(),
                |binding| {
                    let mutability = binding.mutable.map(syn::Token![mut]);
                    let name = &binding.name;
                    quote!(#mutability #name)
                },
            )
        });
        // A statement that returns pins the type for `return`, `?` and coercions; braces of its own keep the items of
        // the body from shadowing what the pin names.
        // A name with the span of the type: "return type inferred here" points there.
        let never = Ident::new("__never", self.shape.output.span());
        let pin = hygienic! {
            #[allow(unreachable_code)]
            match #p::None::<#output> {
                #p::Some(#never) => return #never,
                #p::None => {}
            }
        };
        let lend = self.lend.map(Lend::binding);
        let inner = hygienic! {
            #pin
            #lend
            #(let #bound = #fresh.take();)*
            #[allow(unused_braces)]
            #body
        };
        let block = delimited(Delimiter::Brace, inner, body.span());
        if self.policy.workers.is_some() {
            // A closure that owns what it captures. Its errors are about the user's function.
            return quote_spanned!(self.shape.asyncness=> move || -> #output #block);
        }
        let asyncness = syn::Token![async](self.shape.asyncness);
        let movement = (self.shape.owning && !self.is_shared()).then(|| hygienic!(move));
        hygienic!(#asyncness #movement #block)
    }

    /// One attempt, which may run, with a fresh clone of each argument that is to be cloned.
    fn attempt(&self) -> TokenStream {
        let (p, clones, fresh) = (self.p, self.clones, self.fresh());
        let block = self.block();
        let attempted = if self.policy.workers.is_some() {
            // A method, since errors about a path would be about the attribute; with a name that nobody else's trait has.
            let run = Ident::new("run_on_workers", self.shape.asyncness);
            hygienic!(__call.#run(#block))
        } else if self.policy.is_timed() {
            hygienic!(#p::Call::attempt(&mut __call, #block))
        } else {
            hygienic!(#p::Call::attempt_untimed(&mut __call, #block))
        };
        if clones.is_empty() {
            return attempted;
        }
        // As if the name's place held the call: what cannot be cloned is underlined, not the whole attribute.
        let clone = clones.iter().map(|name| {
            let p = located(p.clone(), name.span());
            quote_spanned!(name.span()=> #p::Clone::clone(&#name))
        });
        hygienic! {
            {
                #(let #fresh = #p::Fresh(#p::Call::user(&mut __call, || #clone));)*
                #attempted
            }
        }
    }

    /// The names of the fresh clones.
    fn fresh(&self) -> Vec<Ident> {
        (0..self.clones.len()).map(|at| format_ident!("__fresh_{at}", span = Span::mixed_site())).collect()
    }

    /// Whether anything but one attempt looks at the arguments.
    fn is_shared(&self) -> bool {
        let policy = self.policy;
        policy.repeats()
            || [&policy.fallback, &policy.classify, &policy.failure_if].into_iter().flatten().any(|expr| {
                self.shape.bindings.iter().any(|binding| {
                    !is_parameter(expr, &binding.name) && mentions(self.users(expr), &binding.name)
                })
            })
    }

    /// What the outcome means, told to the call.
    fn settle(&self) -> TokenStream {
        let p = self.p;
        let probed = self.judge(hygienic!(#p::Probe::of(&__out)));
        let verdict = match &self.policy.classify {
            Some(judge) => {
                let judge = self.users(judge);
                let out = self.at_output(hygienic!(&__out));
                hygienic!(#p::classified(&__out, #probed, #p::classify(#out, #judge)))
            }
            None => hygienic!(#p::verdict(&__out, #probed)),
        };
        let judged = [
            ("retry_if", self.policy.retry_if.as_ref().map(|(_, judge)| judge)),
            ("failure_if", self.policy.failure_if.as_ref()),
        ];
        let judged = judged.into_iter().filter_map(|(setter, judge)| {
            let setter = Ident::new(setter, Span::mixed_site());
            let judge = self.users(judge?);
            Some(hygienic!(.#setter(#p::judge(&__out, #judge))))
        });
        let give_back = self.lend.map(|_| hygienic!(#p::give_back(__lent, &__verdict);));
        hygienic! {{
            let __verdict = #p::Call::user(&mut __call, || #verdict #(#judged)*);
            #give_back
            #p::Call::settle(&mut __call, __verdict)
        }}
    }

    /// What the fallback answers with.
    fn answer(&self, fallback: &Expr) -> TokenStream {
        let p = self.p;
        let call = self.users(fallback);
        match manner(fallback) {
            Manner::Sync => hygienic!(#p::answer(__shape, __error, #call)),
            Manner::Async => hygienic!(#p::answer_async(__shape, __error, #call).await),
            Manner::Either => {
                let ask = match fallback {
                    Expr::Path(_) => call.clone(),
                    _ => hygienic!(__ask),
                };
                let bind = (!matches!(fallback, Expr::Path(_))).then(|| hygienic!(let __ask = #call;));
                // A name with the span of the fallback: an answer of another type is reported there.
                let answer = Ident::new("__answer", fallback.span());
                hygienic! {
                    #bind
                    let __answered = #ask(__error);
                    let __manner = {
                        #[allow(unused_imports)]
                        use #p::{AnsweredLater as _, AnsweredNow as _};
                        (&&#p::Answered(&__answered)).resilient_manner()
                    };
                    let #answer = __manner.fallen(__answered).await;
                    #answer
                }
            }
        }
    }

    /// An expression of the attribute, as it has to be where the body stands.
    fn users(&self, expr: &Expr) -> TokenStream {
        let tokens = expr.to_token_stream();
        if self.shape.renames_self() { renamed(tokens, "self", "__self") } else { tokens }
    }

    fn at_output(&self, tokens: TokenStream) -> TokenStream {
        located(tokens, self.shape.output.span())
    }
}

/// Whether a closure has a parameter of this name, and so cannot mean the argument.
fn is_parameter(expr: &Expr, name: &Ident) -> bool {
    match expr {
        Expr::Group(group) => is_parameter(&group.expr, name),
        Expr::Paren(paren) => is_parameter(&paren.expr, name),
        Expr::Closure(closure) => closure.inputs.iter().any(|input| binds(input.to_token_stream(), name)),
        _ => false,
    }
}

/// How a fallback is asked.
enum Manner {
    Sync,
    Async,
    /// A path does not tell.
    Either,
}

fn manner(fallback: &Expr) -> Manner {
    match fallback {
        Expr::Group(group) => manner(&group.expr),
        Expr::Paren(paren) => manner(&paren.expr),
        Expr::Closure(closure) if closure.asyncness.is_some() || is_async(&closure.body) => Manner::Async,
        Expr::Closure(_) => Manner::Sync,
        _ => Manner::Either,
    }
}

/// Whether an expression is an `async` block, or `Box::pin` of one, or a block that ends with either.
fn is_async(expr: &Expr) -> bool {
    match expr {
        Expr::Async(_) => true,
        Expr::Group(group) => is_async(&group.expr),
        Expr::Paren(paren) => is_async(&paren.expr),
        Expr::Block(block) => ends_async(&block.block),
        Expr::Call(call) => match (&*call.func, call.args.first()) {
            (Expr::Path(path), Some(argument)) => {
                path.path.segments.last().is_some_and(|last| last.ident == "pin") && is_async(argument)
            }
            _ => false,
        },
        _ => false,
    }
}

fn ends_async(block: &Block) -> bool {
    matches!(block.stmts.last(), Some(Stmt::Expr(last, None)) if is_async(last))
}
