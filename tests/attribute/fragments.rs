//! Bodies that are fragments of a `macro_rules!`: the compiler puts an invisible group around them.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use resilience_runtime::{ErrorKind, Registry, resilient};
use tokio::time::timeout;

use crate::support::{Error, now};

type Answer = Result<u8, Error>;

macro_rules! functions {
    ($free:ident $as_block:ident $boxed:ident $body:block) => {
        #[resilient(timeout_ms = 5)]
        async fn $free() -> Answer $body

        #[resilient(timeout_ms = 5)]
        fn $as_block() -> impl Future<Output = Answer> {
            async move $body
        }

        #[resilient(timeout_ms = 5)]
        fn $boxed() -> Pin<Box<dyn Future<Output = Answer>>> {
            Box::pin(async move $body)
        }
    };
}

macro_rules! handed_on {
    ($free:ident $as_block:ident $boxed:ident $body:block) => {
        functions! { $free $as_block $boxed $body }
    };
}

functions! { stuck stuck_block stuck_box { pending().await } }
handed_on! { handed_on handed_on_block handed_on_box { pending().await } }
functions! { ready ready_block ready_box { Ok(1) } }

struct Block;
struct Single;

macro_rules! methods {
    ($first:block $plain:block $last:block) => {
        #[resilient(timeout_ms = 5)]
        impl Block {
            async fn first(&self) -> Answer $first

            async fn behind_the_first(&self) -> Answer {
                pending().await
            }

            const NUMBER: u8 = 7;

            fn plain(&self) -> u8 $plain

            async fn behind_the_plain(&self) -> Answer {
                pending().await
            }

            #[resilient(timeout_ms = 9)]
            async fn last(&self) -> Answer $last
        }

        impl Single {
            #[resilient(timeout_ms = 5)]
            async fn by_method(&self) -> Answer $first
        }
    };
}

methods! { { pending().await } { 3 } { pending().await } }

/// The answer of a call that has a limit of its own.
async fn limited(call: impl Future<Output = Answer>) -> Option<ErrorKind> {
    let answer = timeout(Duration::from_millis(10), call).await.expect("the call has a limit of its own");
    ErrorKind::of(&answer.unwrap_err())
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_body_is_a_fragment_is_protected() {
    for call in [stuck_box(), Box::pin(stuck()), Box::pin(stuck_block())] {
        assert_eq!(limited(call).await, Some(ErrorKind::TimedOut));
    }
    assert_eq!((now(ready()), now(ready_block()), now(ready_box())), (Ok(1), Ok(1), Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn a_function_whose_body_was_handed_from_macro_to_macro_is_protected() {
    for call in [handed_on_box(), Box::pin(handed_on()), Box::pin(handed_on_block())] {
        assert_eq!(limited(call).await, Some(ErrorKind::TimedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_whose_body_is_a_fragment_is_protected_and_so_are_those_behind_it() {
    assert_eq!(limited(Block.first()).await, Some(ErrorKind::TimedOut));
    assert_eq!(limited(Block.behind_the_first()).await, Some(ErrorKind::TimedOut));
    assert_eq!(limited(Block.behind_the_plain()).await, Some(ErrorKind::TimedOut));
    assert_eq!(limited(Block.last()).await, Some(ErrorKind::TimedOut));
    assert_eq!(limited(Single.by_method()).await, Some(ErrorKind::TimedOut));
    assert_eq!((Block::NUMBER, Block.plain()), (7, 3));
}

#[tokio::test(start_paused = true)]
async fn a_method_whose_body_is_a_fragment_is_a_site_of_its_own() {
    let registry = Registry::new();
    let of_call = registry.clone();
    of_call.scope(async { assert_eq!(limited(Block.first()).await, Some(ErrorKind::TimedOut)) }).await;
    let sites = registry.health().sites;
    let timed_out: Vec<_> =
        sites.iter().filter(|site| site.timed_out > 0).map(|site| (&*site.name, site.timed_out)).collect();
    assert_eq!(timed_out, [("attribute::fragments::Block::first", 1)]);
}

macro_rules! elsewhere {
    ($runtime:path) => {
        #[resilient(crate = $runtime, timeout_ms = 5)]
        async fn elsewhere() -> Answer {
            Ok(3)
        }
    };
}

elsewhere! { ::resilience_runtime }

#[test]
fn a_path_to_the_runtime_may_be_a_fragment() {
    assert_eq!(now(elsewhere()), Ok(3));
}
