//! The connection pool that a site takes its connections from.

use std::{
    any::{Any, type_name},
    fmt,
    sync::{Arc, OnceLock},
};

use super::named::Named;
use crate::{
    error::ResilienceError,
    name::Name,
    pool::{AnyPool, ConnectionPool, Manager},
};

/// A pool by name. An attribute cannot declare one, for a manager is a value: it is looked for until the program has
/// registered it, and kept from then on, since entries of a registry are never replaced.
pub(crate) struct PoolSlot {
    name: &'static str,
    pools: Arc<Named<dyn AnyPool>>,
    found: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl PoolSlot {
    pub(super) const fn new(name: &'static str, pools: Arc<Named<dyn AnyPool>>) -> Self {
        Self { name, pools, found: OnceLock::new() }
    }

    /// The pool, if it is there and its connections are made by an `M`.
    #[inline]
    pub(crate) fn of<M: Manager>(&self) -> Result<Arc<ConnectionPool<M>>, ResilienceError> {
        let found = match self.found.get() {
            Some(pool) => Some(pool.clone()),
            None => self.find(),
        };
        found.and_then(|pool| pool.downcast().ok()).ok_or_else(|| self.missing(type_name::<M>()))
    }

    #[cold]
    fn find(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        let pool = self.pools.get(self.name)?.into_any();
        Some(self.found.get_or_init(|| pool).clone())
    }

    #[cold]
    const fn missing(&self, manager: &'static str) -> ResilienceError {
        ResilienceError::PoolMissing { pool: Name::from_static(self.name), manager }
    }
}

impl fmt::Debug for PoolSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolSlot")
            .field("name", &self.name)
            .field("found", &self.found.get().is_some())
            .finish_non_exhaustive()
    }
}
