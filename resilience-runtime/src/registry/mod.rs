//! Everything that has a name, in one place.
//!
//! During an outage the questions are "what is open?" and "close it", asked by name from code that never saw the
//! annotated function. The registry answers them without taking part in any call: a site looks its primitives up
//! once and keeps them, entries are never replaced, settings change in place.

mod declared;
mod dynamic;
mod handles;
mod hash;
mod named;
mod pools;
mod scope;
mod site;

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use dashmap::DashMap;

use self::{declared::Declarations, dynamic::Bound, named::Named};
pub use self::{dynamic::DynamicNames, scope::Scope, site::SiteSnapshot};
pub(crate) use self::{
    dynamic::{Filled, SiteEntry},
    scope::current,
    site::{Handles, HandlesRef, Lifecycle, Random, SiteCount, SiteStats},
};
use crate::{
    bulkhead::{Bulkhead, BulkheadSnapshot},
    circuit::{CircuitBreaker, CircuitSnapshot},
    clock::{self, Instant},
    error::AlreadyRegistered,
    events::{Bus, Conflict, Event, EventReceiver},
    limiter::{LimiterSnapshot, RateLimiter},
    name::Name,
    pool::{AnyPool, ConnectionPool, Manager},
    retry::RetryBudget,
    settings::Declaration,
    stats::{Directory, TimeoutSnapshot, TimeoutStats},
    sync::Mutex,
    worker::WorkerPool,
};

/// The process-wide registry.
///
/// # Examples
///
/// ```
/// assert!(resilience_runtime::registry().circuit("mistyped").is_none());
/// ```
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::new)
}

/// All circuits, bulkheads, limiters, pools and annotated functions, by name. A cheap handle: clones share.
///
/// Everything that the linked crates declare by attribute is listed from the start, before its first call.
///
/// # Examples
///
/// A test of its own registry, which shares no state with other tests:
///
/// ```
/// use resilience_runtime::{CircuitBreaker, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let circuit = registry.register_circuit(CircuitBreaker::builder("stock").build()?)?;
/// circuit.force_open();
/// assert!(registry.circuit("stock").is_some_and(|circuit| circuit.is_open()));
/// assert!(registry.circuit("mistyped").is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

pub(crate) struct Inner {
    bus: Bus,
    lifecycle: Arc<Lifecycle>,
    random: Arc<Random>,
    /// The seed that was asked for, if one was.
    seed: Mutex<Option<u64>>,
    declared: Declarations,
    /// By the address of the declaration, which is static.
    sites: DashMap<usize, Arc<SiteEntry>>,
    circuits: Named<CircuitBreaker>,
    bulkheads: Named<Bulkhead>,
    limiters: Named<RateLimiter>,
    budgets: Named<RetryBudget>,
    timeouts: Named<TimeoutStats>,
    pools: Arc<Named<dyn AnyPool>>,
    worker_pools: Named<WorkerPool>,
    bound: Bound,
}

