//! Everything that can happen to a pool, in random order: the books balance after every step.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{Backoff, Jitter};

#[derive(Clone, Debug)]
enum Step {
    /// A caller comes; with a limit of its own, in seconds.
    Acquire(Option<u64>),
    Poll(usize),
    GiveUp(usize),
    Use(usize, Use),
    /// From now on this goes wrong.
    Fault(Option<Fault>),
    /// From now on callbacks answer after so many polls.
    Pending(usize),
    /// Milliseconds pass.
    Pass(u64),
    Resize(usize),
    /// Upkeep begins or goes on.
    Maintain,
    Abandon,
    /// Draining begins or goes on.
    Drain,
    Close,
}

#[derive(Clone, Copy, Debug)]
enum Use {
    Return,
    ReturnBroken,
    ReturnSick,
    ReturnSuspect,
    Discard,
    Detach,
}

const USES: [Use; 6] =
    [Use::Return, Use::ReturnBroken, Use::ReturnSick, Use::ReturnSuspect, Use::Discard, Use::Detach];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => option::weighted(0.2, 0u64..20).prop_map(Step::Acquire),
        40 => any::<usize>().prop_map(Step::Poll),
        8 => any::<usize>().prop_map(Step::GiveUp),
        30 => (any::<usize>(), select(&USES[..])).prop_map(|(which, usage)| Step::Use(which, usage)),
        6 => option::weighted(0.6, select(&Fault::ALL[..])).prop_map(Step::Fault),
        4 => (0usize..3).prop_map(Step::Pending),
        12 => (0u64..8_000).prop_map(Step::Pass),
        5 => (1usize..6).prop_map(Step::Resize),
        10 => Just(Step::Maintain),
        2 => Just(Step::Abandon),
        1 => Just(Step::Drain),
        1 => Just(Step::Close),
    ];
    vec(step, 0..150)
}

type Acquiring<'p> = Pin<Box<dyn Future<Output = Result<Pooled<Scripted>, PoolError<&'static str>>> + 'p>>;

/// A pool and everybody who has to do with it.
struct World<'p> {
    pool: &'p ConnectionPool<Scripted>,
    callers: Vec<Acquiring<'p>>,
    held: Vec<Pooled<Scripted>>,
    detached: Vec<Connection>,
    upkeep: Option<Pin<Box<dyn Future<Output = ()> + 'p>>>,
    draining: Option<Pin<Box<dyn Future<Output = usize> + 'p>>>,
    came: u64,
    /// No size that the pool was given since it was last within its size was larger.
    bound: usize,
    ended: bool,
    /// Creations begun when the pool was closed.
    last: Option<usize>,
}

