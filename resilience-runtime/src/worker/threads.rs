//! The queue, and the threads that empty it.

use std::{collections::BTreeMap, io, sync::Arc, thread};

use tokio::sync::Notify;

use crate::{
    error::ResilienceError,
    name::Name,
    settings::WorkerSettings,
    stats::Stats,
    sync::{Condvar, Mutex},
};

/// What the threads and the callers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) threads: usize,
    pub(super) queue: usize,
    pub(super) state: Mutex<State>,
    /// A job was queued, or the threads are to end.
    work: Condvar,
    /// The last job ended after the pool stopped taking new ones.
    pub(super) ended: Notify,
    pub(super) waits: Stats<COUNTERS>,
    pub(super) runs: Stats<0>,
}

/// The queue is ordered by ticket, so that a caller who gives up takes its job out wherever it stands.
pub(super) struct State {
    pub(super) queued: BTreeMap<u64, Arc<dyn Work>>,
    pub(super) running: usize,
    /// Threads that were started.
    started: usize,
    /// Running jobs whose caller gave up.
    pub(super) abandoned: usize,
    pub(super) phase: Phase,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Takes jobs.
    Open,
    /// Takes no jobs, and finishes those it has.
    Draining,
    /// Starts no job any more.
    Closed,
}

pub(super) const CANCELLED: usize = 0;
pub(super) const COMPLETED: usize = 1;
pub(super) const PANICKED: usize = 2;
pub(super) const REFUSED: usize = 3;
const COUNTERS: usize = 4;

/// A job of any type.
pub(super) trait Work: Send + Sync {
    /// Runs it to its end, and gives its thread back with [`Shared::finish`]. Never unwinds.
    fn run(&self, shared: &Shared);

    /// Throws it out of the queue and tells its caller. Never unwinds.
    fn refuse(&self, shared: &Shared);
}

/// A pool all of whose threads run.
pub(super) fn start(name: Name, settings: WorkerSettings) -> io::Result<Arc<Shared>> {
    let shared = Shared::new(name, settings);
    for _ in 0..shared.threads {
        let started = shared.start_thread(&mut shared.state.lock());
        if let Err(error) = started {
            shared.close();
            return Err(error);
        }
    }
    Ok(shared)
}

impl Shared {
    /// A pool without a thread so far.
    pub(super) fn new(name: Name, settings: WorkerSettings) -> Arc<Self> {
        Arc::new(Self {
            name,
            threads: settings.thread_count(),
            queue: settings.queue,
            state: Mutex::new(State {
                queued: BTreeMap::new(),
                running: 0,
                started: 0,
                abandoned: 0,
                phase: Phase::Open,
                next_ticket: 0,
            }),
            work: Condvar::default(),
            ended: Notify::new(),
            waits: Stats::striped(),
            runs: Stats::striped(),
        })
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        // `Display` escapes a zero byte, which a thread's name must not contain.
        let thread = thread::Builder::new().name(format!("{}-{}", self.name, state.started));
        let theirs = Arc::clone(self);
        thread.spawn(move || theirs.serve())?;
        state.started += 1;
        Ok(())
    }

    /// Whether there is a thread for one more job, now or later. Without a free one another is started, if the pool
    /// may have more; where the operating system gives none, those that run have to do.
    fn has_thread(self: &Arc<Self>, state: &mut State) -> bool {
        let busy = state.running + state.queued.len() >= state.started;
        (busy && state.started < self.threads && self.start_thread(state).is_ok()) || state.started > 0
    }

    /// Queues a job.
    pub(super) fn submit(self: &Arc<Self>, job: Arc<dyn Work>) -> Result<u64, ResilienceError> {
        let mut state = self.state.lock();
        let refusal = if state.phase != Phase::Open {
            ResilienceError::ShutDown { name: self.name.clone() }
        } else if state.running + state.queued.len() >= self.threads + self.queue
            || !self.has_thread(&mut state)
        {
            let (threads, queue) = (self.threads, self.queue);
            ResilienceError::WorkersBusy { workers: self.name.clone(), threads, queue }
        } else {
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.queued.insert(ticket, job);
            drop(state);
            self.work.notify_one();
            return Ok(ticket);
        };
        drop(state);
        self.waits.count(REFUSED);
        Err(refusal)
    }

    /// Takes a job out of the queue again, if it has not started.
    pub(super) fn withdraw(&self, ticket: u64) -> bool {
        let mut state = self.state.lock();
        let job = state.queued.remove(&ticket);
        let ended = state.has_ended();
        drop(state);
        if ended {
            self.ended.notify_waiters();
        }
        job.is_some()
    }

    /// Takes no new jobs.
    pub(super) fn drain(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
        drop(state);
        self.work.notify_all();
    }

    /// Takes no new jobs and throws out those that wait.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        let queued = std::mem::take(&mut state.queued);
        drop(state);
        self.work.notify_all();
        self.ended.notify_waiters();
        for job in queued.into_values() {
            job.refuse(self);
        }
    }

    /// What each thread does.
    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some((_, job)) = state.queued.pop_first() {
                state.running += 1;
                drop(state);
                job.run(self);
                state = self.state.lock();
            } else if state.phase == Phase::Open {
                state = self.work.wait(state);
            } else {
                return;
            }
        }
    }

    /// The caller of a running job gave up.
    pub(super) fn abandon(&self) {
        self.state.lock().abandoned += 1;
    }

    /// A running job ended. Comes before its caller is woken, who may come back at once and must find the thread
    /// free. Answers whether it was the last one.
    pub(super) fn finish(&self, abandoned: bool) -> bool {
        let mut state = self.state.lock();
        state.running -= 1;
        state.abandoned -= usize::from(abandoned);
        state.has_ended()
    }
}

impl State {
    /// Nothing runs or waits, and nothing will come.
    pub(super) fn has_ended(&self) -> bool {
        self.phase != Phase::Open && self.running == 0 && self.queued.is_empty()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queued", &self.queued.len())
            .field("running", &self.running)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
