//! Nothing in the user's scope changes what the expansion means, and nothing of the expansion is seen by the user.

#![allow(non_camel_case_types, non_upper_case_globals, dead_code)]

mod shadowed {
    //! Everything the expansion might name has another meaning here.

    pub(super) struct Option;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Clone;
    pub(super) struct u32;
    pub(super) struct u64;
    pub(super) struct usize;
    pub(super) struct str;
    pub(super) mod core {}
    pub(super) mod std {}
    pub(super) mod resilience_runtime {}

    const LIMIT: ::core::primitive::u64 = 500;

    #[::resilience_runtime::resilient(
        circuit(name = "hygiene-{id}", probes = 1),
        retry = 1,
        timeout_ms = LIMIT,
        bulkhead = 1,
        fallback = |error| ::core::result::Result::Err(::std::format!("{error}")),
        clone(id)
    )]
    pub(super) async fn with_everything(
        id: ::core::primitive::u8,
    ) -> ::core::result::Result<::core::primitive::u8, ::std::string::String> {
        ::core::result::Result::Ok(id)
    }
}

#[no_implicit_prelude]
mod without_prelude {
    use ::resilience_runtime::resilient;

    #[resilient(
        circuit = "hygiene-{id}",
        retry = 1,
        timeout = "1s",
        bulkhead = 1,
        rate_limit = 10,
        fallback = |_| ::std::result::Result::Ok(id)
    )]
    pub(super) async fn with_everything(id: u8) -> ::std::result::Result<u8, &'static str> {
        ::std::result::Result::Ok(id)
    }

    #[resilient(pool = "hygiene", retry = 1)]
    pub(super) async fn lent(
        #[pooled] out: &mut ::resilience_runtime::Pooled<super::Numbers>,
        lend: u8,
    ) -> ::std::option::Option<u8> {
        ::std::option::Option::Some(**out + lend)
    }

    #[resilient(workers = "hygiene", retry = 1)]
    pub(super) fn worked(call: u8, out: u8) -> ::std::option::Option<u8> {
        ::std::option::Option::Some(call + out)
    }

    #[resilient(total_timeout_ms = 5)]
    pub(super) async fn refusing(id: u8) -> ::std::option::Option<u8> {
        ::std::option::Option::Some(id)
    }
}

mod greedy {
    //! Everything in scope has methods, constants and statics of the names the expansion uses.

    use resilience_runtime::{CallError, ResilienceError, resilient};

    macro_rules! greedy {
        ($($method:ident)*) => {
            pub(super) trait Greedy: Sized {
                $(fn $method(self) -> u8 { 0 })*
            }

            impl<T> Greedy for T {}
        };
    }

    greedy! {
        admit attempt attempt_untimed begin checked connection convert declaration fall_back fallen judge lend manner
        refusal run settle settle_refusal settle_timeout split take unanswered user work
    }

    static value: u64 = 1_000;

    fn apologise(_: CallError<ResilienceError>) -> Result<u8, ResilienceError> {
        Ok(1)
    }

    #[resilient(retry = 1 + 1, timeout_ms = 500 + 500, bulkhead = 1, fallback = apologise, clone(id))]
    pub(super) async fn with_everything(id: u8) -> Result<u8, ResilienceError> {
        assert_eq!((value, id.run()), (1_000, 0));
        Ok(id)
    }

    #[resilient(circuit = "hygiene-greedy-{id}", retry = 1, failure_if = |out| out.is_err(), fallback = |_| Ok(1))]
    pub(super) async fn judged(id: u8) -> Result<u8, ResilienceError> {
        Ok(id)
    }

    #[resilient(pool = "hygiene", retry = 1)]
    pub(super) async fn lent(
        #[pooled] out: &mut resilience_runtime::Pooled<super::Numbers>,
        id: u8,
    ) -> Option<u8> {
        Some(**out + id)
    }

    #[resilient(workers = "hygiene", retry = 1)]
    pub(super) fn worked(id: u8) -> Option<u8> {
        Some(id)
    }

    #[resilient(timeout_ms = 5)]
    pub(super) async fn late() -> Option<u8> {
        std::future::pending().await
    }
}

mod same_names {
    //! Arguments with the names of the expansion's own variables.

    use resilience_runtime::{CallError, ResilienceError, resilient};

