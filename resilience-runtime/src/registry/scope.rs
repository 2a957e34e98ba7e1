//! Which registry the code running at this moment uses.
//!
//! Tokio's task-local storage would need its `rt` feature, which this library does not ask of its users, so a scope
//! is a future that puts its registry into a thread-local around each poll. A process that never opens a scope pays
//! one relaxed load a call.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::Registry;

/// Scopes that exist in the process.
static SCOPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static CURRENT: RefCell<Option<Registry>> = const { RefCell::new(None) };
}

/// The registry of the innermost scope that is being polled on this thread.
#[inline]
pub(crate) fn current() -> Option<Registry> {
    if SCOPES.load(Ordering::Relaxed) == 0 { None } else { find() }
}

#[cold]
fn find() -> Option<Registry> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

pin_project! {
    /// A future inside which annotated functions use another registry. Made by [`Registry::scope`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Scope<F> {
        registry: Registry,
        counted: Counted,
        #[pin]
        future: F,
    }
}

impl<F> Scope<F> {
    pub(super) fn new(registry: Registry, future: F) -> Self {
        Self { registry, counted: Counted::new(), future }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = Entered::new(this.registry.clone());
        this.future.poll(cx)
    }
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Restores the outer registry, also when the poll panics.
struct Entered(Option<Registry>);

impl Entered {
    fn new(registry: Registry) -> Self {
        Self(CURRENT.with(|current| current.replace(Some(registry))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let inner = CURRENT.with(|current| current.replace(self.0.take()));
        drop(inner);
    }
}

/// Counts a scope for as long as it exists.
struct Counted;

impl Counted {
    fn new() -> Self {
        SCOPES.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        SCOPES.fetch_sub(1, Ordering::Relaxed);
    }
}
