//! One job, from both ends: the caller's future and the thread's work.

use std::{
    any::Any,
    fmt,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::{
    error::{JobPanic, WorkerError},
    threads::{CANCELLED, COMPLETED, PANICKED, REFUSED, Shared, Work},
};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    sync::Mutex,
    unwind::quietly,
};

/// A job on its way; see [`WorkerPool::run`](crate::WorkerPool::run).
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct WorkerRun<F, T> {
    shared: Arc<Shared>,
    state: RunState<F, T>,
}

enum RunState<F, T> {
    /// Not polled yet: nothing is queued.
    New(F),
    /// Queued, running or done.
    Submitted { ticket: u64, job: Arc<Job<F, T>> },
    /// The caller has its answer.
    Finished,
}

/// What caller and thread share of one job.
struct Job<F, T>(Mutex<Stage<F, T>>);

enum Stage<F, T> {
    Queued {
        work: F,
        waker: Waker,
        since: Instant,
    },
    Running {
        waker: Waker,
    },
    /// Running, and nobody waits for it.
    Abandoned,
    Done(Result<T, Box<dyn Any + Send>>),
    /// Thrown out of the queue.
    Refused,
    /// There is nothing left to give or take.
    Over,
}

impl<F, T> WorkerRun<F, T> {
    pub(super) const fn new(shared: Arc<Shared>, work: F) -> Self {
        Self { shared, state: RunState::New(work) }
    }
}

// Nothing in it is pinned.
impl<F, T> Unpin for WorkerRun<F, T> {}

impl<F, T> Future for WorkerRun<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, WorkerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // ## Finished => Finished
        //
        // Only a future that is polled after its end leaves `Finished` in place; every other arm puts its own
        // state back or means it.
        match mem::replace(&mut this.state, RunState::Finished) {
            // ## New => (Submitted | Finished)
            //
            // The pool answers at once whether it takes the job.
            RunState::New(work) => {
                let stage = Stage::Queued { work, waker: cx.waker().clone(), since: clock::now() };
                let job = Arc::new(Job(Mutex::new(stage)));
                let ticket = Shared::submit(&this.shared, Arc::clone(&job) as Arc<dyn Work>)?;
                this.state = RunState::Submitted { ticket, job };
                Poll::Pending
            }
            // ## Submitted => (Submitted | Finished)
            RunState::Submitted { ticket, job } => match job.answer(&this.shared, cx.waker()) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    this.state = RunState::Submitted { ticket, job };
                    Poll::Pending
                }
            },
            RunState::Finished => panic!("`WorkerRun` polled after completion"),
        }
    }
}

impl<F, T> Drop for WorkerRun<F, T> {
    fn drop(&mut self) {
        if let RunState::Submitted { ticket, job } = &self.state {
            if self.shared.withdraw(*ticket) {
                self.shared.waits.count(CANCELLED);
            } else {
                job.abandon(&self.shared);
            }
        }
    }
}

impl<F, T> Job<F, T> {
    /// The answer, if there is one; otherwise `waker` is woken for it.
    fn answer(&self, shared: &Shared, waker: &Waker) -> Option<Result<T, WorkerError>> {
        // Cloned and dropped outside the lock: a waker may be anybody's code.
        let mut fresh = waker.clone();
        let mut stage = self.0.lock();
        match &mut *stage {
            Stage::Queued { waker, .. } | Stage::Running { waker } => {
                mem::swap(waker, &mut fresh);
                return None;
            }
            _ => {}
        }
        let last = mem::replace(&mut *stage, Stage::Over);
        drop(stage);
        let name = shared.name.clone();
        match last {
            Stage::Done(Ok(value)) => Some(Ok(value)),
            Stage::Done(Err(payload)) => Some(Err(JobPanic::new(name, payload).into())),
            _ => Some(Err(ResilienceError::ShutDown { name }.into())),
        }
    }

    /// The caller of a job that has left the queue is gone.
    fn abandon(&self, shared: &Shared) {
        let mut stage = self.0.lock();
        let next = match &*stage {
            Stage::Running { .. } => {
                shared.abandon();
                Stage::Abandoned
            }
            // A thread has taken it off the queue and was about to run it, or it has ended.
            _ => Stage::Over,
        };
        let last = mem::replace(&mut *stage, next);
        drop(stage);
        if matches!(last, Stage::Queued { .. }) {
            shared.waits.count(CANCELLED);
        }
    }
}

impl<F, T> Work for Job<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self, shared: &Shared) {
        let mut stage = self.0.lock();
        let (work, since) = match mem::replace(&mut *stage, Stage::Over) {
            Stage::Queued { work, waker, since } => {
                *stage = Stage::Running { waker };
                (work, since)
            }
            // The caller gave up between the queue and here.
            _ => {
                drop(stage);
                if shared.finish(false) {
                    shared.ended.notify_waiters();
                }
                return;
            }
        };
        drop(stage);
        let started = clock::now();
        shared.waits.time(started.saturating_since(since));
        let result = catch_unwind(AssertUnwindSafe(work));
        shared.runs.time(clock::now().saturating_since(started));
        shared.waits.count(if result.is_ok() { COMPLETED } else { PANICKED });

        let mut stage = self.0.lock();
        let last = mem::replace(&mut *stage, Stage::Over);
        let ended = shared.finish(matches!(last, Stage::Abandoned));
        if let Stage::Running { waker } = last {
            *stage = Stage::Done(result);
            drop(stage);
            quietly(|| waker.wake());
        } else {
            drop(stage);
            quietly(|| drop(result));
        }
        if ended {
            shared.ended.notify_waiters();
        }
    }

    fn refuse(&self, shared: &Shared) {
        let mut stage = self.0.lock();
        let left = mem::replace(&mut *stage, Stage::Refused);
        drop(stage);
        if let Stage::Queued { work, waker, .. } = left {
            shared.waits.count(REFUSED);
            quietly(|| drop(work));
            quietly(|| waker.wake());
        }
    }
}

impl<F, T> fmt::Debug for WorkerRun<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            RunState::New(_) => "new",
            RunState::Submitted { .. } => "submitted",
            RunState::Finished => "finished",
        };
        f.debug_struct("WorkerRun")
            .field("workers", &self.shared.name)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
