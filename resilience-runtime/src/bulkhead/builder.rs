//! Building a bulkhead.

use std::time::Duration;

use super::Bulkhead;
use crate::{error::InvalidSettings, name::Name, settings::BulkheadSettings};

/// Builds a [`Bulkhead`].
///
/// # Default
///
/// `queue` 0 and `wait` zero: a call that finds no permit is refused at once. Only both together make it wait.
/// `max` has no default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{Bulkhead, BulkheadSettings};
///
/// let bulkhead = Bulkhead::builder("db").max(10).queue(100).wait(Duration::from_millis(50)).build()?;
/// assert_eq!(bulkhead.max(), 10);
///
/// const SETTINGS: BulkheadSettings = BulkheadSettings::new(10).queue(100).wait_ms(50).checked();
/// let same = Bulkhead::builder("db").settings(SETTINGS).build()?;
/// assert_eq!(same.snapshot(), bulkhead.snapshot());
/// # Ok::<_, resilience_runtime::InvalidSettings>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing itself, use `.build()` to build it"]
pub struct BulkheadBuilder {
    name: Name,
    settings: BulkheadSettings,
}

impl BulkheadBuilder {
    pub(super) const fn new(name: Name) -> Self {
        Self { name, settings: BulkheadSettings::new(0) }
    }

    /// At most this many calls at once.
    pub const fn max(mut self, max: usize) -> Self {
        self.settings.max = max;
        self
    }

    /// At most this many calls wait for a permit. Default 0.
    pub const fn queue(mut self, queue: usize) -> Self {
        self.settings.queue = queue;
        self
    }

    /// They wait at most this long. Default zero; [`Duration::MAX`] is for ever.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// All settings at once.
    pub const fn settings(mut self, settings: BulkheadSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The bulkhead.
    ///
    /// # Errors
    ///
    /// If `max` is 0 or absent, or a number is above [`BulkheadSettings::MOST`].
    pub fn build(self) -> Result<Bulkhead, InvalidSettings> {
        match self.settings.problem() {
            Some(problem) => Err(problem),
            None => Ok(Bulkhead::declared(self.name, self.settings, false)),
        }
    }
}
