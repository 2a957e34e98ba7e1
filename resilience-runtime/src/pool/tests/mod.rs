//! A manager that does as it is told, and the checks that hold after everything.

mod bounds;
mod chaos;
#[cfg(resilience_loom)]
mod loom;
mod matrix;
mod model;
mod rules;
mod upkeep;

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::*;
use crate::sync::Mutex;

/// What the manager does next, shared with the test.
#[derive(Debug, Default)]
struct Script {
    fault: Mutex<Option<Fault>>,
    /// How often `create` and `is_healthy` are pending before they answer.
    pending: AtomicUsize,
    creates: AtomicUsize,
    checks: AtomicUsize,
    closes: AtomicUsize,
    /// Connections that exist anywhere.
    living: Arc<AtomicUsize>,
}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    CreateFails,
    CreatePanics,
    /// Before there is a future.
    CreatePanicsAtOnce,
    CheckFails,
    CheckPanics,
    CheckPanicsAtOnce,
    BrokenSays,
    BrokenPanics,
    ClosePanics,
    OnCreatePanics,
    OnAcquireRejects,
    OnAcquirePanics,
    OnReleaseRejects,
    OnReleasePanics,
    OnClosePanics,
}

impl Fault {
    const ALL: [Self; 15] = [
        Self::CreateFails,
        Self::CreatePanics,
        Self::CreatePanicsAtOnce,
        Self::CheckFails,
        Self::CheckPanics,
        Self::CheckPanicsAtOnce,
        Self::BrokenSays,
        Self::BrokenPanics,
        Self::ClosePanics,
        Self::OnCreatePanics,
        Self::OnAcquireRejects,
        Self::OnAcquirePanics,
        Self::OnReleaseRejects,
        Self::OnReleasePanics,
        Self::OnClosePanics,
    ];
}

impl Script {
    fn is(&self, fault: Fault) -> bool {
        *self.fault.lock() == Some(fault)
    }

    fn panic_if(&self, fault: Fault) {
        assert!(!self.is(fault), "as told: {fault:?}");
    }

    async fn wait(&self) {
        let mut left = self.pending.load(Relaxed);
        poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

#[derive(Debug)]
struct Connection {
    number: usize,
    living: Arc<AtomicUsize>,
    broken: bool,
    sick: Arc<AtomicBool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.living.fetch_sub(1, Relaxed);
    }
}

#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Script>);

impl Manager for Scripted {
    type Connection = Connection;
    type Error = &'static str;

    fn create(&self) -> impl Future<Output = Result<Connection, &'static str>> + Send {
        let number = self.0.creates.fetch_add(1, Relaxed);
        self.0.panic_if(Fault::CreatePanicsAtOnce);
        async move {
            self.0.wait().await;
            self.0.panic_if(Fault::CreatePanics);
            if self.0.is(Fault::CreateFails) {
                return Err("no answer");
            }
            self.0.living.fetch_add(1, Relaxed);
            let living = Arc::clone(&self.0.living);
            Ok(Connection { number, living, broken: false, sick: Arc::default() })
        }
    }

    fn is_healthy(
        &self,
        connection: &mut Connection,
    ) -> impl Future<Output = Result<(), &'static str>> + Send {
        self.0.checks.fetch_add(1, Relaxed);
        self.0.panic_if(Fault::CheckPanicsAtOnce);
        async {
            self.0.wait().await;
            self.0.panic_if(Fault::CheckPanics);
            if self.0.is(Fault::CheckFails) || connection.sick.load(Relaxed) { Err("sick") } else { Ok(()) }
        }
    }

    fn is_broken(&self, connection: &mut Connection) -> bool {
        self.0.panic_if(Fault::BrokenPanics);
        self.0.is(Fault::BrokenSays) || connection.broken
    }

    fn close(&self, connection: Connection) {
        drop(connection);
        self.0.closes.fetch_add(1, Relaxed);
        self.0.panic_if(Fault::ClosePanics);
    }
}

/// Settings under which nothing happens by itself.
fn builder(manager: &Scripted) -> ConnectionPoolBuilder<Scripted> {
    let scripts = [(); 4].map(|()| Arc::clone(&manager.0));
    let [created, acquired, released, closed] = scripts;
    ConnectionPool::builder("db", manager.clone())
        .create_retries(0)
        .idle_timeout(None)
        .max_lifetime(None)
        .on_create(move |_, _| created.panic_if(Fault::OnCreatePanics))
        .on_acquire(move |_, _| {
            acquired.panic_if(Fault::OnAcquirePanics);
            !acquired.is(Fault::OnAcquireRejects)
        })
        .on_release(move |_, _| {
            released.panic_if(Fault::OnReleasePanics);
            !released.is(Fault::OnReleaseRejects)
        })
        .on_close(move |_, _| closed.panic_if(Fault::OnClosePanics))
}

fn pool(manager: &Scripted, max_size: usize) -> ConnectionPool<Scripted> {
    builder(manager).max_size(max_size).build().unwrap()
}

/// Checks what holds whenever no call is under way and `held` connections are in use.
fn check_books(pool: &ConnectionPool<Scripted>, held: usize) {
    let (now, script) = (pool.snapshot(), &pool.manager().0);
    assert_eq!((now.active, now.creating, now.waiting), (held, 0, 0), "{now:#?}");
    assert_eq!(now.created, (now.idle + now.active) as u64 + now.closed.total(), "{now:#?}");
    let detached = now.closed.of(CloseReason::Detached);
    assert_eq!(script.closes.load(Relaxed) as u64, now.closed.total() - detached, "{now:#?}");
    assert!(script.living.load(Relaxed) >= now.size(), "{now:#?}");
    let attempts = now.created + now.creations_failed + now.creations_cancelled;
    assert_eq!(script.creates.load(Relaxed) as u64, attempts, "{now:#?}");
}

/// Fills the pool to the last slot: none has leaked.
fn check_slots(pool: &ConnectionPool<Scripted>) {
    *pool.manager().0.fault.lock() = None;
    pool.manager().0.pending.store(0, Relaxed);
    let max = pool.snapshot().max_size;
    let all: Vec<_> = (0..max).map(|_| now(pool.acquire()).unwrap()).collect();
    let mut surplus = Box::pin(pool.acquire());
    assert!(poll(&mut surplus).is_pending());
    drop(surplus);
    drop(all);
    check_books(pool, 0);
}

/// Panics that are meant leave no trace: thousands would hide the one that is not.
fn silence_what_was_told() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let told =
                info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("as told"));
            if !told {
                hook(info);
            }
        }));
    });
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// What a future answers that has nothing to wait for.
fn now<F: Future>(future: F) -> F::Output {
    match poll(&mut Box::pin(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("is pending"),
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}
