//! Those who want to be told.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
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
}

struct List<F: ?Sized> {
    listeners: Mutex<Arc<[Arc<Listener<F>>]>>,
    /// Lets a circuit without listeners pass the lock by.
    len: AtomicUsize,
}

struct Listener<F: ?Sized> {
    /// Seen by a round of calls that began before: nothing is told to a listener once it is cancelled.
    cancelled: AtomicBool,
    call: F,
}

impl Listeners {
    pub(super) fn on_change(
        this: &Arc<Self>,
        call: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Subscription {
        let listener: Arc<Listener<OnChange>> = Arc::new(Listener::new(call));
        Self::add(this, |this| &this.on_change, listener)
    }

    pub(super) fn on_failure(
        this: &Arc<Self>,
        call: impl Fn(&FailureReport) + Send + Sync + 'static,
    ) -> Subscription {
        let listener: Arc<Listener<OnFailure>> = Arc::new(Listener::new(call));
        Self::add(this, |this| &this.on_failure, listener)
    }

    fn add<F: ?Sized + Send + Sync + 'static>(
        this: &Arc<Self>,
        list: fn(&Self) -> &List<F>,
        listener: Arc<Listener<F>>,
    ) -> Subscription {
        let (weak_this, weak) = (Arc::downgrade(this), Arc::downgrade(&listener));
        list(this).change(|listeners| listeners.push(listener));
        Subscription::new(move || {
            if let (Some(this), Some(listener)) = (weak_this.upgrade(), weak.upgrade()) {
                listener.cancelled.store(true, Ordering::Release);
                list(&this).change(|listeners| listeners.retain(|other| !Arc::ptr_eq(other, &listener)));
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

impl<F> Listener<F> {
    const fn new(call: F) -> Self {
        Self { cancelled: AtomicBool::new(false), call }
    }
}

impl<F: ?Sized> List<F> {
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Listener<F>>>)) {
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
        for listener in &*listeners {
            if !listener.cancelled.load(Ordering::Acquire) {
                let _ = catch_unwind(AssertUnwindSafe(|| call(&listener.call)));
            }
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
