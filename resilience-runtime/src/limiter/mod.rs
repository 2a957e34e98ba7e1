//! Rate limiting: so many calls in a period, and no more.

mod builder;
mod future;
mod gcra;
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
