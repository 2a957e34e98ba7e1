//! `pool` and `#[pooled]` that do not fit together, or do not say enough.

use resilience_runtime::{Manager, Pooled, ResilienceError, resilient};

struct Client;
struct Postgres;

impl Manager for Postgres {
    type Connection = Client;
    type Error = std::io::Error;

    async fn create(&self) -> Result<Client, std::io::Error> {
        Ok(Client)
    }
}

#[derive(Debug)]
struct Refused(ResilienceError);

impl From<ResilienceError> for Refused {
    fn from(refusal: ResilienceError) -> Self {
        Self(refusal)
    }
}

#[resilient(pool = "db")]
async fn no_argument(id: u64) -> Result<u64, Refused> {
    Ok(id)
}

#[resilient(timeout_ms = 500)]
async fn no_pool(#[pooled] client: &mut Client) -> Result<(), Refused> {
    drop(client);
    Ok(())
}

#[resilient(pool = "db")]
async fn two(#[pooled] one: &mut Pooled<Postgres>, #[pooled] other: &mut Pooled<Postgres>) -> Option<()> {
    Some(())
}

#[resilient(pool = "db-{shard}", manager = Postgres)]
async fn a_template(#[pooled] client: &mut Client, shard: u64) -> Option<()> {
    Some(())
}

#[resilient(pool = "db")]
async fn by_value(#[pooled] client: Pooled<Postgres>) -> Option<()> {
    Some(())
}

#[resilient(pool = "db")]
async fn an_unknown_manager(#[pooled] client: &mut Client) -> Option<()> {
    Some(())
}

#[resilient(pool(name = "db", manager = Postgres))]
async fn another_connection(#[pooled] client: &mut String) -> Option<()> {
    Some(())
}

#[resilient(pool(name = "db", manager = Client))]
async fn no_manager(#[pooled] client: &mut Client) -> Option<()> {
    Some(())
}

#[resilient(pool = "db")]
async fn no_place_for_its_error(#[pooled] client: &mut Pooled<Postgres>) -> Result<(), Refused> {
    Ok(())
}

#[resilient(pool = "db", fallback = |_| 7)]
async fn no_place_at_all(#[pooled] client: &mut Pooled<Postgres>) -> u32 {
    1
}

#[resilient(pool = "db", retry = 1)]
async fn kept(#[pooled] client: &mut Pooled<Postgres>, list: &mut Vec<&mut Client>) -> Option<()> {
    list.push(client);
    Some(())
}

#[resilient(pool = "db")]
impl Client {
    async fn nobody_asks(&self) -> Option<()> {
        Some(())
    }
}

fn unannotated(#[pooled] client: &mut Client) {}

fn main() {}
