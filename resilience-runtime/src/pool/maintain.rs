//! Upkeep: closing what has been idle for too long or is too old, creating what is missing.
//!
//! Idle connections whose time is over are closed by callers as well, one on each return, and none of them is ever
//! handed out. What only upkeep can do is to act while nobody calls, and to create connections that nobody waits for.

use std::{pin::pin, sync::Arc};

use super::{
    Manager,
    acquire::{Failed, create_once},
    guard::{Progress, Right},
    shared::Shared,
    state::Phase,
    wait::Deadline,
};
use crate::clock::{self, Instant};

/// Runs until the pool is closed.
pub(super) async fn maintain<M: Manager>(shared: Arc<Shared<M>>) {
    let (mut failures, mut delay, mut not_before) = (0, None, None::<Instant>);
    loop {
        // Before the look at the state, so that no change after it is missed.
        let mut upkeep = pin!(shared.upkeep.notified());
        upkeep.as_mut().enable();
        let now = clock::now();
        let (after, mut due, phase) = {
            let mut state = shared.state.lock();
            let (after, due) = state.sweep(now);
            (after, due, state.usage().phase)
        };
        shared.settle(after);
        if phase == Phase::Closed {
            return;
        }
        if not_before.is_none_or(|at| at <= now) {
            not_before = None;
            if !fill(&shared).await {
                failures += 1;
                let next = shared.backoff(failures, delay);
                delay = Some(next);
                not_before = Some(clock::now().saturating_add(next));
            } else {
                (failures, delay) = (0, None);
            }
        }
        due = due.min(not_before.unwrap_or(Instant::FAR));
        if due == Instant::FAR {
            upkeep.await;
        } else {
            // Either way there is something to look at.
            let _ = tokio::time::timeout_at(clock::timer(due), upkeep).await;
        }
    }
}

/// Creates connections until enough are idle; false if one could not be created.
async fn fill<M: Manager>(shared: &Arc<Shared<M>>) -> bool {
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
        match create_once(right, &progress, deadline.as_mut()).await {
            Ok(unproven) => unproven.put(deadline.as_mut().now()),
            Err(Failed::Create(..) | Failed::Refused(_) | Failed::TooLate) => return false,
        }
    }
}
