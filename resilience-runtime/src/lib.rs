//! Circuit breakers, retries, timeouts, bulkheads, rate limiters and pools behind one attribute and a live registry.
#![forbid(unsafe_code)]
// floor 0
mod clock;
mod name;
mod sync;
// floor 1
mod backoff;
mod class;
mod error;
mod events;
mod queue;
mod settings;
mod stats;
// floor 2
pub mod bulkhead;
mod limiter;
mod retry;
mod worker;

pub use crate::{
    backoff::{Backoff, Delays},
    bulkhead::{Bulkhead, BulkheadBuilder, BulkheadPermit, BulkheadSnapshot, OwnedBulkheadPermit},
    class::{Classified, Classify, ErrorClass},
    clock::Instant,
    error::{AlreadyRegistered, CallError, ErrorKind, InvalidSettings, ResilienceError},
    events::{CircuitState, Event, EventReceiver, Subscription, Transition, TransitionReason, TripReason},
    limiter::{LimiterAcquire, LimiterRun, LimiterSnapshot, Quota, RateLimiter, RateLimiterBuilder},
    name::Name,
    retry::{BudgetSnapshot, RetryBudget},
    settings::{
        BackoffKind, BulkheadSettings, CircuitSettings, Jitter, LimiterSettings, Location, RetrySettings,
    },
    stats::Latency,
    worker::{JobPanic, WorkerError, WorkerPool, WorkerPoolBuilder, WorkerRun, WorkerSnapshot},
};
