//! What a case runs in: a registry of its own, primitives of its own, and the weather it finds them in.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use resilience_runtime::{
    Bulkhead, CircuitBreaker, CircuitState, ConnectionPool, EventReceiver, HealthCheck, HealthReport, Jitter,
    Manager, Policy, Quota, RateLimiter, Registry, Retry, RetrySettings, TripPolicy, TripReason,
    WindowTotals, WorkerPool,
};

use crate::faults::{Broken, Point, reach, script};

/// The state of the circuits when the call comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Circuits {
    Closed,
    /// Open, and the open time is over.
    Probing,
    Refusing,
}

/// What a call meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) name: &'static str,
    /// So many attempts fail.
    pub(crate) fails: u32,
    /// The bodies never answer.
    pub(crate) hangs: bool,
    /// All slots, turns and connections are taken.
    pub(crate) busy: bool,
    /// They stay taken.
    pub(crate) starved: bool,
    pub(crate) circuits: Circuits,
}

const CALM: Weather =
    Weather { name: "calm", fails: 0, hangs: false, busy: false, starved: false, circuits: Circuits::Closed };

pub(crate) const WEATHERS: [Weather; 10] = [
    CALM,
    Weather { name: "failing", fails: 2, ..CALM },
    Weather { name: "tripping", fails: u32::MAX, ..CALM },
    Weather { name: "hanging", hangs: true, ..CALM },
    Weather { name: "busy", busy: true, ..CALM },
    Weather { name: "busy and failing", busy: true, fails: 2, ..CALM },
    Weather { name: "starved", busy: true, starved: true, ..CALM },
    Weather { name: "probing", circuits: Circuits::Probing, ..CALM },
    Weather { name: "probing in vain", circuits: Circuits::Probing, fails: u32::MAX, ..CALM },
    Weather { name: "refusing", circuits: Circuits::Refusing, ..CALM },
];

/// The poll before which what was taken becomes free, gates open and the bell rings.
const TURN: usize = 3;

