//! What the handle, the callers and the connections in use share.

use std::{fmt, sync::Arc, task::Waker, time::Duration};

use tokio::sync::Notify;

use super::{
    HealthCheck, Manager,
    entry::{CloseReason, Entry},
    hooks::Hooks,
    state::{After, Aftermath, Limits, Phase, State, Taken},
};
use crate::{
    backoff::Backoff,
    clock::{self, Instant, nanos},
    error::ResilienceError,
    gate::Gate,
    name::Name,
    stats::Stats,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    unwind::quietly,
};

pub(super) struct Shared<M: Manager> {
    pub(super) name: Name,
    pub(super) manager: M,
    pub(super) hooks: Hooks<M>,
    pub(super) settings: Settings,
    pub(super) state: Mutex<State<M::Connection>>,
    /// The last caller had to wait, so the next one is likely to.
    pub(super) crowded: AtomicBool,
    next_id: AtomicU64,
    seed: AtomicU64,
    /// Random numbers drawn so far.
    drawn: AtomicU64,
    /// The last connection of a pool that was ended is closed.
    pub(super) ended: Notify,
    /// Held by who does the upkeep.
    pub(super) keeper: tokio::sync::Mutex<()>,
    /// Some connection's time is over sooner than upkeep knows, or the pool lets nobody in any more.
    pub(super) sooner: Notify,
    /// Too few connections are idle.
    pub(super) short: Notify,
    /// There is something to keep up, and no task that does so.
    #[cfg(feature = "rt")]
    pub(super) unkept: AtomicBool,
    /// What became of calls and creations, and how long callers waited.
    pub(super) calls: Stats<{ count::CALLS }>,
    /// Why connections were closed, and how long they were in use.
    pub(super) closed: Stats<{ CloseReason::COUNT }>,
}

/// The settings that no lock guards.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) acquire_timeout: Duration,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) lifetime_jitter: f64,
    pub(super) check: HealthCheck,
    pub(super) create_retries: u32,
    pub(super) create_backoff: Backoff,
    pub(super) circuit: Option<Arc<dyn Gate>>,
}

/// The counters of [`Shared::calls`].
pub(super) mod count {
    pub(in crate::pool) const ACQUIRED: usize = 0;
    pub(in crate::pool) const CANCELLED: usize = 1;
    pub(in crate::pool) const CREATED: usize = 2;
    pub(in crate::pool) const CREATIONS_CANCELLED: usize = 3;
    pub(in crate::pool) const CREATIONS_FAILED: usize = 4;
    pub(in crate::pool) const FAILED: usize = 5;
    pub(in crate::pool) const REFUSED: usize = 6;
    pub(in crate::pool) const CALLS: usize = 7;
}

