//! What a fallback is given, and every form it may have.

use resilience_runtime::{CallError, ErrorKind, ResilienceError, resilient};

use crate::support::Error;

fn seen<E>(error: &CallError<E>) -> String {
    match error {
        CallError::Refused(refusal) => format!("refused: {:?}", refusal.kind()),
        CallError::Failed(_) => "failed".to_owned(),
        CallError::RetriesExhausted { attempts, .. } => format!("exhausted after {attempts}"),
    }
}

#[resilient(fallback = |error| Ok(seen(&error)))]
async fn without_retry() -> Result<String, Error> {
    Err(Error::Failed("no"))
}

#[resilient(retry = 2, fallback = |error| Ok(seen(&error)))]
async fn with_retry() -> Result<String, Error> {
    Err(Error::Failed("no"))
}

#[resilient(retry = 2, timeout_ms = 5, fallback = |error| Ok(seen(&error)))]
async fn timing_out() -> Result<String, Error> {
    std::future::pending().await
}

#[resilient(
    retry = 2,
    fallback = |error| Ok(seen(&error)),
    classify = |_| resilience_runtime::ErrorClass::Permanent,
)]
async fn permanent() -> Result<String, Error> {
    Err(Error::Failed("no"))
}

#[resilient(
    retry(max = 2, delay_ms = 100, jitter = "none"),
    total_timeout_ms = 50,
    fallback = |error| Ok(seen(&error)),
)]
async fn without_time_for_another() -> Result<String, Error> {
    Err(Error::Failed("no"))
}

#[tokio::test(start_paused = true)]
async fn it_learns_why() {
    assert_eq!(without_retry().await, Ok("failed".to_owned()));
    assert_eq!(with_retry().await, Ok("exhausted after 3".to_owned()));
    assert_eq!(timing_out().await, Ok("refused: TimedOut".to_owned()));
    assert_eq!(permanent().await, Ok("failed".to_owned()));
    assert_eq!(without_time_for_another().await, Ok("failed".to_owned()));
}

fn plain_function(error: CallError<Error>) -> Result<String, Error> {
    Ok(format!("fn {}", seen(&error)))
}

async fn async_function(error: CallError<Error>) -> Result<String, Error> {
    tokio::task::yield_now().await;
    Ok(format!("async fn {}", seen(&error)))
}

mod other {
    pub(super) use super::plain_function as elsewhere;
}

fn made(prefix: &'static str) -> impl FnOnce(CallError<Error>) -> Result<String, Error> {
    move |error| Ok(format!("{prefix} {}", seen(&error)))
}

mod forms {
    use super::*;

    macro_rules! form {
        ($name:ident, $fallback:expr) => {
            #[resilient(fallback = $fallback)]
            pub(super) async fn $name(id: &str) -> Result<String, Error> {
                let _ = id;
                Err(Error::Failed("no"))
            }
        };
    }

    form!(path_of_a_function, plain_function);
    form!(path_of_an_async_function, async_function);
    form!(path_with_module, other::elsewhere);
    form!(call, made("made"));
    form!(async_closure, async |error| async_function(error).await);
    form!(async_block, |error| async move { async_function(error).await });
    form!(block_that_ends_async, |error| {
        let text = seen(&error);
        async move { Ok(text) }
    });
    form!(boxed_async_block, |error| Box::pin(async move { async_function(error).await }));
}

#[tokio::test]
async fn every_form_answers() {
    let failed = |prefix: &str| Ok(format!("{prefix}failed"));
    assert_eq!(forms::path_of_a_function("a").await, failed("fn "));
    assert_eq!(forms::path_of_an_async_function("a").await, failed("async fn "));
    assert_eq!(forms::path_with_module("a").await, failed("fn "));
    assert_eq!(forms::call("a").await, failed("made "));
    assert_eq!(forms::async_closure("a").await, failed("async fn "));
    assert_eq!(forms::async_block("a").await, failed("async fn "));
    assert_eq!(forms::block_that_ends_async("a").await, failed(""));
    assert_eq!(forms::boxed_async_block("a").await, failed("async fn "));
}

struct Cache {
    kept: String,
}

impl Cache {
    #[resilient(fallback = |_| Ok(format!("{} {key} {a}", self.kept)))]
    async fn sees_arguments(&self, key: String, (a, _): (u8, u8)) -> Result<String, Error> {
        let _ = (&key, a);
        Err(Error::Failed("no"))
    }

    #[resilient(fallback = async |_| self.load(&key).await)]
    async fn sees_arguments_later(&self, key: String) -> Result<String, Error> {
        let _ = &key;
        Err(Error::Failed("no"))
    }

    #[resilient(fallback = |_| Ok(key))]
    async fn consumes_what_the_body_borrows(&self, key: String) -> Result<String, Error> {
        Err(Error::Failed(if key.is_empty() { "empty" } else { "no" }))
    }

    #[resilient(fallback = |_| Ok(self.kept.clone()))]
    async fn body_consumes_the_other(&self, key: String) -> Result<String, Error> {
        drop(key);
        Err(Error::Failed("no"))
    }

    async fn load(&self, key: &str) -> Result<String, Error> {
        Ok(format!("{} {key}", self.kept))
    }
}

#[tokio::test]
async fn it_sees_the_arguments_by_name() {
    let cache = Cache { kept: "kept".to_owned() };
    assert_eq!(cache.sees_arguments("k".to_owned(), (3, 4)).await, Ok("kept k 3".to_owned()));
    assert_eq!(cache.sees_arguments_later("k".to_owned()).await, Ok("kept k".to_owned()));
    assert_eq!(cache.consumes_what_the_body_borrows("k".to_owned()).await, Ok("k".to_owned()));
    assert_eq!(cache.body_consumes_the_other("k".to_owned()).await, Ok("kept".to_owned()));
}

#[derive(Debug, PartialEq)]
struct NoPlaceForRefusals;

#[resilient(timeout_ms = 5, fallback = |error| match error {
    CallError::Refused(_) => Ok(2),
    CallError::Failed(error) | CallError::RetriesExhausted { last: error, .. } => Err(error),
})]
async fn any_error(wait: bool) -> Result<u8, NoPlaceForRefusals> {
    if wait {
        std::future::pending::<()>().await;
    }
    Err(NoPlaceForRefusals)
}

#[resilient(timeout_ms = 5, fallback = |refusal: ResilienceError| refusal.kind())]
async fn plain_value(wait: bool) -> ErrorKind {
    if wait {
        std::future::pending::<()>().await;
    }
    ErrorKind::ShutDown
}

#[resilient(timeout_ms = 5, fallback = |_| Some(7))]
async fn option(answer: Option<Option<u8>>) -> Option<u8> {
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

#[resilient(timeout_ms = 5, fallback = |_| {})]
async fn nothing() {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn it_frees_the_return_type_from_refusals() {
    assert_eq!(any_error(true).await, Ok(2));
    assert_eq!(any_error(false).await, Err(NoPlaceForRefusals));
    assert_eq!(plain_value(true).await, ErrorKind::TimedOut);
    assert_eq!(plain_value(false).await, ErrorKind::ShutDown);
    assert_eq!(option(None).await, Some(7));
    assert_eq!(option(Some(None)).await, None);
    nothing().await;
}