/// Made by each case. Primitives of its own exist once they are asked for.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) events: tokio::sync::Mutex<EventReceiver>,
    circuit: OnceCell<Arc<CircuitBreaker>>,
    bulkhead: OnceCell<Arc<Bulkhead>>,
    limiter: OnceCell<Arc<RateLimiter>>,
    retry: OnceCell<Retry>,
    policy: OnceCell<Policy>,
    pool: OnceCell<Arc<ConnectionPool<Peers>>>,
    workers: OnceCell<Arc<WorkerPool>>,
    gate: Arc<Gate>,
    held: RefCell<Vec<Box<dyn Any>>>,
    /// Connections that the pool had when the numbers began.
    kept: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let events = tokio::sync::Mutex::new(registry.subscribe());
        Self {
            registry,
            events,
            circuit: OnceCell::new(),
            bulkhead: OnceCell::new(),
            limiter: OnceCell::new(),
            retry: OnceCell::new(),
            policy: OnceCell::new(),
            pool: OnceCell::new(),
            workers: OnceCell::new(),
            gate: Arc::default(),
            held: RefCell::default(),
            kept: Cell::new(0),
        }
    }

    /// Begins all numbers anew.
    pub(crate) fn reset(&self) {
        self.kept.set(self.registry.pools().iter().map(|pool| pool.snapshot().idle as u64).sum());
        self.registry.reset();
    }

    /// A circuit with a rule of the user's own.
    pub(crate) fn circuit(&self) -> Arc<CircuitBreaker> {
        let make = || {
            let circuit = CircuitBreaker::builder("matrix-circuit")
                .trip_policy(ThreeFailures)
                .open(OPEN)
                .probes(1)
                .build()
                .unwrap();
            self.registry.register_circuit(circuit).unwrap()
        };
        self.circuit.get_or_init(make).clone()
    }

    pub(crate) fn bulkhead(&self) -> Arc<Bulkhead> {
        let make = || {
            let wait = Duration::from_millis(15);
            let bulkhead = Bulkhead::builder("matrix-bulkhead").max(1).queue(1).wait(wait).build().unwrap();
            self.registry.register_bulkhead(bulkhead).unwrap()
        };
        self.bulkhead.get_or_init(make).clone()
    }

    pub(crate) fn limiter(&self) -> Arc<RateLimiter> {
        let make = || {
            let quota = Quota::new(1, Duration::from_millis(4)).burst(1);
            let wait = Duration::from_millis(20);
            let limiter = RateLimiter::builder("matrix-limiter").quota(quota).wait(wait).build().unwrap();
            self.registry.register_limiter(limiter).unwrap()
        };
        self.limiter.get_or_init(make).clone()
    }

    pub(crate) fn retry(&self) -> Retry {
        let make =
            || Retry::builder().max(2).delay(Duration::from_millis(3)).jitter(Jitter::None).build().unwrap();
        self.retry.get_or_init(make).clone()
    }

    pub(crate) fn policy(&self) -> Policy {
        let make = || {
            Policy::builder()
                .name("matrix-policy")
                .circuit(self.circuit())
                .bulkhead(self.bulkhead())
                .rate_limit(self.limiter())
                .retry(RetrySettings::new(2).delay_ms(3).jitter(Jitter::None))
                .timeout(Duration::from_millis(6))
                .total_timeout(Duration::from_millis(60))
                .build()
                .unwrap()
        };
        self.policy.get_or_init(make).clone()
    }

    /// One connection, created behind the circuit and checked each time.
    pub(crate) fn pool(&self) -> Arc<ConnectionPool<Peers>> {
        let make = || {
            let pool = ConnectionPool::builder("matrix-pool", Peers)
                .max_size(1)
                .acquire_timeout(Duration::from_millis(15))
                .health_check(HealthCheck::Always)
                .create_retries(0)
                .circuit(self.circuit())
                .on_create(|_, _| reach(Point::OnCreate))
                .on_acquire(|_, _| {
                    reach(Point::OnAcquire);
                    true
                })
                .on_release(|_, _| {
                    reach(Point::OnRelease);
                    true
                })
                .on_close(|_, _| reach(Point::OnClose))
                .build()
                .unwrap();
            self.registry.register_pool(pool).unwrap()
        };
        self.pool.get_or_init(make).clone()
    }

    /// One thread and one place before it.
    pub(crate) fn workers(&self) -> Arc<WorkerPool> {
        let make = || {
            let workers = WorkerPool::builder("matrix-workers").threads(1).queue(1).build().unwrap();
            self.registry.register_worker_pool(workers).unwrap()
        };
        self.workers.get_or_init(make).clone()
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Brings the weather upon everything that exists.
    pub(crate) async fn bring(&self, weather: &Weather) {
        let circuits: Vec<_> =
            self.registry.circuits().into_iter().filter(|circuit| circuit.name() != BELL).collect();
        for circuit in &circuits {
            match weather.circuits {
                Circuits::Closed => {}
                Circuits::Probing => {
                    (0..3).for_each(|_| circuit.record_failure());
                    assert_eq!(circuit.state(), CircuitState::Open, "{circuit:?}");
                }
                Circuits::Refusing => circuit.force_open(),
            }
        }
        if weather.circuits == Circuits::Probing {
            tokio::time::advance(OPEN).await;
        }
        if weather.busy {
            for bulkhead in self.registry.bulkheads() {
                self.hold(bulkhead.try_acquire_owned().expect("nobody else runs"));
            }
            for limiter in self.registry.limiters() {
                limiter.try_acquire().expect("nobody else runs");
            }
            if let Some(pool) = self.pool.get() {
                self.hold(pool.acquire().await.expect("nobody else has it"));
            }
        }
        if let Some(workers) = self.workers.get() {
            assert_eq!(workers.available_capacity(), 2);
        }
        self.gate.shut();
        for circuit in &circuits {
            drop(circuit.on_state_change(|_| reach(Point::StateListener)));
            drop(circuit.on_failure(|_| reach(Point::FailureListener)));
        }
    }

    fn hold(&self, permit: impl Any) {
        self.held.borrow_mut().push(Box::new(permit));
    }

    /// What happens before a poll.
    pub(crate) fn turn(&self, poll: usize, weather: &Weather) {
        if poll == TURN {
            if !weather.starved {
                self.held.take();
            }
            self.finish_jobs();
            if let Some(bell) = self.registry.circuit(BELL) {
                bell.force_open();
                bell.close();
            }
        }
    }

    /// Gives back what the test itself holds. Nothing is planted any more.
    pub(crate) fn clear(&self) {
        script(0, false, None);
        self.held.take();
        self.finish_jobs();
    }

    /// Lets the worker thread go on, and waits until it has nothing to do.
    fn finish_jobs(&self) {
        self.gate.open();
        if let Some(workers) = self.workers.get() {
            while workers.available_capacity() < 2 {
                std::thread::yield_now();
            }
        }
    }

    /// Makes an event for whoever waits for one, in each call's time.
    pub(crate) fn hang_bell(&self) {
        if self.registry.circuit(BELL).is_none() {
            let bell = CircuitBreaker::builder(BELL).build().unwrap();
            self.registry.register_circuit(bell).unwrap();
        }
    }

    /// The numbers of all calls so far.
    pub(crate) fn books(&self) -> Books {
        let health = self.registry.health();
        let policy = self.policy.get().map(Policy::snapshot);
        let mut books = Books::default();
        for site in health.sites.iter().chain(&policy) {
            books.calls += site.calls;
            books.attempts += site.attempts;
            books.cancelled += site.cancelled;
            books.panicked += site.panicked;
            books.ended += site.succeeded
                + site.failed
                + site.timed_out
                + site.refused_by_circuit
                + site.refused_by_bulkhead
                + site.refused_by_limiter
                + site.refused_elsewhere
                + site.cancelled
                + site.panicked;
        }
        for circuit in &health.circuits {
            books.permits += circuit.succeeded
                + circuit.failed
                + circuit.timed_out
                + circuit.panicked
                + circuit.ignored
                + circuit.cancelled
                + circuit.late_results;
            books.circuit_panics += circuit.panicked;
        }
        for timeout in &health.timeouts {
            books.timed += timeout.completed + timeout.timed_out + timeout.cancelled;
        }
        for pool in &health.pools {
            books.acquisitions += pool.acquired + pool.refused + pool.failed + pool.cancelled;
        }
        books
    }

    /// Everything that calls borrow is back.
    pub(crate) fn check_returned(&self) {
        let HealthReport { circuits, bulkheads, limiters, pools, workers, .. } = self.registry.health();
        for it in circuits {
            // One probe decides, so at rest none is counted.
            assert!(it.state != CircuitState::HalfOpen || it.probes_admitted == 0, "{it:?}");
        }
        for it in bulkheads {
            assert_eq!((it.in_flight, it.waiting, it.available), (0, 0, it.max), "{it:?}");
        }
        for it in limiters {
            assert_eq!(it.waiting, 0, "{it:?}");
        }
        for it in pools {
            assert_eq!((it.active, it.creating, it.waiting), (0, 0, 0), "{it:?}");
            assert_eq!(self.kept.get() + it.created, it.idle as u64 + it.closed.total(), "{it:?}");
        }
        for it in workers {
            assert_eq!((it.running, it.queued, it.abandoned, it.available), (0, 0, 0, 2), "{it:?}");
        }
    }
}

