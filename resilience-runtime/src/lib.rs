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
// floor 2
pub mod bulkhead;
mod limiter;
mod pool;
mod retry;
mod worker;

#[cfg(feature = "bb8")]
pub use crate::pool::Bb8Manager;
#[cfg(feature = "deadpool")]
pub use crate::pool::{DeadpoolConnection, DeadpoolManager};
pub use crate::{
    backoff::{Backoff, Delays},
    bulkhead::{Bulkhead, BulkheadBuilder, BulkheadPermit, BulkheadSnapshot, OwnedBulkheadPermit},
    class::{Classified, Classify, ErrorClass},
    clock::Instant,
    error::{AlreadyRegistered, CallError, ErrorKind, InvalidSettings, ResilienceError},
    events::{CircuitState, Event, EventReceiver, Subscription, Transition, TransitionReason, TripReason},
    gate::{Gate, GateOutcome},
    limiter::{LimiterAcquire, LimiterRun, LimiterSnapshot, Quota, RateLimiter, RateLimiterBuilder},
    name::Name,
    pool::{
        AnyPool, CloseReason, ClosedConnections, ConnectionInfo, ConnectionPool, ConnectionPoolBuilder,
        HealthCheck, Manager, PoolError, PoolSnapshot, Pooled,
    },
    retry::{BudgetSnapshot, RetryBudget},
    settings::{
        BackoffKind, BulkheadSettings, CircuitSettings, Jitter, LimiterSettings, Location, RetrySettings,
    },
    stats::Latency,
    worker::{JobPanic, WorkerError, WorkerPool, WorkerPoolBuilder, WorkerRun, WorkerSnapshot},
};
