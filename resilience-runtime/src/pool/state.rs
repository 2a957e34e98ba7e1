//! Who has which slot: the pool's decisions as plain functions of (state, now).
//!
//! A slot is the right to one connection of the pool, from before it is created until after it is closed. While
//! somebody waits, no connection is idle and no slot is free that could be used at once: whatever comes back is
//! handed over to the first waiter in the same step. A newcomer therefore overtakes nobody.

use std::{
    collections::VecDeque,
    task::{Poll, Waker},
    time::Duration,
};

use super::entry::{CloseReason, Entry};
use crate::{
    clock::Instant,
    queue::{Queue, Ticket},
};

#[derive(Debug)]
pub(super) struct State<C> {
    /// The most recently used one is at the back, where it is taken; the others grow old at the front.
    idle: VecDeque<Box<Entry<C>>>,
    queue: Queue<Grant<C>>,
    /// Slots that are taken: by idle and active connections and by creations.
    slots: usize,
    /// Creations under way.
    creating: usize,
    phase: Phase,
    limits: Limits,
    /// When upkeep will look again; the past, if there is none.
    next_look: Instant,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_size: usize,
    pub(super) min_idle: usize,
    /// Creations at once.
    pub(super) creations: usize,
    pub(super) waiters: usize,
    pub(super) idle_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Open,
    /// Serves those who wait already, and nobody else.
    Draining,
    Closed,
}

/// What a waiter is handed.
#[derive(Debug)]
pub(super) enum Grant<C> {
    Connection(Box<Entry<C>>),
    /// A slot and the right to create a connection for it.
    Creation,
}

/// What a caller gets at once.
#[derive(Debug)]
pub(super) enum Taken<C> {
    Closed,
    /// An idle connection whose time is over; to be closed and exchanged.
    Outdated(Box<Entry<C>>, CloseReason),
    /// Everything is in use, and as many wait as may.
    Full,
    Granted(Grant<C>),
    Queued(Place),
}

/// A place in the queue, and whether its owner has left a waker there.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) ticket: Ticket,
    pub(super) has_waker: bool,
}

/// What is left to do after a decision, once the lock is released.
#[derive(Debug)]
#[must_use = "the waker must be woken and the connection closed"]
pub(super) struct After<C> {
    pub(super) wake: Option<Waker>,
    pub(super) close: Option<(Box<Entry<C>>, CloseReason)>,
    /// Upkeep must look earlier than it meant to.
    pub(super) sooner: bool,
}

impl<C> After<C> {
    const NOTHING: Self = Self { wake: None, close: None, sooner: false };

    const fn wake(wake: Option<Waker>) -> Self {
        Self { wake, ..Self::NOTHING }
    }

    const fn close(entry: Box<Entry<C>>, reason: CloseReason) -> Self {
        Self { close: Some((entry, reason)), ..Self::NOTHING }
    }
}

/// The same for decisions that concern many at once.
#[derive(Debug)]
#[must_use = "the wakers must be woken and the connections closed"]
pub(super) struct Aftermath<C> {
    pub(super) wake: Vec<Waker>,
    pub(super) close: Vec<(Box<Entry<C>>, CloseReason)>,
}

impl<C> Default for Aftermath<C> {
    fn default() -> Self {
        Self { wake: Vec::new(), close: Vec::new() }
    }
}

/// How the slots are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    pub(super) max_size: usize,
    pub(super) idle: usize,
    pub(super) active: usize,
    pub(super) creating: usize,
    pub(super) waiting: usize,
    pub(super) phase: Phase,
}

