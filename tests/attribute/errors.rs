//! Every kind of error type and return type.

use std::{
    fmt, io,
    sync::atomic::{AtomicU32, Ordering},
};

use resilience_runtime::{Classified, Classify, ErrorClass, ErrorKind, ResilienceError, resilient};

use crate::support::Error;

/// Counts how often a body runs.
#[derive(Debug, Default)]
struct Runs(AtomicU32);

impl Runs {
    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn taken(&self) -> u32 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[resilient(retry = 2)]
async fn text(runs: &Runs) -> Result<(), String> {
    runs.one();
    Err("no".to_owned())
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn enumerated(runs: &Runs) -> Result<(), Error> {
    runs.one();
    Err(Error::Failed("no"))
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn any(runs: &Runs, error: fn() -> anyhow::Error) -> anyhow::Result<()> {
    runs.one();
    Err(error())
}

#[resilient(retry = 2, timeout_ms = 500)]
async fn boxed(runs: &Runs, error: fn() -> Error) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    runs.one();
    Err(error().into())
}

#[resilient(retry = 2)]
async fn io_alias(runs: &Runs, kind: io::ErrorKind) -> io::Result<()> {
    runs.one();
    Err(kind.into())
}

#[resilient(retry = 2)]
async fn borrowed<'a>(runs: &Runs, text: &'a str) -> Result<(), Borrowed<'a>> {
    runs.one();
    Err(Borrowed(text))
}

type Boxed<'a> = Box<dyn std::error::Error + 'a>;

type Sendable<'a> = Box<dyn std::error::Error + Send + 'a>;

type Shareable<'a> = Box<dyn std::error::Error + Send + Sync + 'a>;

#[resilient(retry = 2, timeout_ms = 500, circuit(name = "errors-boxed", window = 1_000))]
async fn boxed_borrowed<'a>(runs: &Runs, error: &dyn Fn() -> Boxed<'a>) -> Result<(), Boxed<'a>> {
    runs.one();
    Err(error())
}

#[resilient(retry = 2)]
async fn sendable_borrowed<'a>(runs: &Runs, error: &dyn Fn() -> Sendable<'a>) -> Result<(), Sendable<'a>> {
    runs.one();
    Err(error())
}

#[resilient(retry = 2, timeout_ms = 500, circuit(name = "errors-shareable", window = 1_000))]
async fn shareable_borrowed<'a>(runs: &Runs, error: &dyn Fn() -> Shareable<'a>) -> Result<(), Shareable<'a>> {
    runs.one();
    Err(error())
}

#[derive(Debug, PartialEq)]
struct Borrowed<'a>(&'a str);

impl fmt::Display for Borrowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Borrowed<'_> {}

#[resilient(retry = 2, timeout_ms = 500)]
async fn generic<E: From<ResilienceError>>(runs: &Runs, error: fn() -> E) -> Result<(), E> {
    runs.one();
    Err(error())
}

#[resilient(retry = 2)]
async fn generic_classified<E: Classify>(runs: &Runs, error: fn() -> E) -> Result<(), E> {
    runs.one();
    Err(error())
}

#[resilient(retry = 2, circuit = "errors-option")]
async fn option(runs: &Runs, answer: Option<u8>) -> Option<u8> {
    runs.one();
    answer
}

#[resilient(retry = 2)]
async fn plain(runs: &Runs) -> u8 {
    runs.one();
    0
}

#[resilient(timeout_ms = 5)]
async fn slow_option() -> Option<u8> {
    std::future::pending().await
}

#[resilient(timeout_ms = 5)]
async fn slow() -> Result<u8, Error> {
    std::future::pending().await
}

#[resilient(retry = 2)]
async fn outer(runs: &Runs) -> Result<u8, Error> {
    runs.one();
    slow().await
}

#[resilient(circuit(name = "errors-inner", failure_threshold = 1))]
async fn failing() -> Result<u8, Error> {
    Err(Error::Failed("no"))
}

#[resilient(retry = 2)]
async fn around_a_refusal(runs: &Runs) -> Result<u8, Error> {
    runs.one();
    failing().await
}

#[resilient(retry = 2)]
async fn around_a_refusal_in_anyhow(runs: &Runs) -> anyhow::Result<u8> {
    runs.one();
    Ok(failing().await?)
}

