//! What most programs that use this library name: `use resilience_runtime::prelude::*;`.

pub use crate::{
    backoff::Backoff,
    bulkhead::Bulkhead,
    circuit::CircuitBreaker,
    class::{Classified, Classify, ErrorClass},
    error::{CallError, ErrorKind, ResilienceError},
    events::CircuitState,
    limiter::{Quota, RateLimiter},
    policy::Policy,
    pool::{ConnectionPool, Manager},
    registry::{Registry, registry},
    retry::Retry,
    settings::Jitter,
    timeout::Timeout,
    worker::WorkerPool,
};
pub use resilience_macros::resilient;
