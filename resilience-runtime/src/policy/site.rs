//! One annotated function.

use std::{fmt, sync::Arc};

use once_cell::race::OnceRef;

use crate::{
    call::Call,
    clock,
    registry::{self, Filled, Handles, HandlesRef, Registry, SiteEntry, registry},
    settings::Declaration,
};

/// What the attribute leaves in the binary for each annotated function: what it declares, and the way in once it was
/// called, which is [`Fixed`] unless calls fill names in.
///
/// Each of these is a static of the user's, and a compiler asks of every static whether it may be shared and what it is to
/// drop. The way in is kept in such a manner that both are answered without a look at what lies behind it.
pub struct Site<W: 'static = Fixed> {
    declaration: Declaration,
    way_in: OnceRef<'static, W>,
}

/// The way in of a function whose names are all fixed.
#[allow(missing_debug_implementations)]
pub struct Fixed(&'static dyn Found<Is = Handles>);

/// The way in of a function whose names calls fill in.
#[allow(missing_debug_implementations)]
pub struct Named(&'static dyn Found<Is = Arc<SiteEntry>>);

/// What a site found when it was first called, hidden.
trait Found: Send + Sync {
    type Is;

    fn found(&'static self) -> &'static Self::Is;
}

impl Found for Handles {
    type Is = Self;

    fn found(&'static self) -> &'static Self {
        self
    }
}

impl Found for Arc<SiteEntry> {
    type Is = Self;

    fn found(&'static self) -> &'static Self {
        self
    }
}

impl<W> Site<W> {
    /// A site that declares this.
    #[must_use]
    pub const fn new(declaration: Declaration) -> Self {
        Self { declaration: declaration.checked(), way_in: OnceRef::new() }
    }

    /// What the site declares.
    #[must_use]
    pub const fn declaration(&'static self) -> &'static Declaration {
        &self.declaration
    }
}

impl Site {
    /// Begins a call.
    pub fn begin(&'static self) -> Call<'static> {
        if let Some(registry) = registry::current() {
            return self.begin_in(&registry);
        }
        let Fixed(way_in) = self.way_in.get_or_init(
            #[cold]
            || kept(Fixed(&**kept(registry().handles(&self.declaration)))),
        );
        Call::begin_at(HandlesRef::Borrowed(way_in.found()), clock::now())
    }

    /// Begins a call within the scope of a registry of its own.
    #[cold]
    fn begin_in(&'static self, registry: &Registry) -> Call<'static> {
        Call::begin(registry.handles(&self.declaration).into())
    }
}

impl Site<Named> {
    /// Begins a call that fills in names, in the order circuit, bulkhead, limiter.
    pub fn begin(&'static self, filled: Filled<'_>) -> Call<'static> {
        if let Some(registry) = registry::current() {
            return self.begin_in(&registry, filled);
        }
        let Named(way_in) = self.way_in.get_or_init(
            #[cold]
            || kept(Named(kept(registry().entry(&self.declaration)))),
        );
        let now = clock::now();
        Call::begin_at(registry().dynamic(way_in.found(), filled, now).into(), now)
    }

    /// Begins a call within the scope of a registry of its own.
    #[cold]
    fn begin_in(&'static self, registry: &Registry, filled: Filled<'_>) -> Call<'static> {
        let now = clock::now();
        Call::begin_at(registry.dynamic(&registry.entry(&self.declaration), filled, now).into(), now)
    }
}

/// As long as the static that asks for it: for good.
fn kept<T>(found: T) -> &'static T {
    Box::leak(Box::new(found))
}

impl<W> fmt::Debug for Site<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("declaration", &self.declaration).finish_non_exhaustive()
    }
}
