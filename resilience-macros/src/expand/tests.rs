//! What comes out, in small.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;

use super::expand;

/// The expansion as text without spaces.
fn expanded(arguments: &str, item: &str) -> String {
    expand(arguments.parse().expect("tokens"), item.parse().expect("tokens")).to_string().replace(' ', "")
}

fn assert_error(arguments: &str, item: &str, message: &str) {
    let out = expanded(arguments, item);
    let item: TokenStream = item.parse().expect("tokens");
    assert!(out.starts_with(&item.to_string().replace(' ', "")), "the item is kept: {out}");
    assert_eq!(out.matches("compile_error").count(), 1, "{out}");
    assert!(out.contains(&format!("{message:?}").replace(' ', "")), "{out}");
}

#[test]
fn a_bare_site_is_begun_and_run() {
    assert_eq!(
        expanded("", "async fn f(a: u8) -> u8 { a }"),
        "#[doc=\"\"]#[doc=\"**Resilience:**measuredonly.\"]asyncfnf(a:u8)->u8{\
         use::resilience_runtime::__privateas__resilient;\
         static__RESILIENT_SITE:__resilient::Site={\
         __resilient::Site::new(__resilient::Declaration::new(__resilient::Location::new(\
         __resilient::module_path!(),\"f\",__resilient::file!(),__resilient::line!(),__resilient::column!())))};\
         __resilient::inventory::submit!{__resilient::Declared(__resilient::Site::declaration(&__RESILIENT_SITE))}\
         letmut__call=<__resilient::Site>::begin(&__RESILIENT_SITE);\
         let__refusal={let__judge={#[allow(unused_imports)]use__resilient::FindJudgeas_;\
         (&&&&&&&__resilient::Probe::<u8>::new()).resilient_judge()};\
         match__resilient::Call::run(&mut__call,__resilient::NoRoom::new(),asyncmove{\
         #[allow(unreachable_code)]match__resilient::None::<u8>{\
         __resilient::Some(__never)=>return__never,__resilient::None=>{}}\
         #[allow(unused_braces)]{a}},__judge).await{__resilient::Some(__out)=>return__out,\
         __resilient::None=>{let__refusal=__resilient::Call::refusal(&mut__call);__refusal}}};\
         __resilient::never_refused::<u8>(__refusal)}"
    );
}

