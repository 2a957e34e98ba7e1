//! Settings, as an attribute declares them and as builders check them.
//!
//! Every setting is checked in one place, `problem`, whoever gives it: the attribute's static initialiser turns a
//! problem into a compile error, a builder into [`InvalidSettings`](crate::InvalidSettings). All types can be built
//! in constants. An absent key stays absent until it is read, so that defaults which depend on other keys need no
//! order of calls.

mod bulkhead;
mod circuit;
mod declaration;
mod limiter;
mod retry;
mod worker;

pub use self::{
    bulkhead::BulkheadSettings,
    circuit::{CircuitRules, CircuitSettings},
    declaration::{Declaration, Declared, Location, NameSpec},
    limiter::LimiterSettings,
    retry::{BackoffKind, Jitter, RetrySettings},
    worker::WorkerSettings,
};
pub(crate) use self::{circuit::WindowShape, declaration::timeout_problem, retry::BudgetRule};

/// The reasons settings are refused for; the key stands before them.
pub(crate) mod reason {
    pub(crate) const AT_LEAST_ONE: &str = "must be at least 1";
    pub(crate) const LONGER_THAN_ZERO: &str = "must be longer than zero";
    pub(crate) const RATE: &str = "must be above 0 and at most 1";
}

pub(crate) const fn is_rate(value: f64) -> bool {
    value > 0.0 && value <= 1.0
}

pub(crate) const fn is_factor(value: f64) -> bool {
    value >= 1.0 && value < f64::INFINITY
}

/// Fails the build of a constant whose settings no primitive could honour.
macro_rules! checked {
    () => {
        /// These settings, or a panic that says what is wrong with them: for constants.
        ///
        /// # Panics
        ///
        /// If a value is out of its range or contradicts another.
        #[track_caller]
        pub const fn checked(self) -> Self {
            if let Some(problem) = self.problem() {
                problem.fail();
            }
            self
        }
    };
}
use checked;