/// Sums over everything that counts calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Books {
    /// Calls of sites, and those of them that ended, and how.
    pub(crate) calls: u64,
    pub(crate) ended: u64,
    pub(crate) cancelled: u64,
    pub(crate) panicked: u64,
    /// Attempts of sites.
    pub(crate) attempts: u64,
    /// Results of circuits.
    pub(crate) permits: u64,
    pub(crate) circuit_panics: u64,
    /// Results of named timeouts.
    pub(crate) timed: u64,
    /// Results of a pool's `acquire`.
    pub(crate) acquisitions: u64,
}

impl Books {
    /// What was entered since.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls - before.calls,
            ended: self.ended - before.ended,
            cancelled: self.cancelled - before.cancelled,
            panicked: self.panicked - before.panicked,
            attempts: self.attempts - before.attempts,
            permits: self.permits - before.permits,
            circuit_panics: self.circuit_panics - before.circuit_panics,
            timed: self.timed - before.timed,
            acquisitions: self.acquisitions - before.acquisitions,
        }
    }
}

/// The circuit whose transitions are the events that a receiver waits for.
const BELL: &str = "matrix-bell";

/// How long the circuits stay open.
const OPEN: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct ThreeFailures;

impl TripPolicy for ThreeFailures {
    fn should_trip(&self, totals: &WindowTotals) -> Option<TripReason> {
        reach(Point::TripPolicy);
        (totals.failures >= 3).then_some(TripReason::Custom("three failures"))
    }
}

/// What a pool connects to.
pub(crate) struct Peers;

/// A connection.
pub(crate) struct Peer;

impl Manager for Peers {
    type Connection = Peer;
    type Error = Broken;

    async fn create(&self) -> Result<Peer, Broken> {
        reach(Point::Create);
        tokio::task::yield_now().await;
        reach(Point::Create);
        Ok(Peer)
    }

    async fn is_healthy(&self, _: &mut Peer) -> Result<(), Broken> {
        reach(Point::IsHealthy);
        crate::faults::dependency().await.map(|_| ())
    }

    fn is_broken(&self, _: &mut Peer) -> bool {
        reach(Point::IsBroken);
        false
    }

    fn close(&self, _: Peer) {
        reach(Point::Close);
    }
}

/// Holds a worker's thread until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicBool);

impl Gate {
    fn shut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self) {
        while self.0.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
}

/// Polls once.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
