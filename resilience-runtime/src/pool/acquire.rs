//! A caller's way to a connection.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    HealthCheck, Manager, PoolError, Pooled,
    entry::{CloseReason, Entry},
    guard::{Admitted, Call, Progress, Right, Unproven},
    shared::{Shared, count},
    state::{Grant, Taken},
    wait::{Deadline, Elapsed, Turn, UserCode},
};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    gate::GateOutcome,
    sync::atomic::Ordering,
};

/// Waits, creates and checks, all within `limit`.
#[inline]
pub(super) async fn acquire<M: Manager>(
    shared: &Arc<Shared<M>>,
    limit: Duration,
) -> Result<Pooled<M>, PoolError<M::Error>> {
    let start = clock::now();
    let progress = Progress::new(shared);
    let call = Call::new(&progress);
    let mut deadline = pin!(Deadline::new(start, start.saturating_add(limit)));
    let result = Way { progress: &progress, start, limit, last: None }.go(deadline.as_mut()).await;
    call.end(match &result {
        Ok(_) => count::ACQUIRED,
        Err(PoolError::Refused(_)) => count::REFUSED,
        Err(_) => count::FAILED,
    });
    result
}

struct Way<'c, M: Manager> {
    progress: &'c Progress<'c, M>,
    start: Instant,
    limit: Duration,
    /// What went wrong last.
    last: Option<PoolError<M::Error>>,
}

impl<'c, M: Manager> Way<'c, M> {
    #[inline]
    async fn go(mut self, mut deadline: Pin<&mut Deadline>) -> Result<Pooled<M>, PoolError<M::Error>> {
        let shared = self.progress.shared;
        // Who brings its waker takes its place under one lock instead of two.
        let waker = match shared.crowded.load(Ordering::Relaxed) {
            true => Some(poll_fn(|cx| Poll::Ready(cx.waker().clone())).await),
            false => None,
        };
        let mut taken = shared.take(self.start, waker);
        loop {
            taken = match taken {
                // ## Granted connection => (handed out | Taken)
                //
                // One that is of no use is exchanged for another; every round closes one, so it ends.
                Taken::Granted(Grant::Connection(entry)) => {
                    let mut unproven = Unproven::new(self.progress, entry);
                    let objection = if self.wants_check(unproven.entry(), deadline.as_mut().now()) {
                        let connection = &mut unproven.entry().connection;
                        let check = self.progress.user(|| shared.manager.is_healthy(connection));
                        match UserCode::new(check, self.progress, deadline.as_mut()).await {
                            Ok(Ok(())) => None,
                            Ok(Err(error)) => {
                                self.last = Some(PoolError::Unhealthy(error));
                                Some(CloseReason::Unhealthy)
                            }
                            Err(Elapsed) => {
                                unproven.discard(CloseReason::Unhealthy);
                                return Err(self.too_late());
                            }
                        }
                    } else {
                        None
                    };
                    match objection.or_else(|| self.rejection(&mut unproven, deadline.as_mut().now())) {
                        Some(reason) => unproven.exchange(reason, deadline.as_mut().now()),
                        None => return Ok(self.arrive(unproven, deadline.as_mut().now())),
                    }
                }
                // ## Granted creation => (handed out | Taken)
                Taken::Granted(Grant::Creation) => {
                    match self.create(Right::new(self.progress), deadline.as_mut()).await? {
                        Ok(unproven) => return Ok(self.arrive(unproven, deadline.as_mut().now())),
                        Err(taken) => taken,
                    }
                }
                // ## Queued => (Granted | Closed)
                Taken::Queued(place) => match Turn::new(place, self.progress, deadline.as_mut()).await {
                    Ok(Some(grant)) => Taken::Granted(grant),
                    Ok(None) => Taken::Closed,
                    Err(Elapsed) => return Err(self.exhausted(deadline.as_mut().now())),
                },
                // ## Outdated => Taken
                Taken::Outdated(entry, reason) => {
                    Unproven::new(self.progress, entry).exchange(reason, deadline.as_mut().now())
                }
                Taken::Closed => return Err(shared.shut_down().into()),
                Taken::Full => return Err(self.exhausted(self.start)),
            }
        }
    }

