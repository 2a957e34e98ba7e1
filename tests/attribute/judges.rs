//! `classify`, `retry_if` and `failure_if`: what they see and what they decide.

use std::sync::atomic::{AtomicU32, Ordering};

use resilience_runtime::{ErrorClass, resilient};

use crate::support::Error;

fn by_text(error: &Error) -> ErrorClass {
    match error {
        Error::Failed("gone") => ErrorClass::Permanent,
        _ => ErrorClass::Transient,
    }
}

impl Error {
    fn class(&self) -> ErrorClass {
        by_text(self)
    }
}

fn count(runs: &AtomicU32) -> u32 {
    runs.fetch_add(1, Ordering::Relaxed) + 1
}

#[resilient(retry = 2, classify = by_text)]
async fn classified_by_path(runs: &AtomicU32, text: &'static str) -> Result<u32, Error> {
    count(runs);
    Err(Error::Failed(text))
}

#[resilient(retry = 2, classify = Error::class)]
async fn classified_by_method(runs: &AtomicU32, text: &'static str) -> Result<u32, Error> {
    count(runs);
    Err(Error::Failed(text))
}

#[resilient(retry = 2, classify = |error| if error.contains(given) { ErrorClass::Permanent } else { ErrorClass::Transient })]
async fn classified_by_closure(runs: &AtomicU32, given: &str) -> Result<u32, String> {
    count(runs);
    Err("gone".to_owned())
}

#[resilient(retry = 2, retry_if = |outcome| matches!(outcome, Ok(runs) if *runs < 3))]
async fn until_three(runs: &AtomicU32) -> Result<u32, Error> {
    Ok(count(runs))
}

#[resilient(retry = 2, retry_if = Result::is_ok)]
async fn errors_are_final(runs: &AtomicU32) -> Result<u32, Error> {
    count(runs);
    Err(Error::Failed("no"))
}

#[resilient(retry = 2, retry_if = |count| *count < 2)]
async fn plain_values(runs: &AtomicU32) -> u32 {
    count(runs)
}

#[resilient(circuit(name = "judges-empty", failure_threshold = 2), failure_if = |answer| answer.as_ref().is_ok_and(Vec::is_empty))]
async fn empty_is_a_failure(answer: Vec<u8>) -> Result<Vec<u8>, Error> {
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn classify_overrides_what_the_error_says() {
    for (text, expected) in [("gone", 1), ("no", 3)] {
        let runs = AtomicU32::new(0);
        assert_eq!(classified_by_path(&runs, text).await, Err(Error::Failed(text)));
        assert_eq!(runs.swap(0, Ordering::Relaxed), expected);
        assert_eq!(classified_by_method(&runs, text).await, Err(Error::Failed(text)));
        assert_eq!(runs.swap(0, Ordering::Relaxed), expected);
        assert_eq!(classified_by_closure(&runs, text).await, Err("gone".to_owned()));
        assert_eq!(runs.into_inner(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_if_decides_about_values_and_errors() {
    assert_eq!(until_three(&AtomicU32::new(0)).await, Ok(3));
    assert_eq!(until_three(&AtomicU32::new(9)).await, Ok(10));
    assert_eq!(plain_values(&AtomicU32::new(0)).await, 2);
    let runs = AtomicU32::new(0);
    assert_eq!(errors_are_final(&runs).await, Err(Error::Failed("no")));
    assert_eq!(runs.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn failure_if_decides_what_the_circuit_counts() {
    assert_eq!(empty_is_a_failure(vec![]).await, Ok(vec![]));
    assert_eq!(empty_is_a_failure(vec![]).await, Ok(vec![]));
    let error = empty_is_a_failure(vec![1]).await.expect_err("the circuit is open");
    assert!(matches!(error, Error::Refused(_)), "{error}");
}
