//! The guarded store. This file is what you would copy.

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region, retry::RetryConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use resilience_runtime::{Classify, ErrorClass, ResilienceError, resilient};

/// A bucket.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    bucket: String,
}

/// Why the store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server did not answer, or not in full.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The server said no.
    #[error("{status} {code}")]
    Status {
        /// Of HTTP.
        status: u16,
        /// Of S3.
        code: String,
    },
    /// Nobody was asked.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

impl Classify for StoreError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::NoAnswer(_) | Self::Status { status: 429 | 500.., .. } => ErrorClass::Transient,
            // "No such key" proves that the server is well.
            Self::Status { .. } => ErrorClass::Permanent,
            Self::Refused(error) => error.classify(),
        }
    }
}

impl Store {
    /// The bucket `bucket` of the server at `endpoint`.
    #[must_use]
    pub fn new(endpoint: &str, bucket: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "example"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            // The SDK tries three times by itself. Under the three retries below that would make twelve requests
            // of one call, the inner ones unseen by the circuit and outside of the retry budget.
            .retry_config(RetryConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), bucket: bucket.to_owned() }
    }
}

#[resilient(
    circuit(name = "s3", failure_threshold = 5, open_ms = 500),
    retry(max = 3, delay_ms = 20, max_delay_ms = 200),
    timeout_ms = 2_000,
    bulkhead(max = 16, queue = 200, wait_ms = 1_000)
)]
impl Store {
    /// Makes the bucket.
    ///
    /// # Errors
    ///
    /// If the server says no or does not answer.
    pub async fn create(&self) -> Result<(), StoreError> {
        self.client.create_bucket().bucket(&self.bucket).send().await.map_err(failed)?;
        Ok(())
    }

    /// Stores an object. Doing it twice is the same as doing it once, so it may be retried.
    ///
    /// # Errors
    ///
    /// If the server says no or does not answer.
    pub async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let body = ByteStream::from(bytes.to_vec());
        self.client.put_object().bucket(&self.bucket).key(key).body(body).send().await.map_err(failed)?;
        Ok(())
    }

    /// Loads an object, to its last byte: an answer that breaks off in the middle is retried as well.
    ///
    /// # Errors
    ///
    /// If the server says no or does not answer.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await.map_err(failed)?;
        let body = answer.body.collect().await;
        body.map(|body| body.to_vec()).map_err(|error| StoreError::NoAnswer(error.to_string()))
    }
}

fn failed<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match &error {
        SdkError::ServiceError(answer) => StoreError::Status {
            status: answer.raw().status().as_u16(),
            code: answer.err().code().unwrap_or("without a code").to_owned(),
        },
        _ => StoreError::NoAnswer(DisplayErrorContext(&error).to_string()),
    }
}
