//! The permits of a bulkhead: who holds them, who waits for them.
//!
//! A semaphore that every call writes to is the bottleneck of everything behind it, so the free permits lie in
//! stripes by thread, and the way in and out touches nothing else that is written to. That works as long as nobody
//! needs more than what lies there.
//!
//! # Implementation details
//!
//! Whoever does need more makes a *demand*, under the lock: a waiter in the queue, a debt (permits to be taken
//! back after shrinking), a closed gate. A word that is otherwise only read, `attention`, tells everybody. The rest
//! is Dekker's pattern, twice, in the one total order of sequentially consistent accesses:
//!
//! * Who demands sets `attention`, then looks into all stripes. Who releases puts the permit into a stripe, then
//!   looks at `attention`. One of the two sees the other, so no permit lies free while somebody waits for it.
//! * Who takes a permit takes it from a stripe, then looks at `attention`. If that is set it asks, under the lock,
//!   whether it may keep the permit; so nobody who comes after a waiter, a shrinking or a closing slips in.
//!
//! While there are demands, permits go from hand to hand under the lock and never lie free: those found in a stripe
//! belong to a release that is still under way and about to collect one.

use std::task::{Poll, Waker};

use super::{
    state::{BUSY, CLOSED, State, WAITER},
    stripes::Stripes,
};
use crate::{
    queue::Ticket,
    sync::{
        Mutex,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
        stripe::Stripe,
        total_order,
    },
};

/// Permits to run, at most [`max`](Self::max) at once, and the queue for them.
pub(super) struct Permits {
    /// Zero, or what is demanded. Written under the lock only.
    attention: AtomicU64,
    /// Written under the lock only.
    max: AtomicUsize,
    stripes: Stripes,
    state: Box<Apart<Mutex<State>>>,
}

/// Keeps what waiters write off the cache lines that every call reads.
#[repr(align(128))]
struct Apart<T>(T);

/// What became of somebody who wanted to wait.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nobody enters any more.
    Closed,
    /// The queue is as long as it may be.
    Full,
    /// Has a place in the queue.
    Queued(Ticket),
    /// A permit had come back; it is the caller's.
    Taken,
}

/// Where the permits are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    /// Permits that are held, those handed over to a waiter included.
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
    /// Calls that could enter at once.
    pub(super) available: usize,
}

impl Permits {
    /// `max` permits over `stripes` stripes; the queue allocates when more than `capacity` wait.
    pub(super) fn new(max: usize, stripes: usize, capacity: usize) -> Self {
        Self {
            attention: AtomicU64::new(0),
            max: AtomicUsize::new(max),
            stripes: Stripes::new(stripes, max),
            state: Box::new(Apart(Mutex::new(State::new(capacity)))),
        }
    }

    /// Takes a permit, unless none is free or somebody waits for it.
    #[inline]
    pub(super) fn try_take(&self, stripe: Stripe) -> bool {
        if self.stripes.take(stripe) { self.may_keep(stripe) } else { self.take_elsewhere(stripe) }
    }

    /// Gives a permit back.
    #[inline]
    pub(super) fn put_back(&self, stripe: Stripe) {
        if self.attention.load(SeqCst) != 0 {
            self.part_with(stripe, false);
            return;
        }
        self.stripes.put(stripe);
        total_order();
        if self.attention.load(SeqCst) != 0 {
            self.collect(stripe);
        }
    }

    /// Queues for a permit behind at most `bound - 1` others.
    pub(super) fn enter(&self, stripe: Stripe, bound: usize) -> Entry {
        let attention = self.attention.load(SeqCst);
        if attention & CLOSED != 0 {
            return Entry::Closed;
        }
        if attention / WAITER >= bound as u64 {
            return Entry::Full;
        }
        let mut state = self.state.0.lock();
        if state.closed {
            return Entry::Closed;
        }
        if state.queue.waiting() >= bound {
            return Entry::Full;
        }
        if !state.demands() {
            self.announce();
            if self.stripes.sweep(stripe).is_ok() {
                self.publish(&state);
                return Entry::Taken;
            }
        }
        let ticket = state.queue.enter();
        self.publish(&state);
        Entry::Queued(ticket)
    }

    /// Asks for the permit of a place: true once it was handed over, false if the gate was closed.
    pub(super) fn poll(&self, ticket: &mut Option<Ticket>, waker: Waker) -> Poll<bool> {
        // The waker that was kept so far ends up in here, to be dropped after the lock is released.
        let mut waker = Some(waker);
        let answer = self.state.0.lock().queue.poll(ticket, &mut waker);
        answer.map(|permit| permit.is_some())
    }

