//! Rate limiting: so many calls in a period, and no more.

mod builder;
mod future;
mod gcra;
#[cfg(all(test, resilience_loom))]
mod loom;
#[cfg(test)]
mod proptests;
mod quota;
mod rate_limiter;
mod snapshot;
mod state;

pub(crate) use self::state::Reservation;
pub use self::{
    builder::RateLimiterBuilder,
    future::{LimiterAcquire, LimiterRun},
    quota::Quota,
    rate_limiter::RateLimiter,
    snapshot::LimiterSnapshot,
};
