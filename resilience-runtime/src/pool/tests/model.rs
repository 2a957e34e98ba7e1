//! The pool against plain lists, over random histories.

use std::collections::{BTreeMap, VecDeque};

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Acquire,
    Poll(usize),
    GiveUp(usize),
    Return(usize),
    Discard(usize),
    Resize(usize),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => Just(Step::Acquire),
        30 => any::<usize>().prop_map(Step::Poll),
        10 => any::<usize>().prop_map(Step::GiveUp),
        25 => any::<usize>().prop_map(Step::Return),
        10 => any::<usize>().prop_map(Step::Discard),
        5 => (1usize..6).prop_map(Step::Resize),
        1 => Just(Step::Close),
    ];
    vec(step, 0..150)
}

/// What a waiter was handed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Handed {
    Connection(usize),
    Creation,
    Refusal,
}

/// What a pool is, said without thinking of speed.
#[derive(Debug, Default)]
struct Model {
    max: usize,
    closed: bool,
    /// Numbers of connections; the last one is taken first.
    idle: Vec<usize>,
    in_use: usize,
    created: usize,
    waiting: VecDeque<usize>,
    handed: BTreeMap<usize, Handed>,
}

impl Model {
    fn creating(&self) -> usize {
        self.handed.values().filter(|handed| **handed == Handed::Creation).count()
    }

    fn active(&self) -> usize {
        let under_way = self.handed.values().filter(|handed| matches!(handed, Handed::Connection(_)));
        self.in_use + under_way.count()
    }

    fn size(&self) -> usize {
        self.idle.len() + self.active() + self.creating()
    }

    fn create(&mut self) -> usize {
        self.created += 1;
        self.in_use += 1;
        self.created - 1
    }

    /// `None`: the caller waits.
    fn acquire(&mut self, caller: usize) -> Option<Result<usize, ()>> {
        if self.closed {
            return Some(Err(()));
        }
        if let Some(number) = self.idle.pop() {
            self.in_use += 1;
            return Some(Ok(number));
        }
        if self.size() < self.max {
            return Some(Ok(self.create()));
        }
        self.waiting.push_back(caller);
        None
    }

    fn poll(&mut self, caller: usize) -> Option<Result<usize, ()>> {
        let number = match self.handed.remove(&caller)? {
            Handed::Connection(number) => number,
            Handed::Creation if self.closed => return Some(Err(())),
            Handed::Creation => match self.idle.pop() {
                Some(number) => number,
                None => return Some(Ok(self.create())),
            },
            Handed::Refusal => return Some(Err(())),
        };
        self.in_use += 1;
        Some(Ok(number))
    }

    fn give_up(&mut self, caller: usize) {
        self.waiting.retain(|other| *other != caller);
        if let Some(Handed::Connection(number)) = self.handed.remove(&caller) {
            self.hand_on(number);
        }
        self.serve();
    }

    /// A connection that nobody uses any more.
    fn hand_on(&mut self, number: usize) {
        if self.closed || self.size() + 1 > self.max {
            return;
        }
        match self.waiting.pop_front() {
            Some(first) => drop(self.handed.insert(first, Handed::Connection(number))),
            None => self.idle.push(number),
        }
    }

    /// Free slots go to waiters.
    fn serve(&mut self) {
        while self.size() < self.max {
            let Some(first) = self.waiting.pop_front() else { return };
            self.handed.insert(first, Handed::Creation);
        }
    }

    fn resize(&mut self, max: usize) {
        self.max = max;
        let surplus = self.size().saturating_sub(max).min(self.idle.len());
        self.idle.drain(..surplus);
        self.serve();
    }

    fn close(&mut self) {
        self.closed = true;
        self.idle.clear();
        for caller in std::mem::take(&mut self.waiting) {
            self.handed.insert(caller, Handed::Refusal);
        }
    }
}

type Caller<'p> = Pin<Box<dyn Future<Output = Result<Pooled<Scripted>, PoolError<&'static str>>> + 'p>>;

fn told(polled: &Poll<Result<Pooled<Scripted>, PoolError<&'static str>>>) -> Option<Result<usize, ()>> {
    match polled {
        Poll::Pending => None,
        Poll::Ready(Ok(connection)) => Some(Ok(connection.number)),
        Poll::Ready(Err(_)) => Some(Err(())),
    }
}

proptest! {
    #[test]
    fn behaves_as_plain_lists(max in 1usize..5, steps in steps()) {
        let manager = Scripted::default();
        // No limit, so no timer and no runtime.
        let forever = std::time::Duration::MAX;
        let pool = builder(&manager).max_size(max).create_concurrency(9).acquire_timeout(forever).build().unwrap();
        let mut model = Model { max, ..Model::default() };
        let mut callers: Vec<(usize, Caller<'_>)> = Vec::new();
        let mut held: Vec<Pooled<Scripted>> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Acquire => {
                    let mut caller: Caller<'_> = Box::pin(pool.acquire());
                    let polled = poll(&mut caller);
                    prop_assert_eq!(told(&polled), model.acquire(number));
                    match polled {
                        Poll::Ready(result) => held.extend(result),
                        Poll::Pending => callers.push((number, caller)),
                    }
                }
                Step::Poll(which) if !callers.is_empty() => {
                    let which = which % callers.len();
                    let polled = poll(&mut callers[which].1);
                    prop_assert_eq!(told(&polled), model.poll(callers[which].0));
                    if let Poll::Ready(result) = polled {
                        held.extend(result);
                        drop(callers.swap_remove(which));
                    }
                }
                Step::GiveUp(which) if !callers.is_empty() => {
                    let (caller, future) = callers.swap_remove(which % callers.len());
                    drop(future);
                    model.give_up(caller);
                }
                Step::Return(which) if !held.is_empty() => {
                    let connection = held.swap_remove(which % held.len());
                    model.in_use -= 1;
                    model.hand_on(connection.number);
                    model.serve();
                    drop(connection);
                }
                Step::Discard(which) if !held.is_empty() => {
                    held.swap_remove(which % held.len()).discard();
                    model.in_use -= 1;
                    model.serve();
                }
                Step::Resize(max) => {
                    pool.resize(max).unwrap();
                    model.resize(max);
                }
                Step::Close => {
                    pool.close();
                    model.close();
                }
                _ => {}
            }
            let now = pool.snapshot();
            prop_assert_eq!(
                (now.idle, now.active, now.creating, now.waiting, now.max_size),
                (model.idle.len(), model.active(), model.creating(), model.waiting.len(), model.max)
            );
        }
        let closed = pool.snapshot().closed_down;
        drop((callers, held));
        check_books(&pool, 0);
        if closed {
            prop_assert_eq!(pool.snapshot().idle, 0);
        }
    }
}
