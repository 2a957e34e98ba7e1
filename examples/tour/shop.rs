//! The calling code: what a service would have. Nothing in it retries, waits, counts or gives up by hand.

use std::error::Error;

use reqwest::{Client, StatusCode};
use resilience_runtime::{Classify, ErrorClass, ResilienceError, resilient};

/// A client of the shop's server.
#[derive(Clone)]
pub(crate) struct Shop {
    client: Client,
    url: String,
}

impl Shop {
    #[resilient(circuit = "articles", retry(max = 3, delay_ms = 10), timeout_ms = 1_000)]
    pub(crate) async fn article(&self, id: u32) -> Result<String, ShopError> {
        self.get("article", id).await
    }

    #[resilient(circuit(name = "prices", window = 20, open_ms = 500), timeout_ms = 300)]
    pub(crate) async fn price(&self, id: u32) -> Result<String, ShopError> {
        self.get("price", id).await
    }

    #[resilient(
        circuit(name = "stock", failure_threshold = 3, open_ms = 500, probes = 1),
        timeout_ms = 1_000,
        fallback = |_| Ok(format!("article {id}: ask in the shop"))
    )]
    pub(crate) async fn stock(&self, id: u32) -> Result<String, ShopError> {
        self.get("stock", id).await
    }

    #[resilient(
        circuit(name = "reviews", min_calls = 8, slow_call_ms = 100),
        bulkhead(max = 4, queue = 4, wait_ms = 1_000)
    )]
    pub(crate) async fn review(&self, id: u32) -> Result<String, ShopError> {
        self.get("review", id).await
    }

    #[resilient(retry = 2, rate_limit(max = 20, burst = 4, wait_ms = 1_000), total_timeout = "5s")]
    pub(crate) async fn order(&self, id: u32) -> Result<String, ShopError> {
        self.get("order", id).await
    }
}

/// What goes wrong in a shop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShopError {
    #[error("{}", root(.0))]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    #[error("the shop answers {status}")]
    Status { status: StatusCode, class: ErrorClass },
}

/// What is at the bottom of it: reqwest's own words leave that out.
fn root(error: &dyn Error) -> &dyn Error {
    error.source().map_or(error, root)
}

impl Classify for ShopError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Http(error) => error.classify(),
            Self::Refused(refusal) => refusal.classify(),
            Self::Status { class, .. } => *class,
        }
    }
}

impl Shop {
    /// Where the registry files these functions.
    pub(crate) const MODULE: &str = module_path!();

    /// Every request opens a connection, so that a closed port is noticed by the next one.
    pub(crate) fn new(address: std::net::SocketAddr) -> Result<Self, ShopError> {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { client, url: format!("http://{address}") })
    }

    async fn get(&self, what: &str, id: u32) -> Result<String, ShopError> {
        let response = self.client.get(format!("{}/{what}/{id}", self.url)).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.text().await?);
        }
        Err(ShopError::Status { status, class: ErrorClass::of_response(status, response.headers()) })
    }
}