impl Registry {
    /// An isolated registry: all declarations of the process, in fresh state.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner {
            bus: Bus::default(),
            lifecycle: Arc::default(),
            random: Arc::new(Random::new(RandomState::new().hash_one(0))),
            seed: Mutex::new(None),
            declared: Declarations::collect(),
            sites: DashMap::new(),
            circuits: Named::of("circuit"),
            bulkheads: Named::of("bulkhead"),
            limiters: Named::of("rate limiter"),
            budgets: Named::of("retry budget"),
            timeouts: Named::of("timeout"),
            pools: Arc::new(Named::of("pool")),
            worker_pools: Named::of("worker pool"),
            bound: Bound::new(),
        };
        for (declaration, label) in &inner.declared.sites {
            let site = Arc::new(SiteEntry::new(declaration, label.clone()));
            if handles::is_dynamic(declaration) {
                inner.declare_fixed_parts(&site);
            } else {
                inner.fixed(&site);
            }
            if let Some((name, settings)) = declaration.workers {
                inner.declare_workers(name, settings);
            }
            inner.sites.insert(address(declaration), site);
        }
        Self(Arc::new(inner))
    }

    /// The registry that annotated functions called here would use: that of the innermost
    /// [`scope`](Self::scope), or the process-wide one.
    #[must_use]
    pub fn current() -> Self {
        current().unwrap_or_else(|| registry().clone())
    }

    /// Runs a future in which annotated functions use this registry. Tasks it spawns do not inherit that; scope
    /// their futures as well.
    ///
    /// # Cancel safety
    ///
    /// That of the future.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::{Registry, ResilienceError, resilient};
    ///
    /// #[resilient(circuit = "scoped")]
    /// async fn answer() -> Result<u8, ResilienceError> {
    ///     Ok(42)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let registry = Registry::new();
    /// registry.circuit("scoped").unwrap().force_open();
    /// assert!(registry.scope(answer()).await.is_err());
    /// assert_eq!(answer().await.ok(), Some(42));
    /// # }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope::new(self.clone(), future)
    }

    /// Draws jitter from this seed from now on: with paused time, every delay is the same in every run.
    ///
    /// It holds for everything in the registry, whenever that is declared or registered, and in place of the seeds that
    /// circuits and pools were built with.
    #[must_use]
    pub fn jitter_seed(self, seed: u64) -> Self {
        *self.0.seed.lock() = Some(seed);
        self.0.random.reseed(seed);
        self.circuits().iter().for_each(|circuit| circuit.reseed(seed));
        self.pools().iter().for_each(|pool| pool.reseed(seed));
        self
    }

    /// Makes no more than this many dynamic names from now on; those there are already stay until they are idle. Default
    /// 10,000.
    ///
    /// A new name takes the place of one that nobody uses at the moment. Besides those with calls under way, each thread has
    /// one in use: the name it called last. Where there is room, a name goes once it was idle for ten minutes. It is
    /// kept while its circuit is in any state but closed, its rate limiter has not got all of its quota back, or somebody
    /// holds what it goes through. Of a bound that is full of such names the next few are looked at for each new one.
    ///
    /// Everything an evicted name had goes with it, also the settings that code gave it by `configure`: the next call of
    /// that name begins with those of the attribute. To keep them, hold the `Arc` that looking the name up gives, or
    /// register the primitive under that name before its first call.
    #[must_use]
    pub fn max_dynamic_names(self, most: usize) -> Self {
        self.0.bound.set_most(most);
        self
    }

    pub(crate) fn circuit_snapshots(&self) -> Vec<CircuitSnapshot> {
        self.0.circuits.look(CircuitBreaker::snapshot)
    }

    pub(crate) fn bulkhead_snapshots(&self) -> Vec<BulkheadSnapshot> {
        self.0.bulkheads.look(Bulkhead::snapshot)
    }

    pub(crate) fn limiter_snapshots(&self) -> Vec<LimiterSnapshot> {
        self.0.limiters.look(RateLimiter::snapshot)
    }

    /// The circuit of this name. Looking up never creates: a mistyped name is `None`.
    #[must_use]
    pub fn circuit(&self, name: &str) -> Option<Arc<CircuitBreaker>> {
        self.0.circuits.get(name)
    }

    /// All circuits, sorted by name.
    #[must_use]
    pub fn circuits(&self) -> Vec<Arc<CircuitBreaker>> {
        self.0.circuits.all()
    }

    /// The bulkhead of this name.
    #[must_use]
    pub fn bulkhead(&self, name: &str) -> Option<Arc<Bulkhead>> {
        self.0.bulkheads.get(name)
    }

    /// All bulkheads, sorted by name.
    #[must_use]
    pub fn bulkheads(&self) -> Vec<Arc<Bulkhead>> {
        self.0.bulkheads.all()
    }

    /// The rate limiter of this name.
    #[must_use]
    pub fn limiter(&self, name: &str) -> Option<Arc<RateLimiter>> {
        self.0.limiters.get(name)
    }

    /// All rate limiters, sorted by name.
    #[must_use]
    pub fn limiters(&self) -> Vec<Arc<RateLimiter>> {
        self.0.limiters.all()
    }

    /// Adds a circuit of the program's own.
    ///
    /// # Errors
    ///
    /// If there is a circuit of that name, declared or registered: look it up and
    /// [`configure`](CircuitBreaker::configure) it.
    pub fn register_circuit(
        &self,
        circuit: CircuitBreaker,
    ) -> Result<Arc<CircuitBreaker>, AlreadyRegistered> {
        let circuit = Arc::new(circuit);
        self.0.circuits.register(circuit.name(), circuit.clone())?;
        circuit.attach(self.0.bus.clone());
        if let Some(seed) = *self.0.seed.lock() {
            circuit.reseed(seed);
        }
        Ok(circuit)
    }

    /// Adds a bulkhead of the program's own.
    ///
    /// # Errors
    ///
    /// If there is a bulkhead of that name.
    pub fn register_bulkhead(&self, bulkhead: Bulkhead) -> Result<Arc<Bulkhead>, AlreadyRegistered> {
        let bulkhead = Arc::new(bulkhead);
        self.0.bulkheads.register(bulkhead.name(), bulkhead.clone())?;
        Ok(bulkhead)
    }

    /// Adds a rate limiter of the program's own.
    ///
    /// # Errors
    ///
    /// If there is a rate limiter of that name.
    pub fn register_limiter(&self, limiter: RateLimiter) -> Result<Arc<RateLimiter>, AlreadyRegistered> {
        let limiter = Arc::new(limiter);
        self.0.limiters.register(limiter.name(), limiter.clone())?;
        Ok(limiter)
    }

    /// The connection pool of this name, whatever it holds.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<Arc<dyn AnyPool>> {
        self.0.pools.get(name)
    }

    /// The connection pool of this name, if its connections are made by an `M`.
    #[must_use]
    pub fn pool_of<M: Manager>(&self, name: &str) -> Option<Arc<ConnectionPool<M>>> {
        self.pool(name)?.into_any().downcast().ok()
    }

    /// All connection pools, sorted by name.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<dyn AnyPool>> {
        self.0.pools.all()
    }

    /// Adds a connection pool.
    ///
    /// # Errors
    ///
    /// If there is a connection pool of that name.
    pub fn register_pool<M: Manager>(
        &self,
        pool: ConnectionPool<M>,
    ) -> Result<Arc<ConnectionPool<M>>, AlreadyRegistered> {
        let pool = Arc::new(pool);
        self.0.pools.register(pool.name(), pool.clone())?;
        if let Some(seed) = *self.0.seed.lock() {
            pool.reseed(seed);
        }
        Ok(pool)
    }

    /// The worker pool of this name.
    #[must_use]
    pub fn worker_pool(&self, name: &str) -> Option<Arc<WorkerPool>> {
        self.0.worker_pools.get(name)
    }

    /// All worker pools, sorted by name.
    #[must_use]
    pub fn worker_pools(&self) -> Vec<Arc<WorkerPool>> {
        self.0.worker_pools.all()
    }

    /// Adds a worker pool.
    ///
    /// # Errors
    ///
    /// If there is a worker pool of that name.
    pub fn register_worker_pool(&self, workers: WorkerPool) -> Result<Arc<WorkerPool>, AlreadyRegistered> {
        let workers = Arc::new(workers);
        self.0.worker_pools.register(workers.name(), workers.clone())?;
        Ok(workers)
    }

    /// The numbers of all named timeouts, sorted by name. A name is listed once a timeout of it was made.
    #[must_use]
    pub fn timeouts(&self) -> Vec<TimeoutSnapshot> {
        self.0.timeouts.all().iter().map(|timeout| timeout.snapshot()).collect()
    }

    /// The numbers of all annotated functions, sorted by label.
    #[must_use]
    pub fn sites(&self) -> Vec<SiteSnapshot> {
        let sites: Vec<_> =
            self.0.sites.iter().map(|site| (site.stats.label().clone(), site.stats.clone())).collect();
        named::in_order(&sites).iter().map(|stats| stats.snapshot()).collect()
    }

    /// The numbers of the annotated function with this label.
    #[must_use]
    pub fn site(&self, label: &str) -> Option<SiteSnapshot> {
        self.0.sites.iter().find(|site| *site.stats.label() == *label).map(|site| site.stats.snapshot())
    }

    /// How many dynamic names there are. Drops those that nobody has used for ten minutes.
    #[must_use]
    pub fn dynamic_names(&self) -> DynamicNames {
        self.0.sweep(clock::now());
        self.0.bound.numbers()
    }

    /// Names that two attributes give different settings.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.0.declared.conflicts.clone()
    }

    /// Receives what happens from now on, after the contradictions between declarations. A receiver that falls behind loses the oldest events; it never holds up a
    /// call.
    pub fn subscribe(&self) -> EventReceiver {
        self.0.bus.subscribe(self.conflicts().into_iter().map(Event::Conflict))
    }

    /// Closes all circuits, forgets what they counted, fills limiters and retry budgets, and starts all numbers at
    /// zero. Calls under way go on and stay counted as such; their results come too late to count for the circuits.
    /// Pools keep their connections, worker pools their jobs.
    pub fn reset(&self) {
        self.circuits().iter().for_each(|circuit| circuit.reset());
        self.bulkheads().iter().for_each(|bulkhead| bulkhead.reset());
        self.limiters().iter().for_each(|limiter| limiter.reset());
        self.0.budgets.all().iter().for_each(|budget| budget.reset());
        self.0.timeouts.all().iter().for_each(|timeout| timeout.reset());
        self.pools().iter().for_each(|pool| pool.reset());
        self.worker_pools().iter().for_each(|workers| workers.reset());
        self.0.sites.iter().for_each(|site| site.stats.reset());
    }

    /// Refuses new calls, waits until those under way have ended, then closes pools and worker pools; at most for
    /// `wait` in all. There is no way back.
    ///
    /// Functions that nothing can refuse, since they only measure or retry, go on: many have no place for a refusal. They are
    /// waited for like all others, so whoever keeps calling them keeps the shutdown waiting.
    /// Attempts under way run to their end. A call that waits is answered with
    /// [`ShutDown`](crate::ResilienceError::ShutDown): at once if it waits in a bulkhead's queue, at its next attempt
    /// if it waits for its backoff. One that waits for its turn at a rate limiter still runs when that comes, unless
    /// there is a bulkhead behind it.
    ///
    /// Returns whether everything ended in time: every call, every connection given back, every job.
    ///
    /// # Cancel safety
    ///
    /// New calls stay refused when the future is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if there is something to wait for: a call, a connection
    /// or a job.
    pub async fn shutdown(&self, wait: Duration) -> bool {
        self.0.lifecycle.shut_down();
        self.bulkheads().iter().for_each(|bulkhead| bulkhead.close());
        let deadline = clock::now().saturating_add(wait);
        let mut ended = self.calls_ended(deadline).await;
        for pool in self.pools() {
            ended &= pool.drain(deadline.saturating_since(clock::now())).await == 0;
        }
        for workers in self.worker_pools() {
            ended &= workers.shutdown(deadline.saturating_since(clock::now())).await == 0;
        }
        ended
    }

    /// Whether all calls end by `deadline`: found so in two looks. A call that began at the same moment as the
    /// shutdown may have passed its check while the processor still kept its count to itself, for nanoseconds; that
    /// calls need no fence for this is worth a second look. It comes after a trip through the executor, which takes
    /// longer than that and needs no timer.
    async fn calls_ended(&self, deadline: Instant) -> bool {
        let mut ended = false;
        loop {
            let before = std::mem::replace(&mut ended, self.in_flight() == 0);
            let now = clock::now();
            if before && ended || now >= deadline {
                return ended;
            }
            if ended {
                step_aside().await;
            } else {
                // A call that ends would have to look for a waiting shutdown, every time; looking from here costs
                // calls nothing.
                clock::sleep_until(now.saturating_add(LOOK_EVERY).min(deadline)).await;
            }
        }
    }

    /// The numbers of a named timeout. Names are bounded, like all others: once there are too many, further ones
    /// share an entry.
    fn timeout(&self, name: &str) -> Arc<TimeoutStats> {
        if let Some(timeout) = self.0.timeouts.get(name) {
            return timeout;
        }
        let name = if self.0.timeouts.len() < MOST_TIMEOUTS { name } else { FURTHER_TIMEOUTS };
        let name = Name::from(&*named::bounded(name));
        self.0.timeouts.declare(&name, || TimeoutStats::new(name.clone()))
    }

    fn in_flight(&self) -> u64 {
        self.0.sites.iter().map(|site| site.stats.in_flight()).sum()
    }

    /// The entry of a site, for calls and for tests.
    pub(crate) fn entry(&self, declaration: &'static Declaration) -> Arc<SiteEntry> {
        if let Some(site) = self.0.sites.get(&address(declaration)) {
            return site.clone();
        }
        // Not collected at link time: the platform has no life before main, or the library was loaded later.
        let label = format!("{}::{}", declaration.location.module, declaration.location.function);
        self.0
            .sites
            .entry(address(declaration))
            .or_insert_with(|| Arc::new(SiteEntry::new(declaration, label.into())))
            .clone()
    }

    /// The handles of a site without templates.
    pub(crate) fn handles(&self, declaration: &'static Declaration) -> Arc<Handles> {
        self.0.fixed(&self.entry(declaration)).clone()
    }

    /// The handles of the names that a call fills in.
    pub(crate) fn dynamic(&self, site: &Arc<SiteEntry>, filled: Filled<'_>, now: Instant) -> Arc<Handles> {
        self.0.dynamic(site, filled, now)
    }
}

inventory::submit!(Directory(|name| Registry::current().timeout(name)));

/// Named timeouts that a registry tells apart.
const MOST_TIMEOUTS: usize = 10_000;

/// The name that all others share.
const FURTHER_TIMEOUTS: &str = "(further timeouts)";

/// How often a shutdown looks for the end of the calls it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Lets the executor, and the thread's other work, take a turn.
async fn step_aside() {
    let mut stepped_aside = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut stepped_aside, true) {
            return Poll::Ready(());
        }
        // An executor with nothing else to do is back at once; the operating system is not.
        std::thread::yield_now();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn address(declaration: &'static Declaration) -> usize {
    std::ptr::from_ref(declaration).addr()
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("sites", &self.0.sites.len()).finish_non_exhaustive()
    }
}
