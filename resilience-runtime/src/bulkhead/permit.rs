//! Permits, which are returned when they are dropped.

use std::{fmt, sync::Arc};

use super::Bulkhead;
use crate::sync::stripe;

/// The right to run one call; dropping it gives it back.
#[must_use = "dropping a permit gives it back at once"]
pub struct BulkheadPermit<'a>(&'a Bulkhead);

impl<'a> BulkheadPermit<'a> {
    /// Of a permit that was taken.
    pub(super) const fn new(bulkhead: &'a Bulkhead) -> Self {
        Self(bulkhead)
    }
}

impl Drop for BulkheadPermit<'_> {
    fn drop(&mut self) {
        self.0.put_back(stripe::current());
    }
}

impl fmt::Debug for BulkheadPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BulkheadPermit").field(&self.0.name()).finish()
    }
}

/// A permit that keeps its bulkhead alive; dropping it gives it back.
#[must_use = "dropping a permit gives it back at once"]
pub struct OwnedBulkheadPermit(Arc<Bulkhead>);

impl OwnedBulkheadPermit {
    /// Of a permit that was taken.
    pub(super) const fn new(bulkhead: Arc<Bulkhead>) -> Self {
        Self(bulkhead)
    }
}

impl Drop for OwnedBulkheadPermit {
    fn drop(&mut self) {
        self.0.put_back(stripe::current());
    }
}

impl fmt::Debug for OwnedBulkheadPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedBulkheadPermit").field(&self.0.name()).finish()
    }
}
