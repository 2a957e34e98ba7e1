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
mod window;
// floor 2
pub mod bulkhead;
pub mod circuit;
pub mod limiter;
pub mod retry;
// floor 3
pub mod registry;
// floor 4
mod call;
pub mod policy;

pub use crate::{
    backoff::{Backoff, Delays},
    class::{Classified, Classify, ErrorClass},
    clock::Instant,
    error::{AlreadyRegistered, CallError, ErrorKind, InvalidSettings, ResilienceError},
    events::{CircuitState, Event, EventReceiver, Subscription, Transition, TransitionReason, TripReason},
    name::Name,
    settings::{
        BackoffKind, BulkheadSettings, CircuitSettings, Jitter, LimiterSettings, Location, RetrySettings,
    },
    stats::Latency,
};
#[doc(no_inline)]
pub use crate::{
    bulkhead::{Bulkhead, BulkheadPermit, BulkheadSnapshot},
    circuit::{CircuitBreaker, CircuitSnapshot, Permit, TripPolicy, WindowTotals},
    limiter::{LimiterSnapshot, Quota, RateLimiter},
    policy::Policy,
    registry::{Conflict, Registry, SiteSnapshot, registry},
    retry::RetryBudget,
};
