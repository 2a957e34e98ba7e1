//! The guarded client. This file is what you would copy.

use std::time::Duration;

use reqwest::Client;
use resilience_runtime::{Classify, ErrorClass, ResilienceError, resilient};

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server did not answer, or said no.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// Nobody was asked, or the answer took too long.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

impl Classify for FetchError {
    fn classify(&self) -> ErrorClass {
        match self {
            // The server is well and does not like the question.
            Self::Http(error) if error.status().is_some_and(|status| status.is_client_error()) => {
                ErrorClass::Permanent
            }
            Self::Http(_) => ErrorClass::Transient,
            Self::Refused(error) => error.classify(),
        }
    }
}

/// A client that keeps its connections.
///
/// It has a pool of its own, a connection for each request that is under way and no limit to them; the bulkhead of
/// [`fetch`] is the limit. An idle connection is given up a little sooner than servers close theirs, or else a
/// request now and then meets a connection that is just being closed.
///
/// # Errors
///
/// If the system has no TLS or resolver to offer.
pub fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .pool_idle_timeout(Duration::from_secs(45))
        .pool_max_idle_per_host(8)
        .connect_timeout(Duration::from_millis(500))
        // `fetch` retries, with a budget; two layers of retries multiply.
        .retry(reqwest::retry::never())
        .build()
}

/// Loads a page; each host has a circuit and a bulkhead of its own.
///
/// # Errors
///
/// If the server says no, does not answer, or is not asked.
#[resilient(
    circuit(name = "http-{host}", failure_threshold = 5, open_ms = 300),
    retry(max = 2, delay_ms = 10, max_delay_ms = 100),
    timeout_ms = 1_000,
    bulkhead(max = 8, queue = 100, wait_ms = 1_000)
)]
pub async fn fetch(client: &Client, host: &str) -> Result<String, FetchError> {
    Ok(client.get(format!("http://{host}/")).send().await?.error_for_status()?.text().await?)
}
