//! `workers` on functions that cannot run on a thread of their own.

use std::{rc::Rc, sync::Arc};

use resilience_runtime::{ResilienceError, resilient};

#[resilient(workers(name = "cpu", threads = 4, queue = 100))]
async fn already_async() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(workers(name = "cpu", threads = 0))]
fn no_threads() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(workers(name = "cpu", thread = 4))]
fn a_near_miss() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(workers = 4)]
fn no_name() -> Result<u8, ResilienceError> {
    Ok(1)
}

const NONE: usize = 0;

#[resilient(workers(name = "cpu", threads = NONE))]
fn a_constant() -> Result<u8, ResilienceError> {
    Ok(1)
}

#[resilient(workers = "cpu")]
fn borrows(text: &str) -> Result<usize, ResilienceError> {
    Ok(text.len())
}

#[resilient(workers = "cpu")]
fn not_send(shared: Rc<u8>) -> Result<u8, ResilienceError> {
    Ok(*shared)
}

#[resilient(workers = "cpu")]
fn answer_not_send() -> Result<Rc<u8>, ResilienceError> {
    Ok(Rc::new(1))
}

#[resilient(workers = "cpu")]
fn not_static<T: Send>(value: T) -> Result<usize, ResilienceError> {
    Ok(size_of_val(&value))
}

#[resilient(workers = "cpu", retry = 1)]
fn consumed(list: Vec<u8>) -> Result<usize, ResilienceError> {
    Ok(list.len())
}

#[resilient(workers = "cpu")]
fn no_place_for_a_refusal(data: Vec<u8>) -> u64 {
    data.len() as u64
}

#[resilient(workers = "cpu")]
fn another_type() -> Result<u8, ResilienceError> {
    "text"
}

struct Hasher;

impl Hasher {
    #[resilient(workers = "cpu")]
    fn by_reference(&self) -> Result<u8, ResilienceError> {
        Ok(1)
    }

    #[resilient(workers = "cpu", pool = "db")]
    fn pooled(self: Arc<Self>) -> Result<u8, ResilienceError> {
        Ok(1)
    }
}

#[resilient(workers = "cpu")]
impl Hasher {
    async fn of_a_block(&self) -> Result<u8, ResilienceError> {
        Ok(1)
    }
}

fn main() {}
