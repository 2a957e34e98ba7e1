//! The attribute in a crate of the 2021 edition.
#![cfg(test)]

use resilience_runtime::{resilient, ResilienceError};

struct Guarded {
    list: tokio::sync::Mutex<Vec<u8>>,
}

impl Guarded {
    #[resilient(circuit = "edition", retry = 1, timeout_ms = 500, bulkhead = 10)]
    async fn last(&self) -> Result<Option<u8>, ResilienceError> {
        Ok(self.list.lock().await.last().copied())
    }

    #[resilient(circuit = "edition-{gen}", fallback = |_| gen)]
    async fn a_keyword_of_the_next_edition(&self, gen: usize) -> usize {
        let list = &self.list;
        list.lock().await.len() + gen
    }
}

#[tokio::test]
async fn works_as_in_the_latest() {
    let guarded = Guarded { list: tokio::sync::Mutex::new(vec![1, 2]) };
    assert_eq!(guarded.last().await, Ok(Some(2)));
    assert_eq!(guarded.a_keyword_of_the_next_edition(1).await, 3);
}
