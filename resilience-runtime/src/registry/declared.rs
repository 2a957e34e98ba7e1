//! What the linked crates declare, and where they contradict each other.

use std::{collections::HashMap, fmt};

use crate::{
    events::Conflict,
    name::Name,
    settings::{
        BulkheadSettings, CircuitSettings, Declaration, Declared, LimiterSettings, Location, NameSpec,
        RetrySettings, WorkerSettings,
    },
};

/// Settings that can be compared key by key.
pub(super) trait Keyed: Copy {
    const KIND: &'static str;

    fn entries(&self) -> Vec<(&'static str, String)>;
}

/// The settings in force for each name of one kind: the first that were declared for it.
pub(super) struct InForce<S>(HashMap<&'static str, (Location, S)>);

impl<S: Keyed> InForce<S> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn get(&self, name: &str) -> Option<S> {
        self.0.get(name).map(|(_, settings)| *settings)
    }

    /// Takes settings into force, or tells where they differ from those that are.
    fn add(&mut self, name: &'static str, ignored_at: Location, settings: S, conflicts: &mut Vec<Conflict>) {
        let Some((used_at, used)) = self.0.get(name) else {
            self.0.insert(name, (ignored_at, settings));
            return;
        };
        for ((key, used), (_, ignored)) in used.entries().into_iter().zip(settings.entries()) {
            if used != ignored {
                conflicts.push(Conflict {
                    kind: S::KIND,
                    name: Name::from_static(name),
                    key,
                    used,
                    used_at: *used_at,
                    ignored,
                    ignored_at,
                });
            }
        }
    }
}

/// All declarations of the process, resolved.
pub(super) struct Declarations {
    /// Every site with its label, in the order of preference.
    pub(super) sites: Vec<(&'static Declaration, Name)>,
    pub(super) circuits: InForce<CircuitSettings>,
    pub(super) bulkheads: InForce<BulkheadSettings>,
    pub(super) limiters: InForce<LimiterSettings>,
    pub(super) workers: InForce<WorkerSettings>,
    /// Retries that share a budget, by the circuit's name.
    pub(super) budgets: InForce<RetrySettings>,
    pub(super) conflicts: Vec<Conflict>,
}

impl Declarations {
    /// Reads what the linker collected.
    pub(super) fn collect() -> Self {
        Self::resolve(
            inventory::iter::<Declared>.into_iter().map(|Declared(declaration)| *declaration).collect(),
        )
    }

    pub(super) fn resolve(mut declarations: Vec<&'static Declaration>) -> Self {
        declarations.sort_by_key(|declaration| declaration.location.rank());
        let mut resolved = Self {
            sites: labelled(&declarations),
            circuits: InForce::new(),
            bulkheads: InForce::new(),
            limiters: InForce::new(),
            workers: InForce::new(),
            budgets: InForce::new(),
            conflicts: Vec::new(),
        };
        declarations.iter().for_each(|declaration| resolved.add(declaration));
        resolved
    }