impl World<'_> {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Acquire(limit) => {
                self.came += 1;
                let pool = self.pool;
                self.callers.push(match limit {
                    Some(secs) => Box::pin(pool.acquire_within(Duration::from_secs(secs))),
                    None => Box::pin(pool.acquire()),
                });
                self.poll(self.callers.len() - 1);
            }
            Step::Poll(which) if !self.callers.is_empty() => self.poll(which % self.callers.len()),
            Step::GiveUp(which) if !self.callers.is_empty() => {
                drop(self.callers.swap_remove(which % self.callers.len()));
            }
            Step::Use(which, usage) if !self.held.is_empty() => {
                let mut connection = self.held.swap_remove(which % self.held.len());
                match usage {
                    Use::Return => {}
                    Use::ReturnBroken => connection.broken = true,
                    Use::ReturnSick => connection.sick.store(true, Relaxed),
                    Use::ReturnSuspect => connection.suspect(),
                    Use::Discard => connection.discard(),
                    Use::Detach => self.detached.push(connection.detach()),
                }
            }
            Step::Fault(fault) => *self.pool.manager().0.fault.lock() = fault,
            Step::Pending(polls) => self.pool.manager().0.pending.store(polls, Relaxed),
            Step::Pass(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
            Step::Resize(size) => {
                if self.pool.resize(size).is_ok() {
                    self.bound = self.bound.max(size);
                }
            }
            Step::Maintain => {
                let upkeep = self.upkeep.get_or_insert_with(|| Box::pin(self.pool.maintain()));
                if poll(upkeep).is_ready() {
                    assert!(self.pool.snapshot().closed_down);
                    self.upkeep = None;
                }
            }
            Step::Abandon => self.upkeep = None,
            Step::Drain => {
                self.ended = true;
                let wait = Duration::from_secs(5);
                let draining = self.draining.get_or_insert_with(|| Box::pin(self.pool.drain(wait)));
                if poll(draining).is_ready() {
                    self.draining = None;
                }
            }
            Step::Close => {
                self.ended = true;
                self.pool.close();
                self.last.get_or_insert_with(|| self.pool.manager().0.creates.load(Relaxed));
            }
            Step::Poll(_) | Step::GiveUp(_) | Step::Use(..) => {}
        }
    }

    fn poll(&mut self, which: usize) {
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut self.callers[which])));
        if let Ok(Poll::Pending) = polled {
            return;
        }
        drop(self.callers.swap_remove(which));
        if let Ok(Poll::Ready(Ok(connection))) = polled {
            self.held.push(connection);
        }
    }

    fn check(&mut self) {
        let (now, script) = (self.pool.snapshot(), &self.pool.manager().0);
        let living = script.living.load(Relaxed);
        assert_eq!(now.created, (now.idle + now.active) as u64 + now.closed.total(), "{now:#?}");
        assert_eq!(living, now.size() + self.detached.len(), "{now:#?}");
        assert!(now.active >= self.held.len(), "{now:#?}");
        let detached = now.closed.of(CloseReason::Detached);
        assert_eq!(detached, self.detached.len() as u64, "{now:#?}");
        assert_eq!(script.closes.load(Relaxed) as u64, now.closed.total() - detached, "{now:#?}");
        // A right to create that is not used yet, or waits for its next attempt, is no attempt.
        let over = now.created + now.creations_failed + now.creations_cancelled;
        let under_way = script.creates.load(Relaxed) as u64 - over;
        assert!(under_way <= now.creating as u64, "{under_way} creations under way: {now:#?}");
        let calls = now.acquired + now.refused + now.failed + now.cancelled;
        assert_eq!(calls + self.callers.len() as u64, self.came, "{now:#?}");

        let taken = now.size() + now.creating;
        assert!(taken <= self.bound, "{taken} of {}: {now:#?}", self.bound);
        if taken <= now.max_size {
            self.bound = now.max_size;
        }
        assert!(now.waiting <= self.callers.len(), "{now:#?}");
        if now.waiting > 0 {
            assert_eq!(now.idle, 0, "somebody waits for what is there: {now:#?}");
            let room = taken < now.max_size && now.creating < CREATIONS;
            assert!(!room, "somebody waits for what could be created: {now:#?}");
        }
        if self.ended {
            assert!(now.idle == 0 && now.closed_down, "{now:#?}");
        }
        if let Some(last) = self.last {
            assert_eq!(script.creates.load(Relaxed), last, "created for a closed pool: {now:#?}");
        }
    }
}

const CREATIONS: usize = 2;

fn pool(manager: &Scripted, max: usize, min_idle: usize, retries: u32) -> ConnectionPool<Scripted> {
    builder(manager)
        .max_size(max)
        .min_idle(min_idle.min(max))
        .create_concurrency(CREATIONS)
        .create_retries(retries)
        .create_backoff(Backoff::fixed(Duration::from_secs(1)).jitter(Jitter::None))
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_secs(8))
        .max_lifetime(Duration::from_secs(20))
        .lifetime_jitter(0.5)
        .jitter_seed(7)
        .build()
        .unwrap()
}

async fn play(pool: &ConnectionPool<Scripted>, steps: Vec<Step>) {
    let mut world = World {
        pool,
        callers: Vec::new(),
        held: Vec::new(),
        detached: Vec::new(),
        upkeep: None,
        draining: None,
        came: 0,
        bound: pool.snapshot().max_size,
        ended: false,
        last: None,
    };
    for step in steps {
        world.step(step).await;
        world.check();
    }
    let World { callers, held, upkeep, draining, ended, .. } = world;
    drop((callers, held, upkeep, draining));
    check_books(pool, 0);
    if !ended {
        check_slots(pool);
    }
}

proptest! {
    #[test]
    fn the_books_balance_whatever_happens(
        (max, min_idle, retries) in (1usize..5, 0usize..4, 0u32..3),
        steps in steps(),
    ) {
        silence_what_was_told();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let manager = Scripted::default();
        runtime.unwrap().block_on(async {
            let pool = pool(&manager, max, min_idle, retries);
            play(&pool, steps).await;
        });
        assert_eq!(manager.0.living.load(Relaxed), 0);
    }
}
