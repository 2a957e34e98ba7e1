//! Something to be measured, and how.

use std::{
    fmt,
    hint::black_box,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::allocations;

/// A call to be measured.
///
/// It is made anew on each thread that makes the call, so that a contender may keep something of the thread's own, as
/// the clones of a tower service are.
pub struct Contender {
    pub(crate) name: &'static str,
    make: Box<dyn Fn() -> Runner + Send + Sync>,
}

/// Makes so many calls and returns the size of their future, or 0 where the call is none.
pub(crate) type Runner = Box<dyn FnMut(u64) -> usize>;

/// What one call of a contender costs.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Of the fastest round.
    pub nanos: f64,
    /// Allocations, once everything is warm.
    pub allocations: f64,
    /// Bytes of the call's future, if it is one.
    pub future: Option<usize>,
}

/// How long a round is: short enough to pass between two disturbances, long enough for the clock.
const ROUND: Duration = Duration::from_micros(100);

impl Contender {
    /// A call that is no future.
    pub fn call<R, C>(name: &'static str, make: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: FnMut(u64) -> R + 'static,
    {
        let make = move || -> Runner {
            let mut call = make();
            Box::new(move |calls| {
                for id in 0..calls {
                    // By reference: to move a large answer once more is not the contender's cost.
                    black_box(&call(black_box(id)));
                }
                0
            })
        };
        Self { name, make: Box::new(make) }
    }

    /// A future, awaited on a current-thread runtime, within which it is made.
    pub fn future<T, E, C>(name: &'static str, make: impl Fn() -> C + Send + Sync + 'static) -> Self
    where
        C: AsyncFnMut(u64) -> Result<T, E> + 'static,
    {
        let make = move || -> Runner {
            let runtime = runtime();
            let mut call = {
                let _within = runtime.enter();
                make()
            };
            Box::new(move |calls| {
                runtime.block_on(async {
                    for id in 0..calls {
                        match call(black_box(id)).await {
                            Ok(value) => drop(black_box(value)),
                            Err(error) => drop(black_box(error)),
                        }
                    }
                });
                size_of_val(&call(0))
            })
        };
        Self { name, make: Box::new(make) }
    }

    /// Who it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn make(&self) -> Runner {
        (self.make)()
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contender").field(&self.name).finish()
    }
}

/// Measures contenders, who take turns.
#[must_use]
pub fn measure(contenders: &[&Contender], rounds: usize) -> Vec<Measured> {
    let mut runners: Vec<Runner> = contenders.iter().map(|contender| contender.make()).collect();
    let calls: Vec<u64> = runners.iter_mut().map(calls_per_round).collect();
    let mut measured: Vec<Measured> = runners.iter_mut().map(at_rest).collect();
    for round in 0..rounds {
        for turn in 0..runners.len() {
            // Nobody always comes after the same neighbour's cache lines.
            let who = (turn + round) % runners.len();
            let took = time(&mut runners[who], calls[who]).as_nanos() as f64 / calls[who] as f64;
            measured[who].nanos = measured[who].nanos.min(took);
        }
    }
    measured
}

/// Allocations and size; no time yet.
fn at_rest(runner: &mut Runner) -> Measured {
    const CALLS: u64 = 1_000;
    let before = allocations();
    let size = runner(CALLS);
    let allocations = (allocations() - before) as f64 / CALLS as f64;
    Measured { nanos: f64::INFINITY, allocations, future: (size > 0).then_some(size) }
}

/// How many calls fill a round, found after a warm-up.
pub(crate) fn calls_per_round(runner: &mut Runner) -> u64 {
    let mut calls = 256;
    loop {
        let took = (0..5).map(|_| time(runner, calls)).min().unwrap_or_default();
        if took >= ROUND {
            return calls;
        }
        calls = if took < ROUND / 20 { calls * 8 } else { calls * 5 / 4 };
    }
}

pub(crate) fn time(runner: &mut Runner, calls: u64) -> Duration {
    let start = now();
    runner(calls);
    now() - start
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn runtime() -> Runtime {
    // Without a time driver no timeout could be measured; a current-thread runtime spawns no thread.
    Builder::new_current_thread().enable_time().build().unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// Whether the library under measurement reads the cycle counter, as in a user's release build, and not tokio's
/// clock, as in tests. The two count from zeros that are far apart.
#[must_use]
pub fn reads_cycle_counter() -> bool {
    let now = format!("{:?}", resilience_runtime::Instant::now());
    let nanos: u64 = now.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(u64::MAX);
    nanos < 1 << 59
}