#[test]
fn what_has_started_a_runtime_already_is_told_the_order() {
    let told = |body: TokenStream| expand(quote!(retry = 1), quote!(fn main() #body)).to_string();
    // As tokio-macros 2 writes it.
    let started = told(quote!({
        let body = async { work().await };
        return tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("").block_on(body);
    }));
    assert!(started.contains("put `#[resilient]` above `#[tokio::main]`"), "{started}");
    assert!(told(quote!({ work() })).contains("expects an `async fn`"));
}

#[test]
fn a_body_in_invisible_groups_is_a_body() {
    let invisible = |tokens: TokenStream| Group::new(Delimiter::None, tokens);
    let out = |body: TokenStream| expand(quote!(retry = 1), quote!(async fn f() -> R #body)).to_string();
    let once = invisible(quote!({ a }));
    let twice = invisible(quote!(#once));
    assert_eq!(out(quote!(#once)), out(quote!({ a })));
    assert_eq!(out(quote!(#twice)), out(quote!({ a })));
    for other in [quote!(), quote!(a), quote!((a)), quote!({ a } { b })] {
        let body = invisible(other);
        assert!(out(quote!(#body)).contains("goes on an `async fn` or on an `impl` block"), "{body:?}");
    }
}

#[test]
fn settings_become_a_constant_declaration() {
    let out = expanded(
        "crate = rt, circuit(name = \"a\", failure_rate = 1, probes = N), timeout = \"2s\", \
         retry(max = 3, backoff = \"linear\", jitter = 0.5, budget = false), bulkhead(max = 4, name = \"b-{x}\"), rate_limit = 5",
        "async fn f() -> R {}",
    );
    for part in [
        "usert::__privateas__resilient;",
        ".circuit(__resilient::NameSpec::Static(\"a\"),__resilient::Some({\
         __resilient::check::usize_order(1,N,\"`probe_successes`mustnotbeabove`probes`\");",
        "__resilient::CircuitSettings::new().failure_rate(1.0)\
         .probes(__resilient::check::usize({let__resilient_value:__resilient::primitive::usize=N;__resilient_value},1u64,1000u64,\"`probes`isoutofrange:1to1000\"))",
        ".retry(__resilient::RetrySettings::new(3).backoff(__resilient::BackoffKind::Linear)\
         .jitter(__resilient::Jitter::Share(0.5)).no_budget())",
        ".bulkhead(__resilient::Some(__resilient::NameSpec::Template(\"b-{x}\")),__resilient::BulkheadSettings::new(4))",
        ".rate_limit(__resilient::None,__resilient::LimiterSettings::new(5)).timeout_ms(2000)",
        "__RESILIENT_SITE:__resilient::Site<__resilient::Named>={",
        "<__resilient::Site<__resilient::Named>>::begin(&__RESILIENT_SITE,[__resilient::None,__resilient::Some(__resilient::format_args!(\"b-{x}\")),__resilient::None])",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn an_attempt_owns_its_arguments_only_if_nothing_else_looks_at_them() {
    let f = "async fn f(id: u8) -> Result<u8, E> { Ok(id) }";
    for (arguments, owning) in [
        ("", true),
        ("timeout_ms = 1", true),
        ("retry = 1", false),
        ("retry = 0", true),
        ("retry = N", false),
        ("fallback = |e| Ok(1)", true),
        ("fallback = |e| Ok(id)", false),
        ("fallback = other", true),
        ("fallback = |e| { println!(\"{id}\"); Ok(1) }", false),
        ("failure_if = |r| *r == Ok(id)", false),
    ] {
        assert_eq!(expanded(arguments, f).contains("asyncmove{"), owning, "{arguments}");
    }
}

#[test]
fn only_what_can_refuse_asks_for_a_place_for_the_refusal() {
    let f = "async fn f() -> Result<u8, E> { Ok(1) }";
    for (arguments, asks) in [
        ("", false),
        ("retry = 1", false),
        ("circuit = \"a\"", true),
        ("timeout_ms = 1", true),
        ("total_timeout_ms = 1", true),
        ("bulkhead = 1", true),
        ("rate_limit = 1", true),
        ("circuit = \"a\", fallback = f", false),
    ] {
        assert_eq!(expanded(arguments, f).contains("FromRefusal"), asks, "{arguments}");
    }
}

#[test]
fn a_mistake_keeps_the_item_as_it_is() {
    assert_error(
        "",
        "fn f() {}",
        "`#[resilient]` expects an `async fn`: write `async fn`, or, for a function that blocks or computes, \
         give it threads with `workers = \"..\"`",
    );
    assert_error("", "struct S;", "`#[resilient]` goes on an `async fn` or on an `impl` block");
    assert_error("retry = x.", "async fn f() {}", "unexpected end of input, expected identifier or integer");
    assert_error(
        "skip",
        "async fn f() {}",
        "`skip` is for methods of an `impl` block that has the attribute itself",
    );
    assert_error(
        "",
        "async fn f();",
        "`#[resilient]` needs a body: put it on the implementations, or give the method a default body",
    );
    assert_error(
        "retry = 1",
        "async fn f((mut a, b): (u8, u8)) {}",
        "`mut a` would carry changes from one attempt into the next: give each attempt a copy with `clone(a)`, \
         or write `a` and `let mut a = ..` in the body",
    );
    assert_error("clone(b)", "async fn f(a: u8) {}", "`clone(b)`: there is no argument `b`");
    assert_error(
        "clone(self)",
        "async fn f(self) {}",
        "`self` cannot be cloned for each attempt: take `&self`, or clone it in the body",
    );
    assert_error(
        "",
        "async fn f() -> ! { loop {} }",
        "a function that never ends has no outcome: put `#[resilient]` on what its loop calls",
    );
    assert_error(
        "",
        "fn f() -> impl Future<Output = u8> { let a = 1; async move { a } }",
        "`#[resilient]` needs the body to be one `async` block, or `Box::pin` of one: \
         move the other statements into the block",
    );
    assert_error(
        "",
        "fn f() -> Mine { async {} }",
        "`#[resilient]` cannot tell what this future answers with: write the return type as \
         `impl Future<Output = ..>`, `Pin<Box<dyn Future<Output = ..>>>` or `BoxFuture<'_, ..>`",
    );
    assert_error(
        "",
        "async fn f() { let __tracing_attr_span = 1; }",
        "put `#[resilient]` above `#[instrument]`: the span then covers the whole call, all attempts included",
    );
}

/// What is emitted beside the mistake knows nothing of `#[pooled]`, which nobody else does.
#[test]
fn a_mistake_takes_the_marks_off() {
    for (arguments, item, message) in [
        (
            "",
            "async fn f(#[pooled] c: &mut C) {}",
            "`#[pooled]` needs a pool to take the connection from: `#[resilient(pool = \"db\")]`",
        ),
        (
            "pool = \"db\"",
            "async fn f(#[pooled] a: &mut C, #[pooled] b: &mut C) {}",
            "a second `#[pooled]`: an attempt has one connection",
        ),
        (
            "pool = \"db\"",
            "async fn f(#[pooled(x)] a: &mut C) {}",
            "`#[pooled]` takes nothing: the pool is named in `#[resilient(pool = ..)]`",
        ),
        (
            "pool = \"db\"",
            "async fn f(#[pooled] a: Pooled<M>) {}",
            "a connection is lent to the body, and goes back when the attempt ends: write `&mut Pooled<M>`",
        ),
        (
            "pool = \"db\"",
            "async fn f(#[pooled] a: &db::Client) {}",
            "a connection is lent to the body alone: write `&mut db::Client`",
        ),
        (
            "pool = \"db\"",
            "async fn f(#[pooled] &mut self) {}",
            "`self` cannot be a pooled connection: mark another argument",
        ),
        (
            "pool = \"db\"",
            "fn f<'async_trait>(#[pooled] c: &'async_trait mut C) -> BoxFuture<'async_trait, R> { Box::pin(async move {}) }",
            "`#[pooled]` does not work below `#[async_trait]`, which has used the argument already",
        ),
    ] {
        let out = expanded(arguments, item);
        assert_eq!(out.matches("compile_error").count(), 1, "{out}");
        assert!(out.contains(&format!("{message:?}").replace(' ', "")), "{out}");
        assert!(!out.split("compile_error").next().unwrap_or_default().contains("pooled"), "{out}");
    }
    assert_error(
        "pool = \"db\"",
        "async fn f() {}",
        "`pool` needs an argument to hand the connection to: `#[pooled] connection: &mut Connection`",
    );
    let block = expanded("pool = \"db\", retri = 1", "impl A { async fn f(#[pooled] c: &mut C) {} }");
    assert!(block.starts_with("implA{asyncfnf(c:&mutC){}}"), "{block}");
    let block = expanded("pool = \"db\"", "impl A { async fn f() {} }");
    let message = "no method in this block takes a connection: mark an argument `#[pooled]`".replace(' ', "");
    assert!(block.matches("compile_error").count() == 1 && block.contains(&message), "{block}");
}

#[test]
fn functions_on_threads_are_not_async_and_own_their_arguments() {
    for (item, message) in [
        (
            "async fn f() {}",
            "`workers` is for functions that block or compute: take `async` away, callers await it all the same",
        ),
        ("const fn f() {}", "a function on a thread of its own cannot be `const`"),
        (
            "fn f(&self) {}",
            "`workers` moves the arguments to another thread: take `self` or `self: Arc<Self>`",
        ),
        (
            "fn f(a: &'static str, b: &str) {}",
            "`workers` moves the arguments to another thread: take this one by value, or as an `Arc`",
        ),
    ] {
        assert_error("workers = \"cpu\"", item, message);
    }
    assert_error(
        "workers = \"cpu\"",
        "impl A { async fn f() {} }",
        "`workers` is for functions without `async`, and a block's settings are for async ones: put it on the method",
    );
}

#[test]
fn a_second_attribute_is_refused() {
    let message = "a second `#[resilient]`: write all keys into one attribute";
    assert_error("", "#[resilient(retry = 1)] async fn f() {}", message);
    let once = expand("retry = 1".parse().expect("tokens"), "async fn f() {}".parse().expect("tokens"));
    assert_error("", &once.to_string(), message);
}

#[test]
fn a_block_gives_its_settings_to_every_async_method() {
    let out = expanded(
        "retry = 1, timeout_ms = 5",
        "impl<T> A<T> { const C: u8 = { 1 }; mine! { a } type B = u8; \
         async fn one(&self) {} \
         #[resilient(retry = 2)] async fn two(&self) {} \
         #[resilient(skip)] async fn three(&self) {} \
         pub fn four(&self) -> u8 { 4 } }",
    );
    assert_eq!(out.matches("static__RESILIENT_SITE").count(), 2);
    assert_eq!(out.matches("RetrySettings::new(1)").count(), 1);
    assert_eq!(out.matches("RetrySettings::new(2)").count(), 1);
    assert_eq!(out.matches(".timeout_ms(5)").count(), 2);
    assert_eq!((out.matches("\"A::one\"").count(), out.matches("\"A::two\"").count()), (1, 1));
    assert!(out.starts_with("impl<T>A<T>{constC:u8={1};mine!{a}typeB=u8;"), "{out}");
    assert!(out.ends_with("asyncfnthree(&self){}pubfnfour(&self)->u8{4}}"), "{out}");
}

#[test]
fn a_mistake_in_a_block_takes_the_inner_attributes_off() {
    let out = expanded("retri = 1", "impl A { #[resilient(skip)] async fn f() {} }");
    assert!(out.starts_with("implA{asyncfnf(){}}"), "{out}");
    assert_eq!(out.matches("compile_error").count(), 1, "{out}");
    assert_error(
        "",
        "impl A { fn f() {} }",
        "there is no `async fn` in this `impl` block for `#[resilient]` to protect",
    );
}

#[test]
fn the_documentation_says_the_policy_in_words() {
    let sentence = |arguments: &str| {
        let item = if arguments.starts_with("pool") {
            "async fn f(#[pooled] c: &mut C) {}"
        } else {
            "async fn f() {}"
        };
        let out = expand(arguments.parse().expect("tokens"), item.parse().expect("tokens")).to_string();
        let start = out.find("**Resilience:**").expect("the line is there");
        let end = out[start..].find('"').expect("it ends");
        out[start + "**Resilience:** ".len()..start + end].to_owned()
    };
    for (arguments, words) in [
        ("", "measured only."),
        (
            "circuit = \"api\", retry = 3, timeout_ms = 500, bulkhead = 10",
            "circuit `api`; at most 500 ms for each attempt; up to 3 retries; at most 10 at once.",
        ),
        (
            "total_timeout = \"2s\", retry(max = 1, backoff = \"fixed\"), rate_limit(max = 60, per_ms = 60_000), fallback = f",
            "at most 2 s in all; up to 1 retry with fixed backoff; at most 60 a minute; \
             a fallback answers instead of a final error.",
        ),
        (
            "timeout = \"2m\", total_timeout_ms = 180_001",
            "at most 180001 ms in all; at most 2 min for each attempt.",
        ),
        ("retry = limits::RETRIES", "up to `limits::RETRIES` retries."),
        ("pool = \"db\"", "a connection of pool `db` for each attempt."),
    ] {
        assert_eq!(sentence(arguments), words, "{arguments}");
    }
}

#[test]
fn a_block_protects_functions_that_return_a_future_as_well() {
    let out = expanded(
        "",
        "impl T { fn f(&self) -> impl Future<Output = u8> { async { 1 } } fn g(&self) -> u8 { 2 } }",
    );
    assert!(!out.contains("compile_error"), "{out}");
    assert_eq!(out.matches("Site::new").count(), 1, "{out}");
    let none = expanded("", "impl T { fn g(&self) -> u8 { 2 } }");
    assert!(
        none.contains(
            &format!("{:?}", "there is no `async fn` in this `impl` block for `#[resilient]` to protect")
                .replace(' ', "")
        )
    );
}

#[test]
fn a_call_has_room_for_what_it_may_have_to_wait_for() {
    for (arguments, room) in [
        ("", "NoRoom"),
        ("circuit = \"a\"", "NoRoom"),
        ("retry = 1", "Timer"),
        ("timeout_ms = 5", "Timer"),
        ("circuit = \"a\", bulkhead = 1", "WaitingRoom"),
        ("rate_limit = 1", "WaitingRoom"),
        ("rate_limit = 1, bulkhead = 1, retry = 1, timeout_ms = 5", "WaitingRoom"),
    ] {
        let out = expanded(arguments, "async fn f() -> R {}");
        let rooms = ["NoRoom", "Timer", "WaitingRoom"].map(|room| out.contains(&format!("::{room}")));
        assert_eq!(
            rooms,
            ["NoRoom", "Timer", "WaitingRoom"].map(|other| other == room),
            "{arguments}: {out}"
        );
    }
}

#[test]
fn a_fallback_is_awaited_where_it_ends_with_an_async_block() {
    use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
    use quote::quote;

    let group = |tokens: TokenStream| TokenTree::from(Group::new(Delimiter::None, tokens));
    let (whole, block) = (group(quote!(async |e| g(e))), group(quote!(async { g(e) })));
    let manner = |fallback: &TokenStream| {
        let out = expand(
            quote!(fallback = #fallback),
            quote!(
                async fn f() -> R {}
            ),
        )
        .to_string()
        .replace(' ', "");
        ["__resilient::answer(", "__resilient::answer_async(", "AnsweredLater"].map(|call| out.contains(call))
    };
    for later in [
        quote!(async |e| g(e)),
        quote!((async |e| g(e))),
        quote!(#whole),
        quote!(|e| async { g(e) }),
        quote!(|e| (async move { g(e) })),
        quote!(|e| #block),
        quote!(|e| {
            log();
            Box::pin(async { g(e) })
        }),
    ] {
        assert_eq!(manner(&later), [false, true, false], "{later}");
    }
    for now in [
        quote!(|e| g(e)),
        quote!((|e| g(e))),
        quote!(|e| pin(e)),
        quote!(|e| spawn(async { g(e) })),
        quote!(|e| {
            async { g(e) };
            e
        }),
        quote!(|e| {
            async { g(e) };
        }),
    ] {
        assert_eq!(manner(&now), [true, false, false], "{now}");
    }
    assert_eq!(manner(&quote!(a::path)), [false, false, true]);
}
