//! How much a policy adds to the future of a body.

use std::{convert::Infallible, future::Future};

use resilience_runtime::{Manager, resilient};

use crate::support::Error;

async fn small(id: u64) -> Result<u64, Error> {
    tokio::task::yield_now().await;
    Ok(id)
}

async fn large(id: u64) -> Result<u64, Error> {
    let buffer = [id; 512];
    tokio::task::yield_now().await;
    Ok(buffer[id as usize])
}

async fn plain_around_small(id: u64) -> Result<u64, Error> {
    small(id).await
}

async fn plain_around_large(id: u64) -> Result<u64, Error> {
    large(id).await
}

macro_rules! sizes {
    ($($name:ident: $ceiling:literal, #[$policy:meta])*) => {
        $(
            mod $name {
                use super::*;

                #[$policy]
                async fn around_small(id: u64) -> Result<u64, Error> {
                    small(id).await
                }

                #[$policy]
                async fn around_large(id: u64) -> Result<u64, Error> {
                    large(id).await
                }

                #[test]
                fn stays_below_its_ceiling() {
                    for (plain, annotated) in [
                        (size(plain_around_small(1)), size(around_small(1))),
                        (size(plain_around_large(1)), size(around_large(1))),
                    ] {
                        let added = annotated - plain;
                        assert!(added <= $ceiling, "{plain} + {added}, at most {}", $ceiling);
                    }
                }
            }
        )*
    };
}

fn size<F: Future>(future: F) -> usize {
    size_of_val(&future)
}

struct Sessions;

impl Manager for Sessions {
    type Connection = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(1)
    }
}

#[resilient(pool(name = "sizes", manager = Sessions), circuit = "sizes", retry = 1, timeout_ms = 500)]
async fn pooled_around_large(#[pooled] session: &mut u64, id: u64) -> Result<u64, Error> {
    large(*session + id).await
}

/// Checking a connection out takes room of its own, which the body uses again.
#[test]
fn a_connection_takes_little_beside_the_body() {
    let (plain, annotated) = (size(plain_around_large(1)), size(pooled_around_large(1)));
    assert!(annotated <= plain + 352, "{plain} + {}", annotated - plain);
}

sizes! {
    bare: 160, #[resilient]
    retry: 200, #[resilient(retry = 1)]
    circuit: 160, #[resilient(circuit = "sizes")]
    timeout: 224, #[resilient(timeout_ms = 500)]
    four_policies: 256, #[resilient(circuit = "sizes", retry = 1, timeout_ms = 500, bulkhead = 10)]
    fallback: 256, #[resilient(circuit = "sizes", retry = 1, timeout_ms = 500, bulkhead = 10, fallback = |_| Ok(1))]
}
