//! Many tasks that want few things: what a turn costs, and whether some wait much longer than others.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
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
type Round = dyn Fn(&Runtime, Watch) -> Vec<Duration>;

/// How a crowd fared.
#[derive(Clone, Copy, Debug)]
pub struct Fared {
    /// Time of a turn: a round's over all turns of all tasks, of the fastest round.
    pub turn: f64,
    /// How many nanoseconds the longest wait of a round lasted.
    pub longest: f64,
    /// How many nanoseconds half of its waits lasted at most.
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
            let tasks: Vec<JoinHandle<Vec<Duration>>> =
                (0..TASKS).map(|_| runtime.spawn(turns(scarce.clone(), watch))).collect();
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

async fn turns<S: Scarce>(scarce: Arc<S>, watch: Watch) -> Vec<Duration> {
    let mut waits = Vec::with_capacity(if watch == Watch::Waits { TURNS } else { 0 });
    for _ in 0..TURNS {
        let begun: Option<Instant> = (watch == Watch::Waits).then(now);
        let held = scarce.acquire().await;
        waits.extend(begun.map(|begun| now() - begun));
        yield_now().await;
        drop(held);
    }
    waits
}

/// Measures crowds, who take turns. Of the rounds whose waits are watched the fairest counts: what else the machine
/// does only adds to the longest wait, and who is unfair is so in every round.
#[must_use]
pub fn fare(crowds: &[&Crowd], rounds: usize) -> Vec<Fared> {
    let unmeasured = Fared { turn: f64::INFINITY, longest: f64::INFINITY, median: 1.0 };
    let mut fared = vec![unmeasured; crowds.len()];
    for round in 0..rounds {
        for turn in 0..crowds.len() {
            // Nobody always comes after the same neighbour's cache lines.
            let who = (turn + round) % crowds.len();
            let (crowd, best) = (crowds[who], &mut fared[who]);
            let start = now();
            (crowd.round)(&crowd.runtime, Watch::Off);
            best.turn = best.turn.min((now() - start).as_nanos() as f64 / (TASKS * TURNS) as f64);

            let mut waits = (crowd.round)(&crowd.runtime, Watch::Waits);
            waits.sort_unstable();
            let longest = waits[waits.len() - 1].as_nanos() as f64;
            let median = waits[waits.len() / 2].as_nanos() as f64;
            if longest / median < best.longest / best.median {
                (best.longest, best.median) = (longest, median);
            }
        }
    }
    fared
}