    fn add(&mut self, declaration: &Declaration) {
        let Self { circuits, bulkheads, limiters, workers, budgets, conflicts, .. } = self;
        let location = declaration.location;
        let circuit = declaration.circuit.as_ref().map(|(name, _)| text(name));
        if let Some((name, Some(settings))) = &declaration.circuit {
            circuits.add(text(name), location, *settings, conflicts);
        }
        if let Some((name, settings)) = &declaration.bulkhead {
            if let Some(name) = name.as_ref().map(text).or(circuit) {
                bulkheads.add(name, location, *settings, conflicts);
            }
        }
        if let Some((name, settings)) = &declaration.limiter {
            if let Some(name) = name.as_ref().map(text).or(circuit) {
                limiters.add(name, location, *settings, conflicts);
            }
        }
        if let (Some(name), Some(settings)) = (circuit, declaration.retry) {
            budgets.add(name, location, settings, conflicts);
        }
        if let Some((name, Some(settings))) = declaration.workers {
            workers.add(name, location, settings, conflicts);
        }
    }
}

/// The text of a name or of its template.
pub(super) const fn text(name: &NameSpec) -> &'static str {
    match name {
        NameSpec::Static(text) | NameSpec::Template(text) => text,
    }
}

/// Labels every site: by its path, with file and line where two share a path, with a number where they share those.
fn labelled(declarations: &[&'static Declaration]) -> Vec<(&'static Declaration, Name)> {
    let path = |d: &Declaration| format!("{}::{}", d.location.module, d.location.function);
    let mut paths: HashMap<String, usize> = HashMap::new();
    for declaration in declarations {
        *paths.entry(path(declaration)).or_default() += 1;
    }
    let mut used: HashMap<String, usize> = HashMap::new();
    declarations
        .iter()
        .map(|declaration| {
            let mut label = path(declaration);
            if paths.get(&label).is_some_and(|sites| *sites > 1) {
                label = format!("{label} ({})", declaration.location);
            }
            let same = used.entry(label.clone()).or_default();
            *same += 1;
            if *same > 1 {
                label = format!("{label} #{same}");
            }
            (*declaration, Name::from(label))
        })
        .collect()
}

impl Keyed for CircuitSettings {
    const KIND: &'static str = "circuit";

    fn entries(&self) -> Vec<(&'static str, String)> {
        vec![
            ("failure_rate", shown(self.trip_rate())),
            ("window", format!("{:?}", self.window_shape())),
            ("min_calls", self.least_calls().to_string()),
            ("failure_threshold", shown(self.failure_threshold)),
            ("failure_reset_ms", shown(self.failure_reset)),
            ("slow_call_ms", shown(self.slow_call)),
            ("slow_call_rate", shown(self.trip_slow_rate())),
            ("open_ms", shown(Some(self.open_time()))),
            ("open_max_ms", shown(self.open_max)),
            ("probes", self.most_probes().to_string()),
            ("probe_successes", self.successes().to_string()),
            ("half_open_max_ms", shown(Some(self.verdict_time()))),
            ("critical", self.critical.to_string()),
        ]
    }
}

impl Keyed for BulkheadSettings {
    const KIND: &'static str = "bulkhead";

    fn entries(&self) -> Vec<(&'static str, String)> {
        vec![
            ("max", self.max.to_string()),
            ("queue", self.queue.to_string()),
            ("wait_ms", shown(Some(self.wait))),
        ]
    }
}

impl Keyed for LimiterSettings {
    const KIND: &'static str = "rate_limit";

    fn entries(&self) -> Vec<(&'static str, String)> {
        vec![
            ("max", self.max.to_string()),
            ("per_ms", shown(Some(self.per))),
            ("burst", self.capacity().to_string()),
            ("wait_ms", shown(Some(self.wait))),
        ]
    }
}

impl Keyed for RetrySettings {
    const KIND: &'static str = "retry";

    /// Only the budget belongs to the name; everything else is each site's own.
    fn entries(&self) -> Vec<(&'static str, String)> {
        vec![("budget", format!("{:?}", self.budget))]
    }
}

impl Keyed for WorkerSettings {
    const KIND: &'static str = "workers";

    fn entries(&self) -> Vec<(&'static str, String)> {
        let threads = self.threads.map_or_else(|| "one for each processor".to_owned(), |it| it.to_string());
        vec![("threads", threads), ("queue", self.queue.to_string())]
    }
}

fn shown(value: Option<impl fmt::Debug>) -> String {
    value.map_or_else(|| "off".to_owned(), |value| format!("{value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(file: &'static str, line: u32, settings: Option<CircuitSettings>) -> &'static Declaration {
        let location = Location::new("app::api", "get", file, line, 1);
        Box::leak(Box::new(Declaration::new(location).circuit(NameSpec::Static("api"), settings)))
    }

    #[test]
    fn the_first_declaration_in_the_source_wins_whatever_the_order_of_linking() {
        let (early, late) = (CircuitSettings::new().open_ms(5), CircuitSettings::new().open_ms(7).probes(1));
        let sites = [site("b.rs", 1, Some(late)), site("a.rs", 9, Some(early)), site("a.rs", 2, None)];
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let resolved = Declarations::resolve(order.map(|index| sites[index]).to_vec());
            assert_eq!(resolved.circuits.get("api"), Some(early));
            let told: Vec<String> = resolved.conflicts.iter().map(ToString::to_string).collect();
            assert_eq!(
                told,
                [
                    "circuit `api`: `open_ms` is 5ms (a.rs:9), not 7ms (b.rs:1)",
                    "circuit `api`: `probes` is 2 (a.rs:9), not 1 (b.rs:1)",
                    "circuit `api`: `probe_successes` is 2 (a.rs:9), not 1 (b.rs:1)",
                    "circuit `api`: `half_open_max_ms` is 5ms (a.rs:9), not 7ms (b.rs:1)",
                ]
            );
        }
    }

    #[test]
    fn conflicts_of_every_kind_are_told_by_their_key() {
        let site = |line, bulkhead, limiter, retry| -> &'static Declaration {
            let location = Location::new("app::api", "get", "a.rs", line, 1);
            let declaration = Declaration::new(location)
                .circuit(NameSpec::Static("api"), None)
                .bulkhead(None, bulkhead)
                .rate_limit(None, limiter)
                .retry(retry);
            Box::leak(Box::new(declaration))
        };
        let limiter = LimiterSettings::new(10);
        let first = site(1, BulkheadSettings::new(3), limiter, RetrySettings::new(1));
        let second = site(
            2,
            BulkheadSettings::new(4).queue(5).wait_ms(6),
            limiter.burst(2).wait_ms(7),
            RetrySettings::new(2).budget(0.5),
        );
        let resolved = Declarations::resolve(vec![first, second]);
        let told: Vec<String> = resolved.conflicts.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "bulkhead `api`: `max` is 3 (a.rs:1), not 4 (a.rs:2)",
                "bulkhead `api`: `queue` is 0 (a.rs:1), not 5 (a.rs:2)",
                "bulkhead `api`: `wait_ms` is 0ns (a.rs:1), not 6ms (a.rs:2)",
                "rate_limit `api`: `burst` is 10 (a.rs:1), not 2 (a.rs:2)",
                "rate_limit `api`: `wait_ms` is 0ns (a.rs:1), not 7ms (a.rs:2)",
                "retry `api`: `budget` is Share(0.2) (a.rs:1), not Share(0.5) (a.rs:2)",
            ]
        );
    }

    #[test]
    fn conflicts_are_told_in_the_order_of_the_declarations_that_lose() {
        let site = |name, line, millis| -> &'static Declaration {
            let location = Location::new("app::api", "get", "a.rs", line, 1);
            let settings = CircuitSettings::new().open_ms(millis).half_open_max_ms(1);
            let declaration = Declaration::new(location).circuit(NameSpec::Static(name), Some(settings));
            Box::leak(Box::new(declaration))
        };
        let sites = vec![site("a", 5, 9), site("b", 3, 7), site("a", 1, 5), site("b", 2, 5), site("a", 4, 7)];
        let conflicts = Declarations::resolve(sites).conflicts;
        let told: Vec<_> =
            conflicts.iter().map(|it| (&*it.name, it.ignored_at.line, it.used_at.line, &*it.used)).collect();
        assert_eq!(told, [("b", 3, 2, "5ms"), ("a", 4, 1, "5ms"), ("a", 5, 1, "5ms")]);
    }

    #[test]
    fn labels_are_unique() {
        let sites = vec![site("a.rs", 1, None), site("a.rs", 1, None), site("b.rs", 1, None)];
        let labels: Vec<_> =
            Declarations::resolve(sites).sites.into_iter().map(|(_, label)| label.to_string()).collect();
        assert_eq!(labels, ["app::api::get (a.rs:1)", "app::api::get (a.rs:1) #2", "app::api::get (b.rs:1)"]);
    }

    #[test]
    fn the_same_settings_twice_are_no_conflict() {
        let spelled_out = CircuitSettings::new().failure_rate(0.5).window(100);
        let sites = vec![site("a.rs", 1, Some(CircuitSettings::new())), site("b.rs", 1, Some(spelled_out))];
        assert_eq!(Declarations::resolve(sites).conflicts, []);
    }
}
