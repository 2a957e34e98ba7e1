//! Many tasks that want few things: what a turn costs, and whether some wait much longer than others.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, yield_now},
};

use crate::contender::now;

/// What tasks compete for.
pub trait Scarce: Send + Sync + 'static {
    /// One of it, given back when it is dropped.
    type Held<'a>: Send;

    /// Waits for one.
    fn acquire(&self) -> impl Future<Output = Self::Held<'_>> + Send;
}

/// Tasks that take turns with something scarce: each waits for it, yields once while it has it, gives it back, and
/// waits again.
pub struct Crowd {
    name: &'static str,
    runtime: Runtime,
    round: Box<Round>,
}

/// Lets all tasks take their turns, and returns the waits that were watched.
type Round = dyn Fn(&Runtime, Watch) -> Vec<Wait>;

/// One wait: how long it was, and how many turns others began meanwhile.
#[derive(Clone, Copy, Debug)]
struct Wait {
    time: Duration,
    turns: u64,
}

/// How a crowd fared.
#[derive(Clone, Copy, Debug)]
pub struct Fared {
    /// Nanoseconds a turn takes: a round's over all turns of all tasks, of the fastest round.
    pub turn: f64,
    /// Waits in nanoseconds. Whoever is kept from the processor meanwhile has waited, too.
    pub time: Spread,
    /// Waits in turns that others began meanwhile: what stops the whole process does not count.
    pub turns: Spread,
}

/// The waits of a round: of the one in which the longest over the median is the median of all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The longest wait.
    pub longest: f64,
    /// Half of the waits were no longer.
    pub median: f64,
}

/// Waits are watched in rounds of their own: two readings of the clock a turn are not the contender's cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watch {
    Off,
    Waits,
}

const TASKS: usize = 64;

/// So many that starting the tasks does not count.
const TURNS: usize = 100;

impl Crowd {
    /// A crowd on a current-thread runtime, or on one with so many `workers`; `make` runs within it.
    pub fn new<S: Scarce>(name: &'static str, workers: Option<usize>, make: impl FnOnce() -> S) -> Self {
        let mut builder = match workers {
            Some(_) => Builder::new_multi_thread(),
            None => Builder::new_current_thread(),
        };
        workers.map(|workers| builder.worker_threads(workers));
        let runtime = builder.enable_time().build().unwrap_or_else(|error| panic!("no runtime: {error}"));
        let scarce = {
            let _within = runtime.enter();
            Arc::new(make())
        };
        let round = move |runtime: &Runtime, watch| {
            let begun = Arc::new(AtomicU64::new(0));
            let tasks: Vec<JoinHandle<Vec<Wait>>> =
                (0..TASKS).map(|_| runtime.spawn(turns(scarce.clone(), begun.clone(), watch))).collect();
            runtime.block_on(async {
                let mut waits = Vec::new();
                for task in tasks {
                    waits.append(&mut task.await.unwrap_or_else(|error| panic!("{error}")));
                }
                waits
            })
        };
        Self { name, runtime, round: Box::new(round) }
    }

    /// Who it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Crowd").field(&self.name).finish()
    }
}

async fn turns<S: Scarce>(scarce: Arc<S>, begun: Arc<AtomicU64>, watch: Watch) -> Vec<Wait> {
    let mut waits = Vec::with_capacity(if watch == Watch::Waits { TURNS } else { 0 });
    for _ in 0..TURNS {
        let before = (watch == Watch::Waits).then(|| (now(), begun.load(Ordering::Relaxed)));
        let held = scarce.acquire().await;
        waits.extend(before.map(|(start, others)| {
            let turns = begun.fetch_add(1, Ordering::Relaxed) - others;
            Wait { time: now() - start, turns }
        }));
        yield_now().await;
        drop(held);
    }
    waits
}

/// Measures crowds, who take turns.
#[must_use]
pub fn fare(crowds: &[&Crowd], rounds: usize) -> Vec<Fared> {
    let mut fastest = vec![f64::INFINITY; crowds.len()];
    let mut watched: Vec<(Vec<Spread>, Vec<Spread>)> = vec![(Vec::new(), Vec::new()); crowds.len()];
    for round in 0..rounds {
        for turn in 0..crowds.len() {
            // Nobody always comes after the same neighbour's cache lines.
            let who = (turn + round) % crowds.len();
            let crowd = crowds[who];
            let start = now();
            (crowd.round)(&crowd.runtime, Watch::Off);
            fastest[who] = fastest[who].min((now() - start).as_nanos() as f64 / (TASKS * TURNS) as f64);

            let waits = (crowd.round)(&crowd.runtime, Watch::Waits);
            watched[who].0.push(Spread::of(waits.iter().map(|wait| wait.time.as_nanos() as f64)));
            // Who begins at once has had one turn to wait for: its own.
            watched[who].1.push(Spread::of(waits.iter().map(|wait| (wait.turns + 1) as f64)));
        }
    }
    let fared = fastest.into_iter().zip(watched);
    fared.map(|(turn, (time, turns))| Fared { turn, time: typical(time), turns: typical(turns) }).collect()
}

impl Spread {
    fn of(waits: impl Iterator<Item = f64>) -> Self {
        let mut waits: Vec<f64> = waits.collect();
        waits.sort_by(f64::total_cmp);
        Self { longest: waits[waits.len() - 1], median: waits[waits.len() / 2] }
    }

    fn ratio(self) -> f64 {
        self.longest / self.median
    }
}

fn typical(mut rounds: Vec<Spread>) -> Spread {
    rounds.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    rounds[rounds.len() / 2]
}
