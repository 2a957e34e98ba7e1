//! How a job can fail its caller.

use std::{any::Any, error::Error, fmt};

use thiserror::Error as ThisError;

use crate::{error::ResilienceError, name::Name, sync::Mutex};

/// Why a job gave no result.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum WorkerError {
    /// The job panicked. Its thread lives on.
    #[error(transparent)]
    Panicked(#[from] JobPanic),
    /// The job never started: the pool was busy or shut down.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// A panic of a job, brought to its caller.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{WorkerError, WorkerPool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = WorkerPool::builder("cpu").threads(1).build()?;
/// match pool.run(|| -> u32 { panic!("no such luck") }).await {
///     Err(WorkerError::Panicked(panic)) => {
///         assert_eq!(panic.message(), Some("no such luck"));
///         assert_eq!(panic.to_string(), "a job of worker pool `cpu` panicked: no such luck");
///     }
///     other => panic!("{other:?}"),
/// }
/// assert_eq!(pool.run(|| 6 * 7).await?, 42, "the thread lives on");
/// # Ok(())
/// # }
/// ```
pub struct JobPanic {
    workers: Name,
    message: Option<Box<str>>,
    /// Behind a lock, because a payload need not be `Sync` and an error must be.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl JobPanic {
    pub(super) fn new(workers: Name, payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast_ref::<&'static str>() {
            Some(text) => Some(Box::from(*text)),
            None => payload.downcast_ref::<String>().map(|text| text.as_str().into()),
        };
        Self { workers, message, payload: Mutex::new(payload) }
    }

    /// What the job said, if it panicked with a text.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The panic's payload, for [`std::panic::resume_unwind`].
    #[must_use]
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner()
    }
}

impl fmt::Debug for JobPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobPanic")
            .field("workers", &self.workers)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for JobPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a job of worker pool `{}` panicked", self.workers)?;
        self.message.as_deref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl Error for JobPanic {}
