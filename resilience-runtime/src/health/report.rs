//! The report.

use crate::{
    bulkhead::BulkheadSnapshot,
    circuit::CircuitSnapshot,
    events::{CircuitState, Conflict},
    limiter::LimiterSnapshot,
    name::Name,
    pool::PoolSnapshot,
    registry::{DynamicNames, Registry, SiteSnapshot},
    stats::TimeoutSnapshot,
    worker::WorkerSnapshot,
};

/// How well a registry's dependencies are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HealthStatus {
    /// No circuit refuses calls.
    Healthy,
    /// A circuit refuses calls: it is open, forced open or half-open.
    Degraded,
    /// A circuit marked `critical` is open or forced open. Half-open it is not enough: an idle process would be taken out
    /// of service, and the call that probes would never come.
    Unhealthy,
}

/// Everything in a registry at one moment. `Display` prints a table of at most 100 columns; with feature `serde` it
/// serialises.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{CircuitBreaker, HealthStatus, Registry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::new();
/// let circuit = registry.register_circuit(CircuitBreaker::builder("stock").build()?)?;
/// assert_eq!(registry.health().status, HealthStatus::Healthy);
///
/// circuit.force_open();
/// let health = registry.health();
/// assert_eq!(health.status, HealthStatus::Degraded);
/// assert_eq!(health.unhealthy()[0].reason, "circuit `stock` is forced open: by hand");
/// println!("{health}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HealthReport {
    /// The worst of the circuits.
    pub status: HealthStatus,
    /// All annotated functions, sorted by label.
    pub sites: Vec<SiteSnapshot>,
    /// All circuits, sorted by name.
    pub circuits: Vec<CircuitSnapshot>,
    /// All bulkheads, sorted by name.
    pub bulkheads: Vec<BulkheadSnapshot>,
    /// All rate limiters, sorted by name.
    pub limiters: Vec<LimiterSnapshot>,
    /// All named timeouts, sorted by name.
    pub timeouts: Vec<TimeoutSnapshot>,
    /// All connection pools, sorted by name.
    pub pools: Vec<PoolSnapshot>,
    /// All worker pools, sorted by name.
    pub workers: Vec<WorkerSnapshot>,
    /// Names that two attributes give different settings.
    pub conflicts: Vec<Conflict>,
    /// How many dynamic names there are.
    pub dynamic_names: DynamicNames,
}

/// Something that is not well, in words.
#[derive(Clone, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Unhealthy {
    /// `circuit`, `bulkhead`, `conflict`, ...
    pub kind: &'static str,
    /// Its name.
    pub name: Name,
    /// What is wrong, with the numbers.
    pub reason: String,
}

impl Registry {
    /// How everything is at this moment. It reads counters and holds up no call.
    #[must_use]
    pub fn health(&self) -> HealthReport {
        let circuits = self.circuit_snapshots();
        HealthReport {
            status: circuits.iter().map(status).max().unwrap_or(HealthStatus::Healthy),
            sites: self.sites(),
            circuits,
            bulkheads: self.bulkhead_snapshots(),
            limiters: self.limiter_snapshots(),
            timeouts: self.timeouts(),
            pools: self.pools().iter().map(|pool| pool.snapshot()).collect(),
            workers: self.worker_pools().iter().map(|workers| workers.stats()).collect(),
            conflicts: self.conflicts(),
            dynamic_names: self.dynamic_names(),
        }
    }

    /// What is not well at this moment, each with a reason in words.
    #[must_use]
    pub fn unhealthy(&self) -> Vec<Unhealthy> {
        self.health().unhealthy()
    }
}

impl HealthReport {
    /// What is not well, each with a reason in words: circuits that refuse calls, bulkheads and pools that are
    /// waited for, worker threads busy with jobs nobody waits for any more, contradicting declarations.
    #[must_use]
    pub fn unhealthy(&self) -> Vec<Unhealthy> {
        let mut unhealthy = Vec::new();
        let mut add = |kind, name: &Name, reason| {
            unhealthy.push(Unhealthy { kind, name: name.clone(), reason });
        };
        for circuit in &self.circuits {
            if status(circuit) > HealthStatus::Healthy {
                add("circuit", &circuit.name, circuit.to_string());
            }
        }
        for BulkheadSnapshot { name, max, waiting, .. } in &self.bulkheads {
            if *waiting > 0 {
                let reason = format!("bulkhead `{name}` is full with {max} running and {waiting} waiting");
                add("bulkhead", name, reason);
            }
        }
        for PoolSnapshot { name, max_size, waiting, .. } in &self.pools {
            if *waiting > 0 {
                let reason = format!("pool `{name}` is full with {max_size} in use and {waiting} waiting");
                add("pool", name, reason);
            }
        }
        for WorkerSnapshot { name, threads, abandoned, .. } in &self.workers {
            if *abandoned > 0 {
                let reason = format!(
                    "worker pool `{name}` has {abandoned} of {threads} running for callers that gave up"
                );
                add("worker pool", name, reason);
            }
        }
        for conflict in &self.conflicts {
            add("conflict", &conflict.name, conflict.to_string());
        }
        unhealthy
    }
}

/// How well one circuit's dependency is.
fn status(circuit: &CircuitSnapshot) -> HealthStatus {
    match circuit.state {
        CircuitState::Closed | CircuitState::Disabled | CircuitState::MetricsOnly => HealthStatus::Healthy,
        CircuitState::Open | CircuitState::ForcedOpen if circuit.critical => HealthStatus::Unhealthy,
        CircuitState::Open | CircuitState::ForcedOpen | CircuitState::HalfOpen => HealthStatus::Degraded,
    }
}
