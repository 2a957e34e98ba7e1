//! What the soak itself knows of every call, to hold the library's numbers against.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use dashmap::DashMap;

/// How a call ended, as its caller saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Answered,
    FellBack,
    Failed,
    CircuitOpen,
    BulkheadFull,
    RateLimited,
    TimedOut,
    Cancelled,
    Panicked,
}

impl Ending {
    pub(crate) const ALL: [Self; 9] = [
        Self::Answered,
        Self::FellBack,
        Self::Failed,
        Self::CircuitOpen,
        Self::BulkheadFull,
        Self::RateLimited,
        Self::TimedOut,
        Self::Cancelled,
        Self::Panicked,
    ];
}

/// The calls of one annotated function.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    begun: AtomicU64,
    endings: [AtomicU64; Ending::ALL.len()],
}

impl Calls {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    pub(crate) fn end(&self, ending: Ending) {
        self.endings[ending as usize].fetch_add(1, SeqCst);
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }

    pub(crate) fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending as usize].load(SeqCst)
    }

    /// Calls begun whose end nobody saw.
    pub(crate) fn lost(&self) -> u64 {
        self.begun() - Ending::ALL.iter().map(|&ending| self.ended(ending)).sum::<u64>()
    }
}

/// Things counted up and down, and the most of them that there ever were.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    pub(crate) fn up(&self) {
        self.peak.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
    }

    pub(crate) fn down(&self) {
        self.now.fetch_sub(1, SeqCst);
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(SeqCst)
    }
}

/// Everything that is counted beside the library.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Requests of attempts that still run, and whether the server has seen them.
    requests: DashMap<u64, bool>,
    next: AtomicU64,
    /// Attempts under way.
    pub(crate) attempts: Gauge,
    /// Those whose request the server has.
    pub(crate) seen_by_server: Gauge,
    /// Attempts that began while the circuit was half-open.
    pub(crate) probes: Gauge,
    pub(crate) fetches: Calls,
    pub(crate) searches: Calls,
    pub(crate) search_attempts: AtomicU64,
}

impl Ledger {
    /// An attempt begins; it is over when the answer is dropped.
    pub(crate) fn attempt(&self, probe: bool) -> Attempt<'_> {
        let id = self.next.fetch_add(1, SeqCst);
        self.attempts.up();
        if probe {
            self.probes.up();
        }
        self.requests.insert(id, false);
        Attempt { ledger: self, id, probe }
    }

    /// The server has read a request. It counts while its attempt runs: whoever gave up has given back its slot.
    pub(crate) fn arrived(&self, id: u64) {
        if let Some(mut seen) = self.requests.get_mut(&id)
            && !std::mem::replace(&mut *seen, true)
        {
            self.seen_by_server.up();
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// An attempt under way.
pub(crate) struct Attempt<'a> {
    ledger: &'a Ledger,
    pub(crate) id: u64,
    probe: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some((_, true)) = self.ledger.requests.remove(&self.id) {
            self.ledger.seen_by_server.down();
        }
        if self.probe {
            self.ledger.probes.down();
        }
        self.ledger.attempts.down();
    }
}
