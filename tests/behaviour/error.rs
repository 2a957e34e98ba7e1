//! The error type of the functions under test.

use resilience_runtime::{Classify, ErrorClass, ResilienceError};

/// What a scripted dependency answers with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    #[error("failed as {0:?}")]
    Failed(ErrorClass),
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

impl Classify for TestError {
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Failed(class) => *class,
            Self::Refused(refusal) => refusal.classify(),
        }
    }
}

impl TestError {
    /// The refusal, or a failed test.
    pub(crate) fn refusal(self) -> ResilienceError {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Failed(class) => panic!("expected a refusal, got a failure of class {class:?}"),
        }
    }
}
