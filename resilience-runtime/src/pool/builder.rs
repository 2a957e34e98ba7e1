//! Settings of a connection pool.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    CloseReason, ConnectionInfo, ConnectionPool, Manager,
    hooks::Hooks,
    shared::{Settings, Shared},
    state::Limits,
};
use crate::{backoff::Backoff, error::InvalidSettings, gate::Gate, name::Name, settings::reason};

/// When [`Manager::is_healthy`] is asked before an idle connection is handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HealthCheck {
    /// If the connection has been idle for at least this long. A connection that was in use a moment ago is most
    /// likely healthy, and the check costs a round trip.
    AfterIdle(Duration),
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Builds a [`ConnectionPool`].
///
/// # Default
///
/// | setting | default |
/// |---|---|
/// | `max_size` | 10 |
/// | `min_idle` | 0 |
/// | `acquire_timeout` | 30 s |
/// | `idle_timeout` | 10 min |
/// | `max_lifetime`, `lifetime_jitter` | 30 min, 0.1 |
/// | `health_check` | [`HealthCheck::Always`] |
/// | `max_waiting` | no limit |
/// | `create_concurrency` | 4 |
/// | `create_retries`, `create_backoff` | 2, exponential from 100 ms, at most 2 s, full jitter |
/// | `circuit`, hooks | none |
#[must_use = "a builder does nothing until `build`"]
pub struct ConnectionPoolBuilder<M: Manager> {
    name: Name,
    manager: M,
    hooks: Hooks<M>,
    limits: Limits,
    settings: Settings,
    seed: Option<u64>,
}

/// More connections than any peer would take.
const MOST: usize = u32::MAX as usize >> 1;

const DEFAULT_BACKOFF: Backoff =
    Backoff::exponential(Duration::from_millis(100)).max_delay(Duration::from_secs(2));

impl<M: Manager> ConnectionPoolBuilder<M> {
    pub(super) fn new(name: Name, manager: M) -> Self {
        Self {
            name,
            manager,
            hooks: Hooks::default(),
            limits: Limits {
                max_size: 10,
                min_idle: 0,
                creations: 4,
                waiters: usize::MAX,
                idle_timeout: Some(Duration::from_secs(600)),
            },
            settings: Settings {
                acquire_timeout: Duration::from_secs(30),
                max_lifetime: Some(Duration::from_secs(1_800)),
                lifetime_jitter: 0.1,
                check: HealthCheck::Always,
                create_retries: 2,
                create_backoff: DEFAULT_BACKOFF,
                circuit: None,
            },
            seed: None,
        }
    }

    /// At most this many connections exist at once, those that are being created included; at least 1. Default 10.
    pub const fn max_size(mut self, max_size: usize) -> Self {
        self.limits.max_size = max_size;
        self
    }

    /// So many idle connections are kept ready. Default 0.
    ///
    /// Idle connections are not closed for idleness while no more than this many are left. Missing ones are created
    /// by [`ConnectionPool::maintain`], which a task of the caller's runtime runs with feature `rt`, and where nobody
    /// runs it, when callers need them.
    pub const fn min_idle(mut self, min_idle: usize) -> Self {
        self.limits.min_idle = min_idle;
        self
    }

    /// How long [`acquire`](ConnectionPool::acquire) may take in all: waiting, creating and checking.
    /// [`Duration::MAX`] means without end. Default 30 s.
    pub const fn acquire_timeout(mut self, limit: Duration) -> Self {
        self.settings.acquire_timeout = limit;
        self
    }