impl<M: Manager> Shared<M> {
    pub(super) fn new(
        name: Name,
        manager: M,
        hooks: Hooks<M>,
        limits: Limits,
        settings: Settings,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            #[cfg(feature = "rt")]
            unkept: AtomicBool::new(
                limits.min_idle > 0 || limits.idle_timeout.is_some() || settings.max_lifetime.is_some(),
            ),
            name,
            manager,
            hooks,
            settings,
            state: Mutex::new(State::new(limits)),
            crowded: AtomicBool::new(false),
            next_id: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            drawn: AtomicU64::new(0),
            ended: Notify::new(),
            keeper: tokio::sync::Mutex::new(()),
            sooner: Notify::new(),
            short: Notify::new(),
            calls: Stats::striped(),
            closed: Stats::striped(),
        })
    }

    /// A caller comes; see [`State::take`].
    #[inline]
    pub(super) fn take(&self, now: Instant, mut waker: Option<Waker>) -> Taken<M::Connection> {
        let mut state = self.state.lock();
        let taken = state.take(now, &mut waker);
        let too_few = state.wants_more();
        drop(state);
        let waits = matches!(taken, Taken::Queued(_));
        if waits != self.crowded.load(Ordering::Relaxed) {
            self.crowded.store(waits, Ordering::Relaxed);
        }
        self.tell(false, too_few);
        taken
    }

    /// A caller whose connection is closed looks for another; see [`State::exchange`].
    pub(super) fn exchange(&self, now: Instant) -> Taken<M::Connection> {
        let mut state = self.state.lock();
        let taken = state.exchange(now);
        let (ended, too_few) = (state.has_ended(), state.wants_more());
        drop(state);
        self.tell(ended, too_few);
        taken
    }

    /// A caller is about to create a connection; see [`State::take_instead_of_creating`].
    pub(super) fn take_instead_of_creating(&self, now: Instant) -> Option<Taken<M::Connection>> {
        let mut state = self.state.lock();
        let taken = state.take_instead_of_creating(now);
        let (ended, too_few) = (state.has_ended(), state.wants_more());
        drop(state);
        self.tell(ended, too_few);
        taken
    }

    /// A connection comes back from use.
    #[inline]
    pub(super) fn give_back(&self, mut entry: Box<Entry<M::Connection>>, objection: Option<CloseReason>) {
        let now = clock::now();
        self.closed.time(now.saturating_since(entry.since));
        match objection.or_else(|| self.objection(&mut entry, now)) {
            Some(reason) => self.discard(entry, reason),
            None => {
                entry.since = now;
                self.put(entry, now);
            }
        }
    }

    /// What speaks against using a connection again. Never unwinds: it runs in destructors.
    #[inline]
    fn objection(&self, entry: &mut Entry<M::Connection>, now: Instant) -> Option<CloseReason> {
        if entry.is_expired(now) {
            return Some(CloseReason::Expired);
        }
        let judge = || {
            if self.manager.is_broken(&mut entry.connection) {
                return Some(CloseReason::Broken);
            }
            let stays = match &self.hooks.on_release {
                Some(hook) => {
                    let info = entry.info(now);
                    hook(&mut entry.connection, &info)
                }
                None => true,
            };
            if stays { None } else { Some(CloseReason::Rejected) }
        };
        quietly(judge).unwrap_or(Some(CloseReason::Panicked))
    }

    /// Puts a connection where it is wanted most.
    #[inline]
    pub(super) fn put(&self, entry: Box<Entry<M::Connection>>, now: Instant) {
        let after = self.state.lock().put(entry, now);
        let After { wake, close, sooner } = after;
        if sooner {
            self.sooner.notify_one();
        }
        if let Some(waker) = wake {
            waker.wake();
        }
        if let Some((entry, reason)) = close {
            self.discard(entry, reason);
        }
    }

    /// Closes a connection and frees its slot, in this order: the peer may count connections as well.
    #[cold]
    pub(super) fn discard(&self, entry: Box<Entry<M::Connection>>, reason: CloseReason) {
        self.close(entry, reason);
        self.free();
    }

    /// Frees the slot of a connection that is closed.
    pub(super) fn free(&self) {
        let mut state = self.state.lock();
        let wake = state.free();
        let (ended, too_few) = (state.has_ended(), state.wants_more());
        drop(state);
        self.tell(ended, too_few);
        if let Some(waker) = wake {
            waker.wake();
        }
    }

    /// A creation is over.
    pub(super) fn creation_over(&self, succeeded: bool) {
        let mut state = self.state.lock();
        let wake = state.creation_over(succeeded);
        let (ended, too_few) = (state.has_ended(), state.wants_more());
        drop(state);
        self.tell(ended, too_few);
        if let Some(waker) = wake {
            waker.wake();
        }
    }

    #[inline]
    pub(super) fn tell(&self, ended: bool, too_few: bool) {
        if ended {
            self.ended.notify_waiters();
        }
        if too_few {
            self.short.notify_one();
        }
    }

    /// Closes a connection. Never unwinds; the caller frees the slot.
    pub(super) fn close(&self, entry: Box<Entry<M::Connection>>, reason: CloseReason) {
        self.closed.count(reason as usize);
        self.told(&entry, reason);
        quietly(|| self.manager.close(entry.connection));
    }

    /// Tells the hook that a connection leaves the pool. Never unwinds.
    pub(super) fn told(&self, entry: &Entry<M::Connection>, reason: CloseReason) {
        if let Some(hook) = &self.hooks.on_close {
            let info = entry.info(clock::now());
            quietly(|| hook(&info, reason));
        }
    }

    pub(super) fn settle(&self, after: Aftermath<M::Connection>) {
        for waker in after.wake {
            waker.wake();
        }
        for (entry, reason) in after.close {
            self.discard(entry, reason);
        }
    }

    /// Lets nobody in any more.
    pub(super) fn end(&self, phase: Phase) {
        let mut state = self.state.lock();
        let after = state.end(phase);
        let ended = state.has_ended();
        drop(state);
        self.sooner.notify_waiters();
        self.tell(ended, false);
        self.settle(after);
    }

    /// A connection that was created just now, with its dates.
    pub(super) fn entry(&self, connection: M::Connection, now: Instant) -> Box<Entry<M::Connection>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let expires = self.settings.max_lifetime.map_or(Instant::FAR, |lifetime| {
            let cut = nanos(lifetime) as f64 * self.settings.lifetime_jitter * self.random();
            now.saturating_add(lifetime.saturating_sub(Duration::from_nanos(cut as u64)))
        });
        Box::new(Entry { connection, id, created: now, expires, since: now, uses: 0 })
    }

    /// How long to wait before the creation after number `attempt`, given the wait before that one.
    pub(super) fn backoff(&self, attempt: u32, previous: Option<Duration>) -> Duration {
        self.settings.create_backoff.delay(attempt, previous, self.random())
    }

    /// A random number in [0, 1); the sequence is the same for the same seed.
    fn random(&self) -> f64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        fastrand::Rng::with_seed(self.seed.load(Ordering::Relaxed).wrapping_add(drawn)).f64()
    }

    pub(super) fn reseed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.drawn.store(0, Ordering::Relaxed);
    }

    pub(super) fn shut_down(&self) -> ResilienceError {
        ResilienceError::ShutDown { name: self.name.clone() }
    }
}

impl<M: Manager> fmt::Debug for Shared<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("usage", &self.state.lock().usage())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("acquire_timeout", &self.acquire_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .field("lifetime_jitter", &self.lifetime_jitter)
            .field("check", &self.check)
            .field("create_retries", &self.create_retries)
            .field("create_backoff", &self.create_backoff)
            .field("circuit", &self.circuit.is_some())
            .finish_non_exhaustive()
    }
}