    /// Creates a connection, again if need be; or takes one that has come back meanwhile; or neither, if the pool was
    /// closed.
    async fn create(
        &mut self,
        mut right: Right<'c, M>,
        mut deadline: Pin<&mut Deadline>,
    ) -> Result<Result<Unproven<'c, M>, Taken<M::Connection>>, PoolError<M::Error>> {
        let shared = self.progress.shared;
        let (mut attempt, mut delay) = (1, None);
        loop {
            right = match right.exchange(deadline.as_mut().now()) {
                Ok(taken) => return Ok(Err(taken)),
                Err(right) => right,
            };
            right = match create_once(right, self.progress, deadline.as_mut()).await {
                Ok(unproven) => return Ok(Ok(unproven)),
                Err(Failed::Refused(refusal)) => return Err(refusal.into()),
                Err(Failed::TooLate) => return Err(self.too_late()),
                Err(Failed::Create(error, right)) => {
                    self.last = Some(PoolError::Create(error));
                    right
                }
            };
            let now = deadline.as_mut().now();
            let next = shared.backoff(attempt, delay);
            if attempt > shared.settings.create_retries || now.saturating_add(next) >= deadline.at() {
                return Err(self.too_late());
            }
            (attempt, delay) = (attempt + 1, Some(next));
            deadline.as_mut().sleep(next).await;
        }
    }

    fn wants_check(&self, entry: &Entry<M::Connection>, now: Instant) -> bool {
        match self.progress.shared.settings.check {
            HealthCheck::AfterIdle(limit) => now.saturating_since(entry.since) >= limit,
            HealthCheck::Always => true,
            HealthCheck::Never => false,
        }
    }

    #[inline]
    fn rejection(&self, unproven: &mut Unproven<'_, M>, now: Instant) -> Option<CloseReason> {
        let hook = self.progress.shared.hooks.on_acquire.as_ref()?;
        let entry = unproven.entry();
        let info = entry.info(now);
        if self.progress.user(|| hook(&mut entry.connection, &info)) {
            None
        } else {
            Some(CloseReason::Rejected)
        }
    }

    #[inline]
    fn arrive(&self, unproven: Unproven<'_, M>, now: Instant) -> Pooled<M> {
        self.progress.shared.calls.time(now.saturating_since(self.start));
        unproven.hand_out(now)
    }

    /// The time is over, or the queue too long.
    fn exhausted(&mut self, now: Instant) -> PoolError<M::Error> {
        let shared = self.progress.shared;
        self.last.take().unwrap_or_else(|| {
            let max = shared.state.lock().usage().max_size;
            let waited = now.saturating_since(self.start);
            ResilienceError::PoolExhausted { pool: shared.name.clone(), max, waited }.into()
        })
    }

    /// The time is over while user code runs or is about to.
    fn too_late(&mut self) -> PoolError<M::Error> {
        let site = self.progress.shared.name.clone();
        self.last.take().unwrap_or_else(|| ResilienceError::TimedOut { site, after: self.limit }.into())
    }
}

/// Why a connection was not created.
pub(super) enum Failed<'c, M: Manager> {
    /// The manager failed; the right to create is still there.
    Create(M::Error, Right<'c, M>),
    Refused(ResilienceError),
    TooLate,
}

/// Creates one connection, if the circuit lets it.
pub(super) async fn create_once<'c, M: Manager>(
    right: Right<'c, M>,
    progress: &'c Progress<'c, M>,
    mut deadline: Pin<&mut Deadline>,
) -> Result<Unproven<'c, M>, Failed<'c, M>> {
    let shared = progress.shared;
    let since = deadline.as_mut().now();
    let circuit = match shared.settings.circuit.as_deref() {
        Some(circuit) => Some((circuit, progress.user(|| circuit.admit(since)).map_err(Failed::Refused)?)),
        None => None,
    };
    let admitted = Admitted::new(progress, circuit, since);
    let creation = progress.user(|| shared.manager.create());
    let created = UserCode::new(creation, progress, deadline.as_mut()).await;
    let now = deadline.as_mut().now();
    match created {
        Ok(Ok(connection)) => {
            admitted.end(GateOutcome::Success, now, None);
            let mut unproven = right.fulfil(connection, now);
            if let Some(hook) = &shared.hooks.on_create {
                let entry = unproven.entry();
                let info = entry.info(now);
                progress.user(|| hook(&mut entry.connection, &info));
            }
            Ok(unproven)
        }
        Ok(Err(error)) => {
            admitted.end(GateOutcome::Failure, now, Some(&Debugged(&error)));
            Err(Failed::Create(error, right))
        }
        Err(Elapsed) => {
            admitted.end(GateOutcome::TimedOut, now, None);
            Err(Failed::TooLate)
        }
    }
}

/// The text of an error that need not be `Display`.
struct Debugged<'a, E>(&'a E);

impl<E: fmt::Debug> fmt::Display for Debugged<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