impl<C> State<C> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            idle: VecDeque::with_capacity(limits.max_size.min(1_024)),
            queue: Queue::new(0),
            slots: 0,
            creating: 0,
            phase: Phase::Open,
            limits,
            next_look: Instant::from_nanos(0),
        }
    }

    /// A caller comes. Its waker, if it brings one, is left in the queue if it has to wait.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, waker: &mut Option<Waker>) -> Taken<C> {
        if self.phase != Phase::Open {
            return Taken::Closed;
        }
        if let Some(entry) = self.idle.pop_back() {
            return self.in_time(entry, now);
        }
        if self.may_create() {
            return Taken::Granted(self.creation());
        }
        if self.queue.waiting() >= self.limits.waiters {
            Taken::Full
        } else {
            let ticket = self.queue.enter();
            let has_waker = waker.is_some();
            self.queue.await_with(&ticket, waker.take());
            Taken::Queued(Place { ticket, has_waker })
        }
    }

    /// A caller whose connection turned out to be of no use, and is closed, looks for another. Its slot is reused;
    /// if it may not create one at once, it waits in front of everybody: it has had its turn already.
    pub(super) fn exchange(&mut self, now: Instant) -> Taken<C> {
        self.slots -= 1;
        if self.phase == Phase::Closed {
            return Taken::Closed;
        }
        if let Some(entry) = self.idle.pop_back() {
            return self.in_time(entry, now);
        }
        if self.may_create() {
            Taken::Granted(self.creation())
        } else {
            Taken::Queued(Place { ticket: self.queue.enter_first(), has_waker: false })
        }
    }

    /// A caller with the right to create finds that a connection has come back meanwhile, or that the pool was closed.
    pub(super) fn take_instead_of_creating(&mut self, now: Instant) -> Option<Taken<C>> {
        let entry = self.idle.pop_back();
        if entry.is_none() && self.phase != Phase::Closed {
            return None;
        }
        // While a connection is idle, and once the pool is closed, nobody waits, so nobody is to be served.
        self.creating -= 1;
        self.slots -= 1;
        Some(entry.map_or(Taken::Closed, |entry| self.in_time(entry, now)))
    }

    /// A connection comes back from use.
    #[inline]
    pub(super) fn put(&mut self, entry: Box<Entry<C>>, now: Instant) -> After<C> {
        if self.phase == Phase::Closed {
            return After::close(entry, CloseReason::PoolClosed);
        }
        if self.slots > self.limits.max_size {
            return After::close(entry, CloseReason::Resized);
        }
        match self.queue.hand_over(Grant::Connection(entry)) {
            Ok(waker) => After::wake(waker),
            Err(Grant::Connection(entry)) if self.phase == Phase::Open => {
                let expires = entry.expires;
                self.idle.push_back(entry);
                let close = self.reap(now);
                let due = expires.min(self.reap_due());
                let sooner = due < self.next_look;
                self.next_look = self.next_look.min(due);
                After { close, sooner, wake: None }
            }
            Err(Grant::Connection(entry)) => After::close(entry, CloseReason::PoolClosed),
            Err(Grant::Creation) => After::NOTHING,
        }
    }

    /// A connection that is not in the pool any more has been closed.
    pub(super) fn free(&mut self) -> Option<Waker> {
        self.slots -= 1;
        self.serve()
    }

    /// A creation is over; its slot is kept by the connection that came of it, if one did.
    pub(super) fn creation_over(&mut self, succeeded: bool) -> Option<Waker> {
        self.creating -= 1;
        self.slots -= usize::from(!succeeded);
        self.serve()
    }

    /// The right to create a connection that nobody waits for, if too few are idle.
    pub(super) fn spare(&mut self) -> bool {
        let wanted = self.phase == Phase::Open && self.idle.len() + self.creating < self.limits.min_idle;
        let granted = wanted && self.may_create();
        if granted {
            let _ = self.creation();
        }
        granted
    }

    /// Asks for what a waiter was handed; see [`Queue::poll`].
    pub(super) fn poll(
        &mut self,
        ticket: &mut Option<Ticket>,
        waker: &mut Option<Waker>,
    ) -> Poll<Option<Grant<C>>> {
        self.queue.poll(ticket, waker)
    }

    /// A waiter gives up. What it had been handed must be passed on.
    pub(super) fn leave(&mut self, ticket: Ticket) -> (Option<Grant<C>>, Option<Waker>) {
        self.queue.leave(ticket)
    }

    pub(super) fn resize(&mut self, max_size: usize) -> Aftermath<C> {
        self.limits.max_size = max_size;
        let mut after = Aftermath::default();
        // Their slots are freed when they are closed.
        let surplus = self.slots.saturating_sub(max_size).min(self.idle.len());
        after.close.extend(self.idle.drain(..surplus).map(|entry| (entry, CloseReason::Resized)));
        while self.queue.waiting() > 0 && self.may_create() {
            after.wake.extend(self.serve());
        }
        after
    }

    /// Lets nobody in any more. Those who wait are served, if `phase` is `Draining`, or turned away.
    pub(super) fn end(&mut self, phase: Phase) -> Aftermath<C> {
        let mut after = Aftermath::default();
        if self.phase == Phase::Closed {
            return after;
        }
        self.phase = phase;
        after.close.extend(self.idle.drain(..).map(|entry| (entry, CloseReason::PoolClosed)));
        if phase == Phase::Closed {
            self.queue.dismiss(&mut after.wake);
        }
        after
    }

    /// Takes out every idle connection whose time is over, and says when the next one's will be.
    pub(super) fn sweep(&mut self, now: Instant) -> (Aftermath<C>, Instant) {
        let mut after = Aftermath::default();
        while let Some(stale) = self.reap(now) {
            after.close.push(stale);
        }
        for _ in 0..self.idle.len() {
            match self.idle.pop_front() {
                Some(entry) if entry.is_expired(now) => after.close.push((entry, CloseReason::Expired)),
                entry => self.idle.extend(entry),
            }
        }
        let expiry = self.idle.iter().map(|entry| entry.expires).min();
        self.next_look = expiry.unwrap_or(Instant::FAR).min(self.reap_due());
        (after, self.next_look)
    }

    pub(super) const fn min_idle(&self) -> usize {
        self.limits.min_idle
    }

    /// Fewer connections are idle than should be, and more could be created.
    #[inline]
    pub(super) fn wants_more(&self) -> bool {
        self.idle.len() + self.creating < self.limits.min_idle
            && self.slots < self.limits.max_size
            && self.phase == Phase::Open
    }

    /// Nobody is served any more, and every connection is closed.
    pub(super) fn has_ended(&self) -> bool {
        self.phase != Phase::Open && self.slots == 0
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            max_size: self.limits.max_size,
            idle: self.idle.len(),
            active: self.slots - self.idle.len() - self.creating,
            creating: self.creating,
            waiting: self.queue.waiting(),
            phase: self.phase,
        }
    }

    /// Judges a connection that was idle until now.
    #[inline]
    fn in_time(&self, entry: Box<Entry<C>>, now: Instant) -> Taken<C> {
        if entry.is_expired(now) {
            Taken::Outdated(entry, CloseReason::Expired)
        } else if self.idle_until(&entry) <= now && self.idle.len() >= self.limits.min_idle {
            Taken::Outdated(entry, CloseReason::IdleTimeout)
        } else {
            Taken::Granted(Grant::Connection(entry))
        }
    }

    fn may_create(&self) -> bool {
        self.slots < self.limits.max_size && self.creating < self.limits.creations
    }

    fn creation(&mut self) -> Grant<C> {
        self.slots += 1;
        self.creating += 1;
        Grant::Creation
    }

    /// Hands a free slot to the first waiter.
    fn serve(&mut self) -> Option<Waker> {
        if self.queue.waiting() == 0 || !self.may_create() {
            return None;
        }
        let grant = self.creation();
        self.queue.hand_over(grant).ok().flatten()
    }

    /// Takes out the oldest idle connection if it has been idle for too long.
    #[inline]
    fn reap(&mut self, now: Instant) -> Option<(Box<Entry<C>>, CloseReason)> {
        if self.reap_due() > now {
            return None;
        }
        self.idle.pop_front().map(|entry| (entry, CloseReason::IdleTimeout))
    }

    /// When the oldest idle connection will have been idle for too long.
    #[inline]
    fn reap_due(&self) -> Instant {
        match self.idle.front() {
            Some(oldest) if self.idle.len() > self.limits.min_idle => self.idle_until(oldest),
            _ => Instant::FAR,
        }
    }

    #[inline]
    fn idle_until(&self, entry: &Entry<C>) -> Instant {
        self.limits.idle_timeout.map_or(Instant::FAR, |limit| entry.since.saturating_add(limit))
    }
}
