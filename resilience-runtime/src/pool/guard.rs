//! Owners of what must not leak: a call, the right to create, a connection on its way to a caller.
//!
//! Each gives back what it holds when it is dropped, which is what happens when a caller gives up at an await or a
//! callback panics. The two are told apart by whether user code was running at that moment, not by asking the
//! thread: a neighbour's panic would fool that.

use std::{fmt, mem, sync::Arc};

use super::{
    Manager, Pooled,
    entry::{CloseReason, Entry},
    shared::{Shared, count},
    state::Taken,
};
use crate::{
    clock::{self, Instant},
    gate::{Gate, GateOutcome},
    sync::atomic::{AtomicBool, Ordering},
};

/// Knows whether user code is running.
pub(super) struct Progress<'s, M: Manager> {
    pub(super) shared: &'s Arc<Shared<M>>,
    in_user_code: AtomicBool,
}

impl<'s, M: Manager> Progress<'s, M> {
    pub(super) fn new(shared: &'s Arc<Shared<M>>) -> Self {
        Self { shared, in_user_code: AtomicBool::new(false) }
    }

    /// Runs user code.
    #[inline]
    pub(super) fn user<R>(&self, f: impl FnOnce() -> R) -> R {
        self.in_user_code.store(true, Ordering::Relaxed);
        let result = f();
        self.in_user_code.store(false, Ordering::Relaxed);
        result
    }

    /// User code was left by unwinding.
    pub(super) fn panicked(&self) -> bool {
        self.in_user_code.load(Ordering::Relaxed)
    }
}

/// One caller on its way to a connection.
pub(super) struct Call<'c, M: Manager> {
    progress: &'c Progress<'c, M>,
}

impl<'c, M: Manager> Call<'c, M> {
    pub(super) const fn new(progress: &'c Progress<'c, M>) -> Self {
        Self { progress }
    }

    /// The caller has its answer.
    #[inline]
    pub(super) fn end(self, which: usize) {
        self.progress.shared.calls.count(which);
        mem::forget(self);
    }
}

impl<M: Manager> Drop for Call<'_, M> {
    fn drop(&mut self) {
        let which = if self.progress.panicked() { count::FAILED } else { count::CANCELLED };
        self.progress.shared.calls.count(which);
    }
}

/// A slot and the right to create a connection for it.
pub(super) struct Right<'c, M: Manager> {
    progress: &'c Progress<'c, M>,
}

impl<'c, M: Manager> Right<'c, M> {
    pub(super) const fn new(progress: &'c Progress<'c, M>) -> Self {
        Self { progress }
    }

    /// The connection is there. It is not used by anybody yet, and on its way to whom created it.
    pub(super) fn fulfil(self, connection: M::Connection, now: Instant) -> Unproven<'c, M> {
        let progress = self.progress;
        mem::forget(self);
        let entry = progress.shared.entry(connection, now);
        let unproven = Unproven::new(progress, entry);
        progress.shared.calls.count(count::CREATED);
        progress.shared.creation_over(true);
        unproven
    }

    /// Gives the right up for a connection that has come back meanwhile, or because the pool was closed.
    pub(super) fn exchange(self, now: Instant) -> Result<Taken<M::Connection>, Self> {
        match self.progress.shared.take_instead_of_creating(now) {
            Some(taken) => {
                mem::forget(self);
                Ok(taken)
            }
            None => Err(self),
        }
    }
}

impl<M: Manager> Drop for Right<'_, M> {
    fn drop(&mut self) {
        self.progress.shared.creation_over(false);
    }
}

/// A creation that the circuit has admitted and is told the end of.
pub(super) struct Admitted<'c, M: Manager> {
    progress: &'c Progress<'c, M>,
    circuit: Option<(&'c dyn Gate, u64)>,
    since: Instant,
}

impl<'c, M: Manager> Admitted<'c, M> {
    pub(super) const fn new(
        progress: &'c Progress<'c, M>,
        circuit: Option<(&'c dyn Gate, u64)>,
        since: Instant,
    ) -> Self {
        Self { progress, circuit, since }
    }

    pub(super) fn end(mut self, outcome: GateOutcome, now: Instant, cause: Option<&dyn fmt::Display>) {
        // The circuit may be anybody's, and asks an error of the manager's for its text.
        self.progress.user(|| self.settle(outcome, now, cause));
        mem::forget(self);
    }

    fn settle(&mut self, outcome: GateOutcome, now: Instant, cause: Option<&dyn fmt::Display>) {
        // Taken first: a circuit that panics is not asked again, but the creation is counted.
        if let Some((circuit, token)) = self.circuit.take() {
            circuit.settle(token, outcome, now.saturating_since(self.since), now, cause);
        }
        match outcome {
            GateOutcome::Success => {}
            GateOutcome::Cancelled => self.progress.shared.calls.count(count::CREATIONS_CANCELLED),
            _ => self.progress.shared.calls.count(count::CREATIONS_FAILED),
        }
    }
}

impl<M: Manager> Drop for Admitted<'_, M> {
    fn drop(&mut self) {
        let outcome = if self.progress.panicked() { GateOutcome::Panicked } else { GateOutcome::Cancelled };
        self.settle(outcome, clock::now(), None);
    }
}

/// A connection and its slot, on the way to a caller.
pub(super) struct Unproven<'c, M: Manager> {
    progress: &'c Progress<'c, M>,
    entry: Option<Box<Entry<M::Connection>>>,
}

impl<'c, M: Manager> Unproven<'c, M> {
    #[inline]
    pub(super) const fn new(progress: &'c Progress<'c, M>, entry: Box<Entry<M::Connection>>) -> Self {
        Self { progress, entry: Some(entry) }
    }

    /// The connection; there is one until the value is consumed.
    #[inline]
    pub(super) fn entry(&mut self) -> &mut Entry<M::Connection> {
        self.entry.as_mut().expect("taken by methods that consume the value only")
    }

    /// The caller gets it.
    #[inline]
    pub(super) fn hand_out(mut self, now: Instant) -> Pooled<M> {
        let shared = Arc::clone(self.progress.shared);
        let mut entry = self.entry.take();
        if let Some(entry) = &mut entry {
            entry.since = now;
            entry.uses += 1;
        }
        Pooled::new(entry, shared)
    }

    /// It goes to whom waits, or lies idle.
    pub(super) fn put(mut self, now: Instant) {
        if let Some(entry) = self.entry.take() {
            self.progress.shared.put(entry, now);
        }
    }

    /// It is of no use, and its caller looks for another.
    #[cold]
    pub(super) fn exchange(mut self, reason: CloseReason, now: Instant) -> Taken<M::Connection> {
        let shared = self.progress.shared;
        if let Some(entry) = self.entry.take() {
            shared.close(entry, reason);
        }
        shared.exchange(now)
    }

    #[cold]
    pub(super) fn discard(mut self, reason: CloseReason) {
        if let Some(entry) = self.entry.take() {
            self.progress.shared.discard(entry, reason);
        }
    }
}

impl<M: Manager> Drop for Unproven<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let reason =
                if self.progress.panicked() { CloseReason::Panicked } else { CloseReason::Cancelled };
            self.progress.shared.discard(entry, reason);
        }
    }
}
