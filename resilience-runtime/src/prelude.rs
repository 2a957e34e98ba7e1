//! What most programs that use this library name: `use resilience_runtime::prelude::*;`.

pub use crate::{
    Backoff, Bulkhead, CallError, CircuitBreaker, CircuitState, Classified, Classify, ConnectionPool,
    ErrorClass, ErrorKind, Jitter, Manager, Policy, Quota, RateLimiter, Registry, ResilienceError, Retry,
    Timeout, WorkerPool, registry, resilient,
};
