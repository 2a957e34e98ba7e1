//! Retries: another attempt after a failure that may pass, bounded in number, in time and by a budget.

mod budget;
mod decide;

pub use self::budget::{BudgetSnapshot, RetryBudget};
pub(crate) use self::decide::{Failure, Stop, decide};
