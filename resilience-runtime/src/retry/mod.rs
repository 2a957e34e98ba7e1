//! Retries: another attempt after a failure that may pass, bounded in number, in time and by a budget.

mod attempts;
mod budget;
mod builder;
mod decide;
mod future;
#[cfg(all(test, resilience_loom))]
mod loom;
mod policy;

pub(crate) use self::decide::{Failure, Stop, decide};
pub use self::{
    attempts::{Attempt, Attempts, NextAttempt},
    budget::{BudgetSnapshot, RetryBudget},
    builder::RetryBuilder,
    future::RetryRun,
    policy::Retry,
};
