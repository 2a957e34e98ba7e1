//! Arguments that cannot be had again for the next attempt.

use resilience_runtime::{CallError, ResilienceError, resilient};

#[resilient(retry = 1)]
async fn mutated(mut list: Vec<u8>, (mut a, _b): (u8, u8)) -> Result<usize, ResilienceError> {
    list.push(a);
    a += 1;
    Ok(list.len() + usize::from(a))
}

#[resilient(retry = 1)]
async fn consumed(list: Vec<u8>) -> Result<usize, ResilienceError> {
    drop(list);
    Ok(1)
}

#[resilient(clone(lst))]
async fn not_an_argument(list: Vec<u8>) -> Result<usize, ResilienceError> {
    Ok(list.len())
}

#[resilient(retry = 1, clone(list))]
async fn by_mutable_reference(ref mut list: Vec<u8>) -> Result<usize, ResilienceError> {
    list.push(1);
    Ok(list.len())
}

#[resilient(retry = 1, clone(list, list))]
async fn cloned_twice(list: Vec<u8>) -> Result<usize, ResilienceError> {
    Ok(list.len())
}

struct Client;

impl Client {
    #[resilient(retry = 1)]
    async fn mutated(mut self) -> Result<Self, ResilienceError> {
        self = Self;
        Ok(self)
    }

    #[resilient(retry = 1, clone(self))]
    async fn cloned(self) -> Result<u8, ResilienceError> {
        Ok(1)
    }
}

struct NotClone;

#[resilient(retry = 1, clone(it))]
async fn not_clone(it: NotClone) -> Result<usize, ResilienceError> {
    drop(it);
    Ok(1)
}

#[resilient(circuit = "a", fallback = |_: CallError<ResilienceError>| Ok(list.len()))]
async fn fallback_after_consumption(list: Vec<u8>) -> Result<usize, ResilienceError> {
    drop(list);
    Ok(1)
}

fn main() {}
