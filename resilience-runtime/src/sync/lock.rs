//! A mutex without poisoning.

#[cfg(resilience_loom)]
use loom::sync as imp;
#[cfg(not(resilience_loom))]
#[allow(clippy::disallowed_types)]
use std::sync as imp;
use std::{fmt, sync::PoisonError};

/// A mutual exclusion lock that ignores poisoning.
#[allow(clippy::disallowed_types)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

#[allow(clippy::disallowed_types)]
impl<T> Mutex<T> {
    #[cfg(not(resilience_loom))]
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    #[cfg(resilience_loom)]
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> imp::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}
