//! Managers written for other pools.
//!
//! Most databases and caches have a manager for `bb8` or `deadpool` already; wrapped, it serves here.

#[cfg(feature = "bb8")]
mod bb8;
#[cfg(feature = "deadpool")]
mod deadpool;

#[cfg(feature = "bb8")]
pub use self::bb8::Bb8Manager;
#[cfg(feature = "deadpool")]
pub use self::deadpool::{DeadpoolConnection, DeadpoolManager};
