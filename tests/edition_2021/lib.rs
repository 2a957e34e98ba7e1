//! The attribute in a crate of the 2021 edition. `tests/attribute` calls what stands here.

use resilience_runtime::{resilient, ResilienceError};

/// A method whose body holds a lock's guard in its last expression.
#[derive(Debug, Default)]
pub struct Guarded {
    /// What the methods look at.
    pub list: tokio::sync::Mutex<Vec<u8>>,
}

impl Guarded {
    /// The last entry.
    #[resilient(circuit = "edition", retry = 1, timeout_ms = 500, bulkhead = 10)]
    pub async fn last(&self) -> Result<Option<u8>, ResilienceError> {
        Ok(self.list.lock().await.last().copied())
    }

    /// The length, and an argument whose name is a keyword of the next edition.
    #[resilient(circuit = "edition-{gen}", fallback = |_| gen)]
    pub async fn a_keyword_of_the_next_edition(&self, gen: usize) -> usize {
        let list = &self.list;
        list.lock().await.len() + gen
    }
}
