//! Settings of a bulkhead.

use std::time::Duration;

use super::{checked, reason};
use crate::error::InvalidSettings;

/// Settings of a bulkhead, buildable in constants. The setters are named as the attribute's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "settings do nothing until they are given to a builder"]
pub struct BulkheadSettings {
    pub(crate) max: usize,
    pub(crate) queue: usize,
    pub(crate) wait: Duration,
}

impl BulkheadSettings {
    /// The most calls at once, and the longest queue.
    pub const MOST: usize = u32::MAX as usize >> 1;

    /// At most `max` calls at once, no queue.
    pub const fn new(max: usize) -> Self {
        Self { max, queue: 0, wait: Duration::ZERO }
    }

    /// At most this many calls wait for a place. Default 0.
    pub const fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// They wait at most this many milliseconds. Default 0.
    pub const fn wait_ms(mut self, millis: u64) -> Self {
        self.wait = Duration::from_millis(millis);
        self
    }

    checked!();

    /// The first thing wrong with these settings.
    pub(crate) const fn problem(&self) -> Option<InvalidSettings> {
        if self.max == 0 {
            return Some(InvalidSettings::new("max", reason::AT_LEAST_ONE));
        }
        if self.max > Self::MOST {
            return Some(InvalidSettings::new("max", "must be at most 2,147,483,647"));
        }
        if self.queue > Self::MOST {
            return Some(InvalidSettings::new("queue", "must be at most 2,147,483,647"));
        }
        None
    }
}
