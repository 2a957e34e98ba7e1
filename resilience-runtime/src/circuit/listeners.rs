//! Those who want to be told.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Outcome;
use crate::{
    events::{Subscription, Transition},
    name::Name,
    sync::Mutex,
};

/// A failure that a circuit counted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FailureReport {
    /// Which circuit.
    pub circuit: Name,
    /// How long the call took, where that is known.
    pub took: Option<Duration>,
    /// The call ran out of time.
    pub timed_out: bool,
    /// The call panicked.
    pub panicked: bool,
}

impl FailureReport {
    pub(super) fn new(circuit: Name, outcome: Outcome, took: Option<Duration>) -> Self {
        Self {
            circuit,
            took,
            timed_out: outcome == Outcome::TimedOut,
            panicked: outcome == Outcome::Panicked,
        }
    }
}

type OnChange = dyn Fn(&Transition) + Send + Sync;
type OnFailure = dyn Fn(&FailureReport) + Send + Sync;

/// The listeners of one circuit. They are called from a copy of the list, so no lock is held while they run.
#[derive(Default)]
pub(super) struct Listeners {
    on_change: List<OnChange>,
    on_failure: List<OnFailure>,
    next: AtomicU64,
}

struct List<F: ?Sized> {
    listeners: Mutex<Arc<[(u64, Arc<F>)]>>,
    /// Lets a circuit without listeners pass the lock by.
    len: AtomicUsize,
}

impl Listeners {
    pub(super) fn on_change(this: &Arc<Self>, listener: Arc<OnChange>) -> Subscription {
        Self::add(this, |this| &this.on_change, listener)
    }

    pub(super) fn on_failure(this: &Arc<Self>, listener: Arc<OnFailure>) -> Subscription {
        Self::add(this, |this| &this.on_failure, listener)
    }

    fn add<F: ?Sized + Send + Sync + 'static>(
        this: &Arc<Self>,
        list: fn(&Self) -> &List<F>,
        listener: Arc<F>,
    ) -> Subscription {
        let id = this.next.fetch_add(1, Ordering::Relaxed);
        list(this).change(|listeners| listeners.push((id, listener)));
        let this: Weak<Self> = Arc::downgrade(this);
        Subscription::new(move || {
            if let Some(this) = this.upgrade() {
                list(&this).change(|listeners| listeners.retain(|(other, _)| *other != id));
            }
        })
    }

    pub(super) fn changed(&self, transition: &Transition) {
        self.on_change.each(|listener| listener(transition));
    }

    pub(super) fn failed(&self, report: impl FnOnce() -> FailureReport) {
        if self.on_failure.len.load(Ordering::Acquire) > 0 {
            let report = report();
            self.on_failure.each(|listener| listener(&report));
        }
    }
}

impl<F: ?Sized> List<F> {
    fn change(&self, change: impl FnOnce(&mut Vec<(u64, Arc<F>)>)) {
        let mut listeners = self.listeners.lock();
        let mut changed = listeners.to_vec();
        change(&mut changed);
        self.len.store(changed.len(), Ordering::Release);
        let before = std::mem::replace(&mut *listeners, changed.into());
        // A removed listener may own anything; its drop must not run under the lock.
        drop(listeners);
        drop(before);
    }

    /// Calls all of them, in the order they were added. One that panics must not fail the call that happened to
    /// bring the news, nor keep the news from the others.
    fn each(&self, call: impl Fn(&F)) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let listeners = self.listeners.lock().clone();
        for (_, listener) in &*listeners {
            let _ = catch_unwind(AssertUnwindSafe(|| call(listener)));
        }
    }
}

impl<F: ?Sized> Default for List<F> {
    fn default() -> Self {
        Self { listeners: Mutex::new(Arc::new([])), len: AtomicUsize::new(0) }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listeners")
    }
}