    #[resilient(
        circuit(name = "hygiene-names-{call}", call = __call),
        retry = 1,
        timeout_ms = 500,
        retry_if = |outcome| outcome.is_err() && __call + __out + __error + __verdict > 100,
        fallback = |refused: CallError<ResilienceError>| {
            let _ = (refused, __call, __shape, __answer, __refusal);
            Ok(0)
        }
    )]
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn arguments(
        __call: u32,
        __out: u32,
        __error: u32,
        __verdict: u32,
        timeout: u32,
        __shape: u32,
        __refusal: u32,
        __never: u32,
        __answer: u32,
        __fresh_0: u32,
    ) -> Result<u32, ResilienceError> {
        Ok(__call
            + __out
            + __error
            + __verdict
            + timeout
            + __shape
            + __refusal
            + __never
            + __answer
            + __fresh_0)
    }

    #[resilient(retry = 1, clone(__fresh_0))]
    pub(super) async fn clones(__fresh_0: String, __judge: &str) -> Result<String, ResilienceError> {
        Ok(__fresh_0 + __judge)
    }
}

mod statics {
    //! A local variable cannot have the name of a static or of a unit struct, wherever it is from.

    use resilience_runtime::{ResilienceError, resilient};

    macro_rules! beside {
        ($($name:ident)*) => {
            $(
                mod $name {
                    use super::*;

                    static $name: u8 = 1;

                    #[resilient(
                        circuit = "hygiene-{a}",
                        retry = 1,
                        timeout_ms = 500,
                        bulkhead = 1,
                        rate_limit = 10,
                        fallback = super::fallback,
                        clone(a)
                    )]
                    async fn step_by_step(a: String) -> Result<String, ResilienceError> {
                        Ok(a)
                    }

                    #[resilient(circuit = "hygiene", retry = 1, fallback = |_| Ok(0))]
                    async fn at_once() -> Result<u8, ResilienceError> {
                        Ok(1)
                    }

                    #[resilient(pool = "hygiene", timeout_ms = 500, failure_if = |_| false)]
                    async fn with_a_connection(
                        #[pooled] connection: &mut resilience_runtime::Pooled<crate::hygiene::Numbers>,
                    ) -> Option<u8> {
                        Some(**connection)
                    }

                    #[resilient(workers = "hygiene", retry_if = |_| false, retry = 1)]
                    fn worked(a: u8) -> Option<u8> {
                        Some(a)
                    }
                }
            )*
        };
    }

    async fn fallback<E>(_: E) -> Result<String, ResilienceError> {
        Ok(String::new())
    }

    beside! {
        answer answered ask attempt attempted body call cause circuit error failure fallen filled fresh fresh_0 handles
        judge lend lent manner name never next out outcome permit place policy probe refusal refuse shape site sleep
        value verdict
    }
}

mod renamed_error {
    //! A type called `Result` and an alias with one parameter.

    use resilience_runtime::{ResilienceError, resilient};

    pub(super) type Result<T> = ::std::result::Result<T, ResilienceError>;

    #[resilient(circuit = "hygiene-alias", retry = 1, timeout_ms = 500)]
    pub(super) async fn alias() -> Result<u8> {
        Ok(1)
    }
}

use crate::support::now;

#[test]
fn shadowed_names_change_nothing() {
    assert_eq!(now(shadowed::with_everything(3)), Ok(3));
}

#[test]
fn no_prelude_is_needed() {
    assert_eq!(now(without_prelude::with_everything(3)), Ok(3));
    assert_eq!(now(without_prelude::refusing(3)), Some(3));
}

#[test]
fn arguments_may_have_any_name() {
    assert_eq!(now(same_names::arguments(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)), Ok(55));
    assert_eq!(now(same_names::clones("a".to_owned(), "b")), Ok("ab".to_owned()));
}

#[test]
fn aliases_of_result_are_results() {
    assert_eq!(now(renamed_error::alias()), Ok(1));
}

struct Numbers;

impl resilience_runtime::Manager for Numbers {
    type Connection = u8;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<u8, std::convert::Infallible> {
        Ok(5)
    }
}

/// The names of the expansion (`lend`, `lent`, `out`, `call`) are free for arguments.
#[tokio::test]
async fn connections_and_threads_without_a_prelude() {
    let pool = resilience_runtime::ConnectionPool::builder("hygiene", Numbers).build().expect("in range");
    let _pool = resilience_runtime::registry().register_pool(pool).expect("the name is free");
    assert_eq!(without_prelude::lent(2).await, Some(7));
    assert_eq!(without_prelude::worked(2, 3).await, Some(5));
    assert_eq!((greedy::lent(2).await, greedy::worked(2).await), (Some(7), Some(2)));
}

#[tokio::test(start_paused = true)]
async fn methods_that_everything_has_are_not_taken_for_those_of_the_expansion() {
    assert_eq!(greedy::with_everything(2).await.ok(), Some(2));
    assert_eq!((greedy::judged(2).await.ok(), greedy::late().await), (Some(2), None));
}
