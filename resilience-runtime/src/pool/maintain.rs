//! Upkeep: closing what has been idle for too long or is too old, creating what is missing.
//!
//! Idle connections whose time is over are closed by callers as well, one on each return, and none of them is ever
//! handed out. What only upkeep can do is to act while nobody calls, and to create connections that nobody waits for.
//!
//! Callers do not create such connections on their way, not even those who create their own: who drives a creation
//! that is not needed has to wait for it, or to break it off halfway, and one that is left lying for the next caller
//! to drive keeps a slot from those who wait meanwhile.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use super::{
    Manager,
    acquire::{Failed, create_once},
    guard::{Progress, Right},
    shared::Shared,
    state::Phase,
    wait::Deadline,
};
#[cfg(feature = "rt")]
use crate::sync::atomic::Ordering;
use crate::{
    clock::{self, Instant},
    unwind::quietly,
};

/// Runs until the pool lets nobody in any more; a creation that is under way then is of no use and dropped.
pub(super) async fn maintain<M: Manager>(shared: Arc<Shared<M>>) {
    // Two would not keep it up better, but try twice as often where a creation fails.
    let _only = shared.keeper.lock().await;
    // Side by side: neither waits for a creation that hangs, nor for the moment in which a connection is too old.
    let mut sweeping = pin!(sweep(&shared));
    let mut filling = pin!(fill(&shared));
    poll_fn(|cx| {
        if sweeping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let _: Poll<Infallible> = filling.as_mut().poll(cx);
        Poll::Pending
    })
    .await;
}

/// Has the pool kept up by a task of the runtime that is there, if one is and no task does so yet.
#[cfg(feature = "rt")]
#[cold]
pub(super) fn start<M: Manager>(shared: &Arc<Shared<M>>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !shared.unkept.swap(false, Ordering::AcqRel) {
        return;
    }
    let keeper = Keeper(Arc::clone(shared));
    runtime.spawn(async move { maintain(Arc::clone(&keeper.0)).await });
}

/// Held by the task that keeps a pool up.
#[cfg(feature = "rt")]
struct Keeper<M: Manager>(Arc<Shared<M>>);

#[cfg(feature = "rt")]
impl<M: Manager> Drop for Keeper<M> {
    fn drop(&mut self) {
        // The runtime was shut down, and the next caller's has to do; unless it has no time driver: a task that
        // panicked for that would do so for every caller.
        let stopped = self.0.state.lock().usage().phase == Phase::Open && !std::thread::panicking();
        self.0.unkept.store(stopped, Ordering::Release);
    }
}

/// Closes connections when their time is over.
async fn sweep<M: Manager>(shared: &Shared<M>) {
    loop {
        // Before the look at the state, so that no change after it is missed.
        let mut sooner = pin!(shared.sooner.notified());
        sooner.as_mut().enable();
        let (after, due, phase) = {
            let mut state = shared.state.lock();
            let (after, due) = state.sweep(clock::now());
            (after, due, state.usage().phase)
        };
        shared.settle(after);
        if phase != Phase::Open {
            return;
        }
        if due == Instant::FAR {
            sooner.await;
        } else {
            // Either way there is something to look at.
            let _ = tokio::time::timeout_at(clock::timer(due), sooner).await;
        }
    }
}

/// Creates connections whenever too few are idle.
async fn fill<M: Manager>(shared: &Arc<Shared<M>>) -> Infallible {
    let (mut failures, mut delay) = (0, None);
    loop {
        let mut short = pin!(shared.short.notified());
        short.as_mut().enable();
        if create_missing(shared).await {
            (failures, delay) = (0, None);
            short.await;
        } else {
            failures += 1;
            let next = shared.backoff(failures, delay);
            delay = Some(next);
            clock::sleep_until(clock::now().saturating_add(next)).await;
        }
    }
}

/// Creates connections until enough are idle; false if one could not be created.
async fn create_missing<M: Manager>(shared: &Arc<Shared<M>>) -> bool {
    let progress = Progress::new(shared);
    loop {
        let wanted = shared.state.lock().spare();
        if !wanted {
            return true;
        }
        let right = Right::new(&progress);
        let start = clock::now();
        let limit = start.saturating_add(shared.settings.acquire_timeout);
        let mut deadline = pin!(Deadline::new(start, limit));
        let created = {
            let mut creation = pin!(create_once(right, &progress, deadline.as_mut()));
            // A panic of the manager's is one failure more; it must not end the upkeep.
            poll_fn(|cx| match quietly(|| creation.as_mut().poll(cx)) {
                Some(polled) => polled.map(Some),
                None => Poll::Ready(None),
            })
            .await
        };
        match created {
            Some(Ok(unproven)) => unproven.put(deadline.as_mut().now()),
            Some(Err(Failed::Create(..) | Failed::Refused(_) | Failed::TooLate)) | None => return false,
        }
    }
}
