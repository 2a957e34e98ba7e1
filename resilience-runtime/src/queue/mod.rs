//! The line in which callers wait for something that is handed over to them.
//!
//! Waking a waiter and letting it try again is how queues starve: a newcomer takes what the waiter was woken for.
//! Here the thing itself, a permit or a connection, is put into the place of the first waiter, who finds it there
//! when it is polled. Until then nobody else can take it, and a waiter that gives up instead of picking it up gets
//! it back, to pass it on.
//!
//! # Implementation details
//!
//! The places lie in a slab, chained in order of arrival by their indices, so that entering, leaving from the
//! middle and handing over take constant time, and no allocation once the slab has grown to its largest length.
//! The owner keeps the queue under its lock. No foreign code runs in here: wakers are swapped, never cloned,
//! dropped or woken, and values are moved out, never dropped. The caller does that after releasing the lock.

#[cfg(test)]
mod tests;

use std::{
    mem,
    task::{Poll, Waker},
};

/// Waiters in order of arrival, each of whom will be handed a `T`.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    slots: Vec<Slot<T>>,
    /// The first vacant slot; they are chained by `next`.
    vacant: u32,
    /// Who has waited longest.
    head: u32,
    tail: u32,
    waiting: usize,
}

/// A place in a queue. It is not dropped but given back, to [`Queue::poll`] or [`Queue::leave`].
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken for ever"]
pub(crate) struct Ticket(u32);

#[derive(Debug)]
struct Slot<T> {
    previous: u32,
    next: u32,
    waker: Option<Waker>,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    /// The queue was closed. No longer in the chain.
    Dismissed,
    /// Was handed its value. No longer in the chain.
    Served(T),
    /// Nobody's.
    Vacant,
    /// In the chain.
    Waiting,
}

/// No slot.
const NONE: u32 = u32::MAX;

impl<T> Queue<T> {
    /// An empty queue that allocates only when more than `capacity` wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), vacant: NONE, head: NONE, tail: NONE, waiting: 0 }
    }

    /// Takes a place at the end.
    ///
    /// # Panics
    ///
    /// If four billion places are taken.
    pub(crate) fn enter(&mut self) -> Ticket {
        self.link(self.tail, NONE)
    }

    /// Takes a place in front of everybody: for somebody who has had their turn and needs another.
    ///
    /// # Panics
    ///
    /// If four billion places are taken.
    pub(crate) fn enter_first(&mut self) -> Ticket {
        self.link(NONE, self.head)
    }

    /// Leaves a waker with a place that was just taken, so that it need not be polled for that.
    pub(crate) fn await_with(&mut self, Ticket(index): &Ticket, waker: Option<Waker>) {
        self.slots[*index as usize].waker = waker;
    }

    /// Gives `value` to whoever has waited longest, and returns whom to wake, if it was polled already. Without
    /// waiters the value comes back.
    pub(crate) fn hand_over(&mut self, value: T) -> Result<Option<Waker>, T> {
        match self.unlink_head() {
            Some(slot) => {
                slot.state = State::Served(value);
                Ok(slot.waker.take())
            }
            None => Err(value),
        }
    }

    /// Tells every waiter that nothing will come any more, and adds to `wakers` whom to wake. Values that were
    /// handed over stay where they are.
    pub(crate) fn dismiss(&mut self, wakers: &mut Vec<Waker>) {
        while let Some(slot) = self.unlink_head() {
            slot.state = State::Dismissed;
            wakers.extend(slot.waker.take());
        }
    }

    /// Asks for the value of a place: `Some` once it was handed over, `None` if the queue was closed; either way
    /// the ticket is taken back. While pending, `waker` is kept and replaced by the one kept before.
    ///
    /// # Panics
    ///
    /// If the ticket was taken back already.
    pub(crate) fn poll(&mut self, ticket: &mut Option<Ticket>, waker: &mut Option<Waker>) -> Poll<Option<T>> {
        let Some(Ticket(index)) = *ticket else { panic!("polled after it was ready") };
        let slot = &mut self.slots[index as usize];
        if let State::Waiting = slot.state {
            mem::swap(&mut slot.waker, waker);
            return Poll::Pending;
        }
        *ticket = None;
        Poll::Ready(match self.vacate(index) {
            State::Served(value) => Some(value),
            State::Dismissed | State::Vacant | State::Waiting => None,
        })
    }

    /// Gives a place up. What had been handed over to it must be passed on; the waker is to be dropped.
    #[must_use = "the value must be passed on"]
    pub(crate) fn leave(&mut self, Ticket(index): Ticket) -> (Option<T>, Option<Waker>) {
        let waker = self.slots[index as usize].waker.take();
        if let State::Waiting = self.slots[index as usize].state {
            self.unlink(index);
        }
        match self.vacate(index) {
            State::Served(value) => (Some(value), waker),
            State::Dismissed | State::Vacant | State::Waiting => (None, waker),
        }
    }

    /// How many wait: those who left, or were handed their value, do not count.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    fn unlink_head(&mut self) -> Option<&mut Slot<T>> {
        let index = self.head;
        if index == NONE {
            return None;
        }
        self.unlink(index);
        Some(&mut self.slots[index as usize])
    }

    /// Puts a waiter into the chain.
    fn link(&mut self, previous: u32, next: u32) -> Ticket {
        let slot = Slot { previous, next, waker: None, state: State::Waiting };
        let index = self.vacant;
        let index = if index == NONE {
            assert!(self.slots.len() < NONE as usize, "too many waiters");
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        } else {
            self.vacant = mem::replace(&mut self.slots[index as usize], slot).next;
            index
        };
        match previous {
            NONE => self.head = index,
            previous => self.slots[previous as usize].next = index,
        }
        match next {
            NONE => self.tail = index,
            next => self.slots[next as usize].previous = index,
        }
        self.waiting += 1;
        Ticket(index)
    }

    /// Takes a waiter out of the chain.
    fn unlink(&mut self, index: u32) {
        let Slot { previous, next, .. } = self.slots[index as usize];
        match previous {
            NONE => self.head = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.slots[next as usize].previous = previous,
        }
        self.waiting -= 1;
    }

    /// Frees the slot of a place that is out of the chain.
    fn vacate(&mut self, index: u32) -> State<T> {
        let slot = &mut self.slots[index as usize];
        slot.next = mem::replace(&mut self.vacant, index);
        mem::replace(&mut slot.state, State::Vacant)
    }
}
