//! What an attribute declares.

use std::{fmt, time::Duration};

use super::{BulkheadSettings, CircuitSettings, LimiterSettings, RetrySettings, WorkerSettings, reason};
use crate::error::InvalidSettings;

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Location {
    /// The module's path; it begins with the crate's name.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// Its column.
    pub column: u32,
    /// The function's name, with the type's before it where the attribute knows it.
    pub function: &'static str,
}

impl Location {
    /// A place in the source.
    #[must_use]
    pub const fn new(
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
        column: u32,
    ) -> Self {
        Self { module, file, line, column, function }
    }

    /// The order in which declarations of one name are preferred: by crate, file, line.
    pub(crate) fn rank(&self) -> (&'static str, &'static str, u32, u32) {
        let krate = self.module.split("::").next().unwrap_or_default();
        (krate, self.file, self.line, self.column)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A name as an attribute gives it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameSpec {
    /// The name itself.
    Static(&'static str),
    /// A template whose arguments each call fills in.
    Template(&'static str),
}

/// What one attribute declares. Built by the attribute, in a constant.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    pub(crate) location: Location,
    pub(crate) circuit: Option<(NameSpec, Option<CircuitSettings>)>,
    pub(crate) retry: Option<RetrySettings>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) bulkhead: Option<(Option<NameSpec>, BulkheadSettings)>,
    pub(crate) limiter: Option<(Option<NameSpec>, LimiterSettings)>,
    pub(crate) pool: Option<&'static str>,
    pub(crate) workers: Option<(&'static str, Option<WorkerSettings>)>,
}

impl Declaration {
    /// A site that only measures.
    #[must_use]
    pub const fn new(location: Location) -> Self {
        Self {
            location,
            circuit: None,
            retry: None,
            timeout: None,
            total_timeout: None,
            bulkhead: None,
            limiter: None,
            pool: None,
            workers: None,
        }
    }

    /// Whether there is anything that can refuse a call, for which its function then has a place.
    pub(crate) const fn can_refuse(&self) -> bool {
        self.circuit.is_some()
            || self.bulkhead.is_some()
            || self.limiter.is_some()
            || self.pool.is_some()
            || self.workers.is_some()
            || self.timeout.is_some()
            || self.total_timeout.is_some()
    }

    /// Joins a circuit, or declares it if settings are given.
    #[must_use]
    pub const fn circuit(mut self, name: NameSpec, settings: Option<CircuitSettings>) -> Self {
        self.circuit = Some((
            name,
            match settings {
                Some(settings) => Some(settings.checked()),
                None => None,
            },
        ));
        self
    }

    /// Retries.
    #[must_use]
    pub const fn retry(mut self, settings: RetrySettings) -> Self {
        self.retry = Some(settings.checked());
        self
    }

    /// The limit of each attempt.
    #[must_use]
    pub const fn timeout_ms(mut self, millis: u64) -> Self {
        self.timeout = Some(Duration::from_millis(millis));
        self
    }

    /// The limit of the whole call.
    #[must_use]
    pub const fn total_timeout_ms(mut self, millis: u64) -> Self {
        self.total_timeout = Some(Duration::from_millis(millis));
        self
    }

    /// Bounds concurrency.
    #[must_use]
    pub const fn bulkhead(mut self, name: Option<NameSpec>, settings: BulkheadSettings) -> Self {
        self.bulkhead = Some((name, settings.checked()));
        self
    }

    /// Bounds the rate.
    #[must_use]
    pub const fn rate_limit(mut self, name: Option<NameSpec>, settings: LimiterSettings) -> Self {
        self.limiter = Some((name, settings.checked()));
        self
    }

    /// Takes a connection of the pool that is registered under this name.
    #[must_use]
    pub const fn pool(mut self, name: &'static str) -> Self {
        self.pool = Some(name);
        self
    }

    /// Runs on a worker pool: joins it, or declares it if settings are given.
    #[must_use]
    pub const fn workers(mut self, name: &'static str, settings: Option<WorkerSettings>) -> Self {
        self.workers = Some((
            name,
            match settings {
                Some(settings) => Some(settings.checked()),
                None => None,
            },
        ));
        self
    }

    /// This declaration, or a panic that says what is wrong with it.
    ///
    /// # Panics
    ///
    /// If one setting contradicts another.
    #[must_use]
    #[track_caller]
    pub const fn checked(self) -> Self {
        if let Some(problem) = self.problem() {
            problem.fail();
        }
        self
    }

    /// The first contradiction between the parts.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        timeout_problem(self.timeout, self.total_timeout)
    }
}

/// What is wrong with the limit of an attempt and that of the whole call.
pub(crate) const fn timeout_problem(
    attempt: Option<Duration>,
    total: Option<Duration>,
) -> Option<InvalidSettings> {
    if matches!(attempt, Some(limit) if limit.is_zero()) {
        return Some(InvalidSettings::new("timeout", reason::LONGER_THAN_ZERO));
    }
    if matches!(total, Some(limit) if limit.is_zero()) {
        return Some(InvalidSettings::new("total_timeout", reason::LONGER_THAN_ZERO));
    }
    if let (Some(attempt), Some(total)) = (attempt, total) {
        if total.as_nanos() < attempt.as_nanos() {
            return Some(InvalidSettings::new(
                "total_timeout",
                "must not be shorter than the timeout of one attempt",
            ));
        }
    }
    None
}

/// A declaration that the linker collects.
#[derive(Debug)]
pub struct Declared(pub &'static Declaration);

inventory::collect!(Declared);
