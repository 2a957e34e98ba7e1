//! How everything is, at one moment.

mod report;
mod table;

pub use self::report::{HealthReport, HealthStatus, Unhealthy};
