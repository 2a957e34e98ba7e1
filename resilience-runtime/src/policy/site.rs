//! One annotated function.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{
    call::Call,
    clock,
    registry::{self, Filled, Handles, HandlesRef, Registry, SiteEntry, registry},
    settings::Declaration,
};

/// What the attribute leaves in the binary for each annotated function: what it declares, and its handles once it
/// was called.
pub struct Site {
    declaration: Declaration,
    fixed: OnceLock<Arc<Handles>>,
    entry: OnceLock<Arc<SiteEntry>>,
}

impl Site {
    /// A site that declares this.
    #[must_use]
    pub const fn new(declaration: Declaration) -> Self {
        Self { declaration: declaration.checked(), fixed: OnceLock::new(), entry: OnceLock::new() }
    }

    /// What the site declares.
    #[must_use]
    pub const fn declaration(&'static self) -> &'static Declaration {
        &self.declaration
    }

    /// Begins a call of a function whose names are all fixed.
    pub fn begin(&'static self) -> Call<'static> {
        if let Some(registry) = registry::current() {
            return self.begin_in(&registry);
        }
        let handles = self.fixed.get_or_init(
            #[cold]
            || registry().handles(&self.declaration),
        );
        Call::begin_at(HandlesRef::Borrowed(handles), clock::now())
    }

    /// Begins a call within the scope of a registry of its own.
    #[cold]
    fn begin_in(&'static self, registry: &Registry) -> Call<'static> {
        Call::begin(registry.handles(&self.declaration).into())
    }

    /// Begins a call that fills in names, in the order circuit, bulkhead, limiter.
    pub fn begin_named(&'static self, filled: Filled<'_>) -> Call<'static> {
        let now = clock::now();
        let handles = match registry::current() {
            Some(registry) => registry.dynamic(&registry.entry(&self.declaration), filled, now),
            None => {
                let registry = registry();
                let entry = self.entry.get_or_init(
                    #[cold]
                    || registry.entry(&self.declaration),
                );
                registry.dynamic(entry, filled, now)
            }
        };
        Call::begin_at(handles.into(), now)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("declaration", &self.declaration).finish_non_exhaustive()
    }
}
