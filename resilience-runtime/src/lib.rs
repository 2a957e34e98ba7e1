//! Circuit breakers, retries, timeouts, bulkheads, rate limiters and pools behind one attribute and a live registry.
//!
//! ```
//! use resilience_runtime::{ResilienceError, registry, resilient};
//!
//! #[derive(Debug, thiserror::Error)]
//! enum ApiError {
//!     #[error("no such user")]
//!     NotFound,
//!     #[error(transparent)]
//!     Refused(#[from] ResilienceError),
//! }
//!
//! #[resilient(circuit = "users", retry = 3, timeout_ms = 500, bulkhead = 10)]
//! async fn fetch_user(id: u64) -> Result<String, ApiError> {
//!     if id == 0 { Err(ApiError::NotFound) } else { Ok(format!("user {id}")) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ApiError> {
//! assert_eq!(fetch_user(42).await?, "user 42");
//!
//! let circuit = registry().circuit("users").expect("known before the first call");
//! assert!(circuit.is_closed());
//! println!("{}", registry().health());
//! # Ok(())
//! # }
//! ```
//!
//! Every primitive is usable without the attribute and without the registry: [`CircuitBreaker`], [`Retry`], [`Timeout`],
//! [`Bulkhead`], [`RateLimiter`], [`ConnectionPool`], [`WorkerPool`]. [`Policy`] composes the attribute's chain by hand.
//!
//! # Options
//!
//! The ranges and the fine print are those of [`resilient`].
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `circuit = "api"` | none | join or create the named breaker |
//! | `circuit(failure_rate)` | 0.5 | trip at this share of failures |
//! | `circuit(window)`, `circuit(window_ms)` | 100 calls | over which calls, or which time |
//! | `circuit(min_calls)` | the smaller of 10 and `window` | no rate from fewer calls |
//! | `circuit(failure_threshold)`, `circuit(failure_reset_ms)` | none | trip after so many failures in a row; forget them after a pause |
//! | `circuit(slow_call_ms)`, `circuit(slow_call_rate)` | none, 1.0 | trip at this share of calls slower than that |
//! | `circuit(open_ms)`, `circuit(open_max_ms)` | 30,000, none | refuse for so long; double it up to this |
//! | `circuit(probes)`, `circuit(probe_successes)` | 2, all of them | calls let through in half-open; successes that close |
//! | `circuit(half_open_max_ms)` | the open time | without a verdict for so long, open again |
//! | `circuit(critical)` | `false` | unhealthy, not merely degraded, while open |
//! | `retry = 3` | none | further attempts after the first |
//! | `retry(backoff)`, `retry(factor)`, `retry(jitter)` | exponential, 2.0, full | how delays grow, and what is left to chance |
//! | `retry(delay_ms)`, `retry(max_delay_ms)` | 100, 10,000 | the first delay and the longest |
//! | `retry(budget)` | 0.2 | retries are at most this share of the calls |
//! | `retry(max_elapsed_ms)` | none | no retry is due later than this; a queue may make it later |
//! | `timeout_ms = 500` | none | limit of each attempt |
//! | `total_timeout_ms = 2_000` | none | limit of the whole call |
//! | `bulkhead = 10` | none | calls at once |
//! | `bulkhead(queue)`, `bulkhead(wait_ms)` | 0, 0 | how many calls wait, and how long |
//! | `rate_limit = 100` | none | calls a second |
//! | `rate_limit(per_ms)`, `rate_limit(burst)`, `rate_limit(wait_ms)` | 1,000, `max`, 0 | the period; calls at once; how long a call waits |
//! | `fallback` | none | answers in place of any final error |
//! | `classify`, `retry_if`, `failure_if` | by [`Classify`] | what an outcome means |
//! | `clone(..)` | none | arguments cloned for each attempt |
//!
//! # What counts
//!
//! | event | circuit | retried |
//! |---|---|---|
//! | `Ok`, unless `failure_if` says otherwise | success | no |
//! | [`ErrorClass::Transient`], which unknown errors are | failure | yes |
//! | [`ErrorClass::Permanent`] | success: the dependency answered | no |
//! | [`ErrorClass::Fatal`] | failure | no |
//! | [`ErrorClass::Ignored`] | nothing | no |
//! | [`ErrorClass::RetryAfter`] | failure | yes, not before that time |
//! | timeout of an attempt | failure | yes |
//! | refusal by circuit, bulkhead or limiter | nothing | no |
//! | the caller drops the future | nothing; a probe is given back | no |
//! | panic in the body | failure, and the panic goes on | no |
//! | refusal by another site inside | nothing; its timeout is transient | timeout only |
//!
//! # Costs
//!
//! | what | cost |
//! |---|---|
//! | a call that succeeds | two readings of the clock, counters on a cache line of the thread's own; no lock, no allocation |
//! | a body that has to wait | one timer beside that, armed at the first `Pending` |
//! | a refusal | no lock, no allocation, no timer |
//! | a retry | one timer for its backoff; no allocation |
//! | a dynamic name | formatting on the stack up to 96 bytes, one lookup; the first use allocates |
//! | a change of a circuit's state | a lock and an allocation, off the callers' path |
//! | health, snapshots | reading counters; holds up no call |
//!
//! Time is tokio's in debug builds and with feature `test-util`, so that paused time drives everything, and the
//! processor's cycle counter otherwise.
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
pub mod prelude;

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
        BackoffKind, BulkheadSettings, CircuitRules, CircuitSettings, Jitter, LimiterSettings, Location,
        RetrySettings, WorkerSettings,
    },
    stats::{Latency, TimeoutSnapshot},
};
#[doc(no_inline)]
pub use crate::{
    bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot},
    circuit::{CircuitBreaker, CircuitSnapshot, OwnedPermit, Permit, TripPolicy, WindowTotals},
    health::{HealthReport, HealthStatus, Unhealthy},
    limiter::{LimiterSnapshot, Quota, RateLimiter},
    policy::Policy,
    pool::{AnyPool, ConnectionPool, HealthCheck, Manager, PoolError, PoolSnapshot, Poolable, Pooled},
    registry::{DynamicNames, Registry, SiteSnapshot, registry},
    retry::{Attempt, Attempts, Retry, RetryBudget, RetryBuilder},
    timeout::Timeout,
    worker::{WorkerError, WorkerPool, WorkerSnapshot},
};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
