//! Names that calls make up: a circuit for each host, in bounded memory.

use resilience_runtime::{CircuitState, ResilienceError, registry, resilient};

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no route to host")]
    NoRoute,
    #[error(transparent)]
    Refused(#[from] ResilienceError),
}

/// Hosts fail one by one, so each has a circuit of its own; the bulkhead is shared by all.
#[resilient(circuit(name = "host-{host}", failure_threshold = 3), bulkhead(max = 50, name = "crawler"))]
async fn fetch(host: &str, path: &str) -> Result<String, FetchError> {
    if host == "c.example" { Err(FetchError::NoRoute) } else { Ok(format!("https://{host}{path}")) }
}

struct Client {
    tenant: &'static str,
}

impl Client {
    /// What is no argument is given a name beside the template.
    #[resilient(rate_limit(max = 2, name = "tenant-{tenant}", tenant = self.tenant))]
    async fn call(&self) -> Result<(), ResilienceError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for host in ["a.example", "b.example", "c.example"] {
        for _ in 0..4 {
            if let Err(error) = fetch(host, "/robots.txt").await {
                println!("{host}: {error}");
            }
        }
    }
    let state = |name| registry().circuit(name).map(|circuit| circuit.state());
    assert_eq!(state("host-a.example"), Some(CircuitState::Closed));
    assert_eq!(state("host-c.example"), Some(CircuitState::Open));

    for tenant in ["red", "red", "red", "blue"] {
        if let Err(error) = (Client { tenant }).call().await {
            println!("{error}");
        }
    }
    println!("\n{}", registry().health());

    let names = registry().dynamic_names();
    println!("{} names in use, room for {}", names.names, names.most);
    assert_eq!(names.names, 5);
    Ok(())
}
