//! From a declaration to the primitives it names.

use std::sync::{Arc, atomic::AtomicU64};

use super::{Inner, declared::text, dynamic::SiteEntry, named::bounded, pools::PoolSlot, site::Handles};
use crate::{
    bulkhead::Bulkhead,
    circuit::CircuitBreaker,
    limiter::RateLimiter,
    name::Name,
    retry::RetryBudget,
    settings::{
        BudgetRule, BulkheadSettings, CircuitSettings, Declaration, LimiterSettings, NameSpec, WorkerSettings,
    },
    worker::WorkerPool,
};

/// What a site needs of each kind: the name, the settings in force, and whether the name is made up by calls.
struct Wanted {
    circuit: Option<(Name, CircuitSettings, bool)>,
    bulkhead: Option<(Name, BulkheadSettings, bool)>,
    limiter: Option<(Name, LimiterSettings, bool)>,
    budget: Option<(Name, f64, bool)>,
}

impl Inner {
    /// The handles of a site whose names are all fixed.
    pub(super) fn fixed<'s>(&self, site: &'s SiteEntry) -> &'s Arc<Handles> {
        site.fixed.get_or_init(|| {
            let wanted = self.wanted(site, [None; 3]);
            Arc::new(self.handles(
                site,
                wanted.circuit.map(|(name, settings, _)| self.declare_circuit(&name, settings)),
                wanted.bulkhead.map(|(name, settings, _)| self.declare_bulkhead(&name, settings)),
                wanted.limiter.map(|(name, settings, _)| self.declare_limiter(&name, settings)),
                wanted.budget.map(|(name, share, _)| self.declare_budget(&name, share)),
            ))
        })
    }

    /// What a site goes through whose names calls fill in, as far as it has names that they do not: it is there from the
    /// start, and stays.
    pub(super) fn declare_fixed_parts(&self, site: &SiteEntry) {
        let wanted = self.wanted(site, [None; 3]);
        if let Some((name, settings, false)) = wanted.circuit {
            self.declare_circuit(&name, settings);
        }
        if let Some((name, settings, false)) = wanted.bulkhead {
            self.declare_bulkhead(&name, settings);
        }
        if let Some((name, settings, false)) = wanted.limiter {
            self.declare_limiter(&name, settings);
        }
    }

    /// The handles of a dynamic name; `None` where the template itself is the name.
    pub(super) fn join(&self, site: &SiteEntry, names: [Option<&str>; 3]) -> Handles {
        let wanted = self.wanted(site, names);
        let circuit = wanted.circuit.map(|(name, settings, dynamic)| {
            if !dynamic {
                return self.declare_circuit(&name, settings);
            }
            self.circuits.join(&name, || {
                let circuit = CircuitBreaker::compact(name.clone(), settings, self.random.seed());
                circuit.attach(self.bus.clone());
                circuit
            })
        });
        let bulkhead = wanted.bulkhead.map(|(name, settings, dynamic)| {
            if !dynamic {
                return self.declare_bulkhead(&name, settings);
            }
            self.bulkheads.join(&name, || Bulkhead::declared(name.clone(), settings, true))
        });
        let limiter = wanted.limiter.map(|(name, settings, dynamic)| {
            if !dynamic {
                return self.declare_limiter(&name, settings);
            }
            self.limiters.join(&name, || RateLimiter::declared(name.clone(), settings, true))
        });
        let budget = wanted.budget.map(|(name, share, dynamic)| {
            if dynamic {
                self.budgets.join(&name, || RetryBudget::compact(share))
            } else {
                self.declare_budget(&name, share)
            }
        });
        self.handles(site, circuit, bulkhead, limiter, budget)
    }

    fn handles(
        &self,
        site: &SiteEntry,
        circuit: Option<Arc<CircuitBreaker>>,
        bulkhead: Option<Arc<Bulkhead>>,
        limiter: Option<Arc<RateLimiter>>,
        budget: Option<Arc<RetryBudget>>,
    ) -> Handles {
        Handles {
            circuit,
            bulkhead,
            limiter,
            budget,
            pool: site.declaration.pool.map(|name| PoolSlot::new(name, self.pools.clone())),
            workers: site.declaration.workers.map(|(name, settings)| self.declare_workers(name, settings)),
            retry: site.declaration.retry,
            timeout: site.declaration.timeout,
            total_timeout: site.declaration.total_timeout,
            stats: site.stats.clone(),
            bus: self.bus.clone(),
            lifecycle: if site.declaration.can_refuse() {
                self.lifecycle.clone()
            } else {
                // Its function may have no place for a refusal.
                Arc::default()
            },
            random: self.random.clone(),
            key: None,
            last_used: AtomicU64::new(0),
        }
    }

    /// Names and settings: a bulkhead and a limiter take the circuit's name unless they have their own; without
    /// either they belong to the site alone.
    fn wanted(&self, site: &SiteEntry, [circuit, bulkhead, limiter]: [Option<&str>; 3]) -> Wanted {
        let Declaration { circuit: of_circuit, bulkhead: of_bulkhead, limiter: of_limiter, retry, .. } =
            site.declaration;
        let filled = |spec: &NameSpec, name: Option<&str>| match name {
            Some(name) => (text(spec), Name::from(&*bounded(name)), true),
            None => (text(spec), Name::from_static(text(spec)), matches!(spec, NameSpec::Template(_))),
        };
        let circuit = of_circuit.as_ref().map(|(spec, settings)| (filled(spec, circuit), settings));
        let inherited = circuit.as_ref().map(|(name, _)| name.clone());
        let own = || (site.stats.label().clone(), false);
        let named = |spec: &Option<NameSpec>, name: Option<&str>| match spec {
            Some(spec) => Some(filled(spec, name)),
            None => inherited.clone(),
        };
        Wanted {
            bulkhead: of_bulkhead.as_ref().map(|(spec, settings)| match named(spec, bulkhead) {
                Some((key, name, dynamic)) => {
                    (name, self.declared.bulkheads.get(key).unwrap_or(*settings), dynamic)
                }
                None => (own().0, *settings, false),
            }),
            limiter: of_limiter.as_ref().map(|(spec, settings)| match named(spec, limiter) {
                Some((key, name, dynamic)) => {
                    (name, self.declared.limiters.get(key).unwrap_or(*settings), dynamic)
                }
                None => (own().0, *settings, false),
            }),
            budget: retry.as_ref().and_then(|settings| {
                let (settings, name, dynamic) = match &inherited {
                    Some((key, name, dynamic)) => {
                        (self.declared.budgets.get(key).unwrap_or(*settings), name.clone(), *dynamic)
                    }
                    None => (*settings, own().0, false),
                };
                match settings.budget {
                    BudgetRule::Share(share) => Some((name, share, dynamic)),
                    BudgetRule::Unlimited => None,
                }
            }),
            circuit: circuit.map(|((key, name, dynamic), settings)| {
                let settings = self.declared.circuits.get(key).or(*settings).unwrap_or_default();
                (name, settings, dynamic)
            }),
        }
    }

    fn declare_circuit(&self, name: &Name, settings: CircuitSettings) -> Arc<CircuitBreaker> {
        self.circuits.declare(name, || {
            let circuit = CircuitBreaker::declared(name.clone(), settings, self.random.seed());
            circuit.attach(self.bus.clone());
            circuit
        })
    }

    fn declare_bulkhead(&self, name: &Name, settings: BulkheadSettings) -> Arc<Bulkhead> {
        self.bulkheads.declare(name, || Bulkhead::declared(name.clone(), settings, false))
    }

    fn declare_limiter(&self, name: &Name, settings: LimiterSettings) -> Arc<RateLimiter> {
        self.limiters.declare(name, || RateLimiter::declared(name.clone(), settings, false))
    }

    /// The worker pool of this name, with the settings in force; it has no threads before its first job.
    pub(super) fn declare_workers(
        &self,
        name: &'static str,
        settings: Option<WorkerSettings>,
    ) -> Arc<WorkerPool> {
        let settings = self.declared.workers.get(name).or(settings).unwrap_or_default();
        let name = Name::from_static(name);
        self.worker_pools.declare(&name, || WorkerPool::declared(name.clone(), settings))
    }

    fn declare_budget(&self, name: &Name, share: f64) -> Arc<RetryBudget> {
        self.budgets.declare(name, || RetryBudget::new(share))
    }
}

/// Whether calls of this declaration fill in a name.
pub(super) fn is_dynamic(declaration: &Declaration) -> bool {
    let template = |spec: &NameSpec| matches!(spec, NameSpec::Template(_));
    declaration.circuit.as_ref().is_some_and(|(spec, _)| template(spec))
        || declaration.bulkhead.as_ref().and_then(|(spec, _)| spec.as_ref()).is_some_and(template)
        || declaration.limiter.as_ref().and_then(|(spec, _)| spec.as_ref()).is_some_and(template)
}