#[tokio::test(start_paused = true)]
async fn the_last_error_comes_back_unchanged() {
    let runs = Runs::default();
    assert_eq!(text(&runs).await, Err("no".to_owned()));
    assert_eq!(runs.taken(), 3);
    assert_eq!(enumerated(&runs).await, Err(Error::Failed("no")));
    assert_eq!(runs.taken(), 3);
    assert_eq!(borrowed(&runs, "no").await, Err(Borrowed("no")));
    assert_eq!(runs.taken(), 3);
    let error = any(&runs, || anyhow::anyhow!("no").context("while asking")).await.expect_err("it fails");
    assert_eq!((format!("{error:#}"), runs.taken()), ("while asking: no".to_owned(), 3));
    let error = boxed(&runs, || Error::Failed("no")).await.expect_err("it fails");
    assert_eq!((error.downcast_ref(), runs.taken()), (Some(&Error::Failed("no")), 3));
}

#[tokio::test(start_paused = true)]
async fn boxed_errors_may_borrow_and_are_searched_for_a_refusal() {
    let (runs, text) = (Runs::default(), "no".to_owned());
    let error = boxed_borrowed(&runs, &|| Box::new(Borrowed(&text))).await.expect_err("it fails");
    assert_eq!((error.to_string(), runs.taken()), ("no".to_owned(), 3));
    let error = sendable_borrowed(&runs, &|| Box::new(Borrowed(&text))).await.expect_err("it fails");
    assert_eq!((error.to_string(), runs.taken()), ("no".to_owned(), 3));
    let error = shareable_borrowed(&runs, &|| Box::new(Borrowed(&text))).await.expect_err("it fails");
    assert_eq!((error.to_string(), runs.taken()), ("no".to_owned(), 3));

    let refusal = || ResilienceError::ShutDown { name: "inner".into() };
    assert!(boxed_borrowed(&runs, &|| Box::new(refusal())).await.is_err());
    assert_eq!(runs.taken(), 1);
    assert!(
        boxed_borrowed(&runs, &|| Box::new(io::Error::other(io::Error::other(refusal())))).await.is_err()
    );
    assert_eq!(runs.taken(), 1);
    assert!(sendable_borrowed(&runs, &|| Box::new(refusal())).await.is_err());
    assert_eq!(runs.taken(), 1);
    assert!(shareable_borrowed(&runs, &|| Box::new(Error::from(refusal()))).await.is_err());
    assert_eq!(runs.taken(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_knows_what_it_means_is_asked() {
    let runs = Runs::default();
    assert!(io_alias(&runs, io::ErrorKind::NotFound).await.is_err());
    assert_eq!(runs.taken(), 1);
    assert!(io_alias(&runs, io::ErrorKind::ConnectionReset).await.is_err());
    assert_eq!(runs.taken(), 3);
}

#[tokio::test(start_paused = true)]
async fn in_generic_functions_the_declared_bounds_count() {
    let runs = Runs::default();
    let permanent = || Classified::permanent(Error::Failed("no"));
    assert!(generic(&runs, permanent).await.is_err());
    assert_eq!(runs.taken(), 3);
    assert!(generic_classified(&runs, permanent).await.is_err());
    assert_eq!(runs.taken(), 1);
    assert_eq!(permanent().classify(), ErrorClass::Permanent);
}

#[tokio::test(start_paused = true)]
async fn none_is_a_failure_and_what_a_refusal_becomes() {
    let runs = Runs::default();
    assert_eq!((option(&runs, None).await, runs.taken()), (None, 3));
    assert_eq!((option(&runs, Some(1)).await, runs.taken()), (Some(1), 1));
    assert_eq!(slow_option().await, None);
}

#[tokio::test(start_paused = true)]
async fn other_values_never_fail() {
    let runs = Runs::default();
    assert_eq!((plain(&runs).await, runs.taken()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_nested_timeout_is_retried_and_a_nested_refusal_is_not() {
    let runs = Runs::default();
    let error = outer(&runs).await.expect_err("it times out");
    assert_eq!((ErrorKind::of(&error), runs.taken()), (Some(ErrorKind::TimedOut), 3));

    assert_eq!(failing().await, Err(Error::Failed("no")));
    let error = around_a_refusal(&runs).await.expect_err("it is refused");
    assert_eq!((ErrorKind::of(&error), runs.taken()), (Some(ErrorKind::CircuitOpen), 1));
    let error = around_a_refusal_in_anyhow(&runs).await.expect_err("it is refused");
    assert_eq!((ErrorKind::of(&*error), runs.taken()), (Some(ErrorKind::CircuitOpen), 1));
}
