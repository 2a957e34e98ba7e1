//! What a rate limiter shows of itself.

use super::quota::Quota;
use crate::name::Name;

/// State and counters of a [`RateLimiter`](crate::RateLimiter) at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LimiterSnapshot {
    /// Which limiter.
    pub name: Name,
    /// The quota in force.
    pub quota: Quota,
    /// Calls that would be let through now.
    pub available: u32,
    /// Calls that wait for their turn.
    pub waiting: usize,
    /// Calls let through.
    pub accepted: u64,
    /// Calls refused.
    pub refused: u64,
    /// Calls given up while they waited for their turn.
    pub cancelled: u64,
}
