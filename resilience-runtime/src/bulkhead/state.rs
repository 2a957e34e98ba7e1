//! What is demanded of the permits: the part of a bulkhead that lies under its lock.

use std::task::Waker;

use crate::queue::Queue;

/// Who wants the permits that are released.
pub(super) struct State {
    pub(super) queue: Queue<()>,
    /// Permits in existence beyond the allowed number, because their holders were there before it shrank.
    pub(super) debt: usize,
    pub(super) closed: bool,
}

// The word that tells everybody. Zero: nothing is demanded.

/// Somebody is making a demand and has not looked into all stripes yet. Only who waits for the lock learns more.
pub(super) const BUSY: u64 = 1;
/// There is a debt.
const DEBT: u64 = 1 << 1;
/// Nobody may enter.
pub(super) const CLOSED: u64 = 1 << 2;
/// One waiter; their number fills the bits from here on.
pub(super) const WAITER: u64 = 1 << 3;

impl State {
    /// No demands; the queue allocates when more than `capacity` wait.
    pub(super) fn new(capacity: usize) -> Self {
        Self { queue: Queue::new(capacity), debt: 0, closed: false }
    }

    /// Gives a permit to the debt or to the first waiter, and returns whom to wake; an error if nobody wants it.
    pub(super) fn claim(&mut self) -> Result<Option<Waker>, ()> {
        if self.debt > 0 {
            self.debt -= 1;
            return Ok(None);
        }
        self.queue.hand_over(())
    }

    /// Whether a permit that is released goes to somebody.
    pub(super) const fn demands(&self) -> bool {
        self.debt > 0 || self.queue.waiting() > 0
    }

    /// The word for everybody.
    pub(super) const fn attention(&self) -> u64 {
        let waiters = self.queue.waiting() as u64 * WAITER;
        let debt = if self.debt > 0 { DEBT } else { 0 };
        let closed = if self.closed { CLOSED } else { 0 };
        waiters | debt | closed
    }
}
