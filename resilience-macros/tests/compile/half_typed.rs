//! A body that is being typed: its own errors, and none about the function around it.

use resilience_runtime::{ResilienceError, resilient};

struct Service {
    name: String,
}

impl Service {
    #[resilient(circuit = "a", retry = 1, timeout_ms = 5)]
    async fn typing(&self, text: &str) -> Result<usize, ResilienceError> {
        let length = text.
    }

    #[resilient(retry = )]
    async fn typing_the_attribute(&self) -> Result<usize, ResilienceError> {
        Ok(self.name.len())
    }
}

async fn user(service: Service) {
    let _ = service.typing_the_attribute().await;
}

fn main() {}