    /// Gives a place up. A permit that was handed over to it goes to the next in line.
    pub(super) fn leave(&self, stripe: Stripe, ticket: Ticket) {
        let mut state = self.state.0.lock();
        let (permit, _own_waker) = state.queue.leave(ticket);
        let next = match permit.map(|()| state.claim()) {
            Some(Ok(waker)) => waker,
            Some(Err(())) => {
                self.stripes.put(stripe);
                None
            }
            None => None,
        };
        self.publish(&state);
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }

    /// Changes the number of permits. New ones go to the waiters first; those that are held beyond a smaller number
    /// are taken back as they are released.
    pub(super) fn resize(&self, max: usize) {
        let mut wakers = Vec::new();
        let mut state = self.state.0.lock();
        self.announce();
        let before = self.max.load(Relaxed);
        self.max.store(max, Relaxed);
        if max < before {
            state.debt += before - max;
            state.debt -= self.stripes.withdraw(state.debt);
        } else {
            let mut added = max - before;
            let paid = state.debt.min(added);
            state.debt -= paid;
            added -= paid;
            while added > 0 {
                let Ok(waker) = state.queue.hand_over(()) else { break };
                wakers.extend(waker);
                added -= 1;
            }
            self.stripes.spread(added);
        }
        self.publish(&state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets nobody in any more, and sends the waiters away. Who holds a permit keeps it.
    pub(super) fn close(&self) {
        let mut wakers = Vec::new();
        let mut state = self.state.0.lock();
        state.closed = true;
        state.queue.dismiss(&mut wakers);
        self.publish(&state);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.attention.load(SeqCst) & CLOSED != 0
    }

    pub(super) fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Where the permits are at one moment; exact, unless calls come and go faster than they can be counted.
    pub(super) fn usage(&self) -> Usage {
        let state = self.state.0.lock();
        let max = self.max.load(Relaxed);
        let in_flight = (max + state.debt).saturating_sub(self.stripes.free());
        Usage {
            in_flight,
            waiting: state.queue.waiting(),
            available: if state.closed { 0 } else { max.saturating_sub(in_flight) },
        }
    }

    #[cfg(test)]
    pub(super) fn lock(&self) -> impl Drop + '_ {
        self.state.0.lock()
    }

    /// Takes a permit from another thread's stripe.
    #[inline(never)]
    fn take_elsewhere(&self, stripe: Stripe) -> bool {
        let mut last = None;
        loop {
            let attention = self.attention.load(SeqCst);
            if attention & BUSY != 0 {
                drop(self.state.0.lock());
                continue;
            }
            if attention != 0 {
                return false;
            }
            match self.stripes.sweep(stripe) {
                Ok(()) => return self.may_keep(stripe),
                Err(sum) if last == Some(sum) => return false,
                Err(sum) => last = Some(sum),
            }
        }
    }

    /// Whether a permit just taken from a stripe may be kept; otherwise it is gone.
    #[inline]
    fn may_keep(&self, stripe: Stripe) -> bool {
        total_order();
        self.attention.load(SeqCst) == 0 || self.part_with(stripe, true)
    }

    /// Gives a permit in the caller's hands to whoever demands one. If nobody does the caller keeps it if it wants
    /// to and may; else it is put into a stripe. Returns whether it was kept.
    #[cold]
    fn part_with(&self, stripe: Stripe, wanted: bool) -> bool {
        let mut state = self.state.0.lock();
        match state.claim() {
            Ok(waker) => {
                self.publish(&state);
                drop(state);
                waker.into_iter().for_each(Waker::wake);
                false
            }
            Err(()) if wanted && !state.closed => true,
            Err(()) => {
                self.stripes.put(stripe);
                false
            }
        }
    }

    /// Takes a permit out of the stripes for whoever demands one, after one was put there.
    #[cold]
    fn collect(&self, stripe: Stripe) {
        let mut state = self.state.0.lock();
        if !state.demands() || self.stripes.sweep(stripe).is_err() {
            return;
        }
        let waker = state.claim().unwrap_or(None);
        self.publish(&state);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Tells everybody that a demand is coming, before the stripes are searched. Only under the lock.
    fn announce(&self) {
        self.attention.fetch_or(BUSY, SeqCst);
        total_order();
    }

    /// Tells everybody what is demanded. Only under the lock.
    fn publish(&self, state: &State) {
        self.attention.store(state.attention(), SeqCst);
        total_order();
    }
}
