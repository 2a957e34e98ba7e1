//! What the registry knows of one annotated function: its numbers, and the primitives it goes through.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    dynamic::{self, Key},
    pools::PoolSlot,
};
use crate::{
    bulkhead::Bulkhead,
    circuit::CircuitBreaker,
    clock::Instant,
    error::{ErrorKind, ResilienceError},
    events::Bus,
    limiter::RateLimiter,
    name::Name,
    retry::RetryBudget,
    settings::RetrySettings,
    stats::{Latency, Sample, Stats},
    sync::stripe::Stripe,
    worker::WorkerPool,
};

/// What a site counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SiteCount {
    Started,
    /// Attempts but for each call's first, where the call was admitted at once: those are as many as were started,
    /// and need no count of their own on the happy path.
    FurtherAttempts,
    /// Calls that were not admitted at once.
    Hindered,
    Retries,
    Fallbacks,
    BudgetExhausted,
    Succeeded,
    Failed,
    TimedOut,
    RefusedByCircuit,
    RefusedByBulkhead,
    RefusedByLimiter,
    RefusedElsewhere,
    Cancelled,
    Panicked,
}

const COUNTS: usize = SiteCount::Panicked as usize + 1;

/// The counts that end a call; the rest of those started is in flight.
const ENDS: std::ops::Range<usize> = SiteCount::Succeeded as usize..COUNTS;

/// The numbers of one site.
#[derive(Debug)]
pub(crate) struct SiteStats {
    label: Name,
    stats: Stats<COUNTS>,
}

impl SiteStats {
    pub(crate) fn new(label: Name) -> Self {
        Self { label, stats: Stats::striped() }
    }

    pub(crate) const fn label(&self) -> &Name {
        &self.label
    }

    #[inline]
    pub(crate) fn count(&self, which: SiteCount) {
        self.stats.count(which as usize);
    }

    /// The same for a caller that knows its stripe already.
    #[inline]
    pub(crate) fn count_in(&self, stripe: Stripe, which: SiteCount) {
        self.stats.count_in(stripe, which as usize);
    }

    /// Counts a call that ran to an end of its own.
    #[inline]
    pub(crate) fn conclude(&self, stripe: Stripe, which: SiteCount, took: Sample) {
        self.stats.count_timed(stripe, which as usize, took);
    }

    pub(crate) fn refused(&self, kind: ErrorKind) {
        self.count(match kind {
            ErrorKind::CircuitOpen => SiteCount::RefusedByCircuit,
            ErrorKind::BulkheadFull => SiteCount::RefusedByBulkhead,
            ErrorKind::RateLimited => SiteCount::RefusedByLimiter,
            ErrorKind::TimedOut => SiteCount::TimedOut,
            _ => SiteCount::RefusedElsewhere,
        });
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let counts = self.stats.counts();
        counts[SiteCount::Started as usize].saturating_sub(counts[ENDS].iter().sum())
    }

    /// Starts all numbers at zero, but for the calls under way: those have begun, and will end.
    pub(crate) fn reset(&self) {
        self.stats.reset_but(|counts| {
            let ended = counts[ENDS].iter().sum();
            counts[SiteCount::Started as usize] = ended;
        });
    }

    pub(crate) fn snapshot(&self) -> SiteSnapshot {
        let counts = self.stats.counts();
        let count = |which: SiteCount| counts[which as usize];
        SiteSnapshot {
            name: self.label.clone(),
            calls: count(SiteCount::Started),
            in_flight: count(SiteCount::Started).saturating_sub(counts[ENDS].iter().sum()),
            attempts: (count(SiteCount::Started) + count(SiteCount::FurtherAttempts))
                .saturating_sub(count(SiteCount::Hindered)),
            retries: count(SiteCount::Retries),
            fallbacks: count(SiteCount::Fallbacks),
            budget_exhausted: count(SiteCount::BudgetExhausted),
            succeeded: count(SiteCount::Succeeded),
            failed: count(SiteCount::Failed),
            timed_out: count(SiteCount::TimedOut),
            refused_by_circuit: count(SiteCount::RefusedByCircuit),
            refused_by_bulkhead: count(SiteCount::RefusedByBulkhead),
            refused_by_limiter: count(SiteCount::RefusedByLimiter),
            refused_elsewhere: count(SiteCount::RefusedElsewhere),
            cancelled: count(SiteCount::Cancelled),
            panicked: count(SiteCount::Panicked),
            latency: self.stats.latency(),
        }
    }
}

/// The numbers of one annotated function, or of one [`Policy`](crate::Policy).
///
/// Every call ends in exactly one of `succeeded`, `failed`, `timed_out`, the `refused` ones, `cancelled` and
/// `panicked`, or is in flight. The numbers are read one after another, so they may be off by the calls that
/// begin or end meanwhile.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SiteSnapshot {
    /// `module::path::function`, with file and line where that is ambiguous.
    pub name: Name,
    /// Calls begun.
    pub calls: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Attempts begun: calls that were let through, and their retries.
    pub attempts: u64,
    /// Attempts planned after the first. Some of them may not begin: the call is cancelled or refused before.
    pub retries: u64,
    /// Calls that a fallback answered. They are counted by how they ended before, too.
    pub fallbacks: u64,
    /// Retries given up because the budget was empty.
    pub budget_exhausted: u64,
    /// Calls that returned what they were called for.
    pub succeeded: u64,
    /// Calls that returned the user's error.
    pub failed: u64,
    /// Calls that ran out of time.
    pub timed_out: u64,
    /// Calls that a circuit refused.
    pub refused_by_circuit: u64,
    /// Calls that a bulkhead refused.
    pub refused_by_bulkhead: u64,
    /// Calls that a limiter refused.
    pub refused_by_limiter: u64,
    /// Calls refused for another reason: a pool had no connection or no thread for them, the registry was shut down.
    pub refused_elsewhere: u64,
    /// Calls whose future was dropped.
    pub cancelled: u64,
    /// Calls that panicked.
    pub panicked: u64,
    /// Time from begin to end of the calls that ended by themselves, refusals aside; `None` before the first.
    pub latency: Option<Latency>,
}

