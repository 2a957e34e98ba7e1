//! Circuit breakers, retries, timeouts, bulkheads, rate limiters and pools behind one attribute and a live registry.
#![forbid(unsafe_code)]
// floor 0
mod clock;
mod name;
mod sync;
mod unwind;
// floor 1
mod backoff;
mod class;
mod error;
mod events;
mod gate;
mod queue;
mod settings;
mod stats;
mod window;
// floor 2
pub mod bulkhead;
pub mod circuit;
pub mod limiter;
pub mod pool;
pub mod retry;
pub mod timeout;
pub mod worker;
// floor 3
pub mod health;
pub mod registry;
// floor 4
mod call;
pub mod policy;
// floor 5
#[doc(hidden)]
#[path = "private/mod.rs"]
pub mod __private;

pub use resilience_macros::resilient;

pub use crate::{
    backoff::{Backoff, Delays},
    class::{Classified, Classify, ErrorClass},
    clock::Instant,
    error::{AlreadyRegistered, CallError, ErrorKind, InvalidSettings, ResilienceError},
    events::{
        CircuitState, Conflict, Event, EventReceiver, Subscription, Transition, TransitionReason, TripReason,
    },
    gate::{Gate, GateOutcome},
    name::Name,
    settings::{
        BackoffKind, BulkheadSettings, CircuitSettings, Jitter, LimiterSettings, Location, RetrySettings,
        WorkerSettings,
    },
    stats::{Latency, TimeoutSnapshot},
};
#[doc(no_inline)]
pub use crate::{
    bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot},
    circuit::{CircuitBreaker, CircuitSnapshot, Permit, TripPolicy, WindowTotals},
    health::{HealthReport, HealthStatus, Unhealthy},
    limiter::{LimiterSnapshot, Quota, RateLimiter},
    policy::Policy,
    pool::{AnyPool, ConnectionPool, HealthCheck, Manager, PoolError, PoolSnapshot, Poolable, Pooled},
    registry::{DynamicNames, Registry, SiteSnapshot, registry},
    retry::{Attempt, Attempts, Retry, RetryBudget, RetryBuilder},
    timeout::Timeout,
    worker::{WorkerError, WorkerPool, WorkerSnapshot},
};
