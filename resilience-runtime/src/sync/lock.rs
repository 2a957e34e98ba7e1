//! A mutex and a condition variable without poisoning.

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

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

/// Lets threads wait for a change of what a [`Mutex`] guards.
#[derive(Default)]
pub(crate) struct Condvar(imp::Condvar);

impl Condvar {
    pub(crate) fn wait<'a, T>(&self, guard: imp::MutexGuard<'a, T>) -> imp::MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