/// Whether a registry takes calls. Shared by everything that belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle(AtomicBool);

impl Lifecycle {
    #[inline]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn shut_down(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Where a registry's random numbers come from.
#[derive(Debug)]
pub(crate) struct Random {
    seed: AtomicU64,
    drawn: AtomicU64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: AtomicU64::new(seed), drawn: AtomicU64::new(0) }
    }

    pub(crate) fn reseed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        self.drawn.store(0, Ordering::Relaxed);
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    /// The next number. Only what is about to wait draws one, so one shared counter is no bottleneck.
    pub(crate) fn draw(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        // SplitMix64 (Steele, Lea, Flood, 2014) in counter form: one draw needs nothing of the draws before.
        let mut z = self.seed().wrapping_add(drawn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The primitives that one site, or one dynamic name of it, goes through; looked up once.
#[derive(Debug)]
pub(crate) struct Handles {
    pub(crate) circuit: Option<Arc<CircuitBreaker>>,
    pub(crate) bulkhead: Option<Arc<Bulkhead>>,
    pub(crate) limiter: Option<Arc<RateLimiter>>,
    pub(crate) budget: Option<Arc<RetryBudget>>,
    pub(crate) pool: Option<PoolSlot>,
    pub(crate) workers: Option<Arc<WorkerPool>>,
    pub(crate) retry: Option<RetrySettings>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) total_timeout: Option<Duration>,
    pub(crate) stats: Arc<SiteStats>,
    pub(crate) bus: Bus,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) random: Arc<Random>,
    /// Under what a site finds the handles of a dynamic name.
    pub(crate) key: Option<Key>,
    /// When a dynamic name was last called; unused for static ones.
    pub(crate) last_used: AtomicU64,
}

impl Handles {
    #[cold]
    pub(crate) fn shut_down(&self) -> ResilienceError {
        ResilienceError::ShutDown { name: self.stats.label().clone() }
    }

    /// A random number in [0, 1).
    pub(crate) fn random(&self) -> f64 {
        // The 53 bits that an f64 holds exactly.
        (self.random.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn touch(&self, now: Instant) {
        self.last_used.store(now.as_nanos(), Ordering::Relaxed);
    }

    pub(crate) fn idle_since(&self) -> Instant {
        Instant::from_nanos(self.last_used.load(Ordering::Relaxed))
    }
}

/// Handles of a static site are borrowed for good; all others are counted.
#[derive(Debug)]
pub(crate) enum HandlesRef<'h> {
    Borrowed(&'h Handles),
    Shared(Shared),
}

/// Handles, until they go back to the thread's last name.
#[derive(Debug)]
pub(crate) struct Shared(Option<Arc<Handles>>);

impl From<Arc<Handles>> for HandlesRef<'_> {
    fn from(handles: Arc<Handles>) -> Self {
        Self::Shared(Shared(Some(handles)))
    }
}

impl HandlesRef<'_> {
    /// Whether there is nothing to give back.
    #[inline]
    pub(crate) const fn is_borrowed(&self) -> bool {
        matches!(self, Self::Borrowed(_))
    }

    /// Gives shared handles back to the thread's last name, and is of no use any more.
    pub(crate) fn give_back(&mut self) {
        if let Self::Shared(Shared(handles)) = self {
            handles.take().into_iter().for_each(dynamic::keep);
        }
    }
}

impl Deref for HandlesRef<'_> {
    type Target = Handles;

    #[inline]
    fn deref(&self) -> &Handles {
        match self {
            Self::Borrowed(handles) => handles,
            Self::Shared(Shared(Some(handles))) => handles,
            Self::Shared(Shared(None)) => unreachable!("they leave when they are dropped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::stripe;

    /// Numbers of the generator's reference implementation.
    #[test]
    fn numbers_are_those_of_splitmix64() {
        let random = Random::new(1_234_567);
        let drawn = [(); 5].map(|()| random.draw());
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let (one, two) = (Random::new(7), Random::new(8));
        let first: Vec<u64> = (0..3).map(|_| one.draw()).collect();
        assert_ne!(first, (0..3).map(|_| two.draw()).collect::<Vec<_>>());
        two.reseed(7);
        assert_eq!(first, (0..3).map(|_| two.draw()).collect::<Vec<_>>());
    }

    #[test]
    fn a_reset_keeps_the_calls_under_way() {
        let stats = SiteStats::new(Name::from_static("site"));
        (0..3).for_each(|_| stats.count(SiteCount::Started));
        let end = || stats.conclude(stripe::current(), SiteCount::Succeeded, Sample::new(1));
        end();
        stats.reset();
        let snapshot = stats.snapshot();
        assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.succeeded), (2, 2, 0));
        end();
        end();
        let snapshot = stats.snapshot();
        assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.succeeded), (2, 0, 2));
    }

    #[test]
    fn a_call_is_in_flight_until_it_ends() {
        let stats = SiteStats::new(Name::from_static("site"));
        stats.count(SiteCount::Started);
        stats.count(SiteCount::Started);
        stats.conclude(stripe::current(), SiteCount::Failed, Sample::new(4_000_000));
        let snapshot = stats.snapshot();
        assert_eq!((snapshot.calls, snapshot.in_flight, snapshot.failed), (2, 1, 1));
        assert_eq!(snapshot.latency.map(|latency| latency.max), Some(Duration::from_millis(4)));
    }
}