    /// A connection that has been idle for this long is closed; `None` means never. Default 10 min.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.limits.idle_timeout = limit.into();
        self
    }

    /// A connection is closed once it is this old, counted from its creation, as soon as nobody uses it; `None`
    /// means never. Default 30 min.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.max_lifetime = limit.into();
        self
    }

    /// Up to this share of the lifetime, drawn for each connection, is taken off it, so that connections which were
    /// created together do not all end together. In [0, 1]; default 0.1.
    pub const fn lifetime_jitter(mut self, share: f64) -> Self {
        self.settings.lifetime_jitter = share;
        self
    }

    /// When [`Manager::is_healthy`] is asked. Default: always.
    pub const fn health_check(mut self, check: HealthCheck) -> Self {
        self.settings.check = check;
        self
    }

    /// At most this many callers wait; further ones are refused at once. Default: no limit.
    pub const fn max_waiting(mut self, callers: usize) -> Self {
        self.limits.waiters = callers;
        self
    }

    /// At most this many connections are created at once; at least 1. Default 4.
    pub const fn create_concurrency(mut self, creations: usize) -> Self {
        self.limits.creations = creations;
        self
    }

    /// How often a caller tries again to create a connection, within its time. Default 2.
    ///
    /// Retries multiply: under a caller that retries by itself, 0 is the better choice.
    pub const fn create_retries(mut self, retries: u32) -> Self {
        self.settings.create_retries = retries;
        self
    }

    /// How long it waits before each. Default: exponential from 100 ms, at most 2 s, full jitter.
    pub const fn create_backoff(mut self, backoff: Backoff) -> Self {
        self.settings.create_backoff = backoff;
        self
    }

    /// Failed creations are counted by `circuit`, and while it is open none is tried.
    pub fn circuit(mut self, circuit: Arc<dyn Gate>) -> Self {
        self.settings.circuit = Some(circuit);
        self
    }

    /// Called with each connection that was created, before anybody gets it.
    pub fn on_create(
        mut self,
        hook: impl Fn(&mut M::Connection, &ConnectionInfo) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.on_create = Some(Box::new(hook));
        self
    }

    /// Called with each connection that was there already, before it is handed out. On `false` it is closed and
    /// another one is taken.
    pub fn on_acquire(
        mut self,
        hook: impl Fn(&mut M::Connection, &ConnectionInfo) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.on_acquire = Some(Box::new(hook));
        self
    }

    /// Called with each connection that comes back, in a destructor, so it must not block. On `false` it is closed.
    pub fn on_release(
        mut self,
        hook: impl Fn(&mut M::Connection, &ConnectionInfo) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.on_release = Some(Box::new(hook));
        self
    }

    /// Told of each connection that the pool gives up, before it is closed. It must not block.
    pub fn on_close(mut self, hook: impl Fn(&ConnectionInfo, CloseReason) + Send + Sync + 'static) -> Self {
        self.hooks.on_close = Some(Box::new(hook));
        self
    }

    /// Makes everything that is drawn the same in every run.
    pub const fn jitter_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The pool. It creates no connection yet; with feature `rt`, a task for its upkeep on the runtime that is there.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] if a value is out of its range or contradicts another.
    pub fn build(self) -> Result<ConnectionPool<M>, InvalidSettings> {
        let Self { name, manager, hooks, limits, settings, seed } = self;
        if let Some(problem) = problem(&limits, &settings) {
            return Err(problem);
        }
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(ConnectionPool::new(Shared::new(name, manager, hooks, limits, settings, seed)))
    }
}

impl<M: Manager> fmt::Debug for ConnectionPoolBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPoolBuilder")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .field("settings", &self.settings)
            .field("hooks", &self.hooks)
            .finish_non_exhaustive()
    }
}

/// The first thing wrong with a size.
pub(super) const fn size_problem(max_size: usize, min_idle: usize) -> Option<InvalidSettings> {
    if max_size == 0 {
        return Some(InvalidSettings::new("max_size", reason::AT_LEAST_ONE));
    }
    if max_size > MOST {
        return Some(InvalidSettings::new("max_size", "must be at most 2,147,483,647"));
    }
    if min_idle > max_size {
        return Some(InvalidSettings::new("min_idle", "must not be above `max_size`"));
    }
    None
}

fn problem(limits: &Limits, settings: &Settings) -> Option<InvalidSettings> {
    let zero = |limit: Option<Duration>| limit.is_some_and(|limit| limit.is_zero());
    if let Some(problem) = size_problem(limits.max_size, limits.min_idle) {
        return Some(problem);
    }
    for (key, limit) in [
        ("acquire_timeout", Some(settings.acquire_timeout)),
        ("idle_timeout", limits.idle_timeout),
        ("max_lifetime", settings.max_lifetime),
    ] {
        if zero(limit) {
            return Some(InvalidSettings::new(key, reason::LONGER_THAN_ZERO));
        }
    }
    if !(0.0..=1.0).contains(&settings.lifetime_jitter) {
        return Some(InvalidSettings::new("lifetime_jitter", "must be at least 0 and at most 1"));
    }
    if limits.creations == 0 {
        return Some(InvalidSettings::new("create_concurrency", reason::AT_LEAST_ONE));
    }
    None
}
