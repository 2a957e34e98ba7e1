use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::*;
use crate::error::ErrorKind;

/// How long a test waits for another thread before it fails.
const LONG: Duration = Duration::from_secs(20);

fn pool(threads: usize, queue: usize) -> WorkerPool {
    WorkerPool::builder("cpu").threads(threads).queue(queue).build().unwrap()
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A job that has started and ends when told to.
struct Held<F> {
    run: F,
    end: mpsc::Sender<()>,
}

fn held(pool: &WorkerPool) -> Held<impl Future<Output = Result<&'static str, WorkerError>> + Unpin + use<>> {
    let ((started, starts), (end, ends)) = (mpsc::channel(), mpsc::channel());
    let mut run = pool.run(move || {
        started.send(()).unwrap();
        ends.recv().unwrap();
        "held"
    });
    assert!(poll(&mut run).is_pending());
    starts.recv_timeout(LONG).unwrap();
    Held { run, end }
}

fn kind(error: &WorkerError) -> Option<ErrorKind> {
    ErrorKind::of(error)
}

#[test]
fn every_bad_value_is_refused_with_its_key() {
    for (builder, key) in [
        (WorkerPool::builder("cpu").threads(0), "threads"),
        (WorkerPool::builder("cpu").threads(4_097), "threads"),
        (WorkerPool::builder("cpu").queue(usize::MAX), "queue"),
    ] {
        assert_eq!(builder.build().unwrap_err().key, key);
    }
    assert_eq!(
        WorkerPool::builder("cpu").threads(0).build().unwrap_err().to_string(),
        "`threads` must be at least 1"
    );
}

#[tokio::test]
async fn jobs_run_on_named_threads_even_if_the_name_has_a_zero_byte() {
    let name = || std::thread::current().name().map(str::to_owned);
    assert_eq!(pool(1, 0).run(name).await.unwrap().as_deref(), Some("cpu-0"));
    let odd = WorkerPool::builder("a\0b").threads(1).build().unwrap();
    assert_eq!(odd.run(name).await.unwrap().as_deref(), Some("a\\u{0}b-0"));
}

#[tokio::test]
async fn a_panicking_job_fails_its_caller_only_and_the_thread_lives_on() {
    let pool = pool(1, 1);
    let thread = || std::thread::current().id();
    let before = pool.run(thread).await.unwrap();
    let at = std::hint::black_box(7);
    let WorkerError::Panicked(panic) = pool.run(move || -> u8 { panic!("at {at}") }).await.unwrap_err()
    else {
        panic!("not recognised as a panic")
    };
    assert_eq!(panic.message(), Some("at 7"));
    assert_eq!(panic.into_payload().downcast_ref::<String>().unwrap(), "at 7");
    assert_eq!(pool.run(thread).await.unwrap(), before);
    let now = pool.stats();
    assert_eq!((now.completed, now.panicked, now.running, now.available), (2, 1, 0, 2));
}

#[tokio::test]
async fn the_slot_of_a_caller_who_gave_up_stays_taken_until_the_work_ends() {
    let pool = pool(1, 1);
    let Held { run, end } = held(&pool);
    drop(run);
    let now = pool.stats();
    assert_eq!((now.running, now.abandoned, now.available, now.completed), (1, 1, 1, 0));
    let mut next = pool.run(|| ());
    assert!(poll(&mut next).is_pending());
    assert_eq!(pool.available_capacity(), 0);
    end.send(()).unwrap();
    next.await.unwrap();
    let now = pool.stats();
    assert_eq!((now.running, now.abandoned, now.available, now.completed), (0, 0, 2, 2));
}

#[tokio::test]
async fn queued_work_whose_caller_gave_up_never_starts() {
    let pool = pool(1, 2);
    let Held { run, end } = held(&pool);
    let starts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&starts);
    let mut given_up = pool.run(move || count.fetch_add(1, Ordering::Relaxed));
    assert!(poll(&mut given_up).is_pending());
    assert_eq!((pool.stats().queued, pool.available_capacity()), (1, 1));
    drop(given_up);
    assert_eq!((pool.stats().queued, pool.available_capacity(), Arc::strong_count(&starts)), (0, 2, 1));
    end.send(()).unwrap();
    assert_eq!(run.await.unwrap(), "held");
    pool.run(|| ()).await.unwrap();
    assert_eq!((starts.load(Ordering::Relaxed), pool.stats().cancelled), (0, 1));
}

#[tokio::test]
async fn a_busy_pool_with_a_full_queue_refuses_at_once() {
    let pool = pool(1, 1);
    let Held { run, end } = held(&pool);
    let mut queued = pool.run(|| "queued");
    assert!(poll(&mut queued).is_pending());
    let error = pool.run(|| unreachable!()).await.map(|(): ()| ()).unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::WorkersBusy));
    assert_eq!(error.to_string(), "worker pool `cpu` is busy with 1 running and 1 queued");
    end.send(()).unwrap();
    assert_eq!((run.await.unwrap(), queued.await.unwrap(), pool.stats().refused), ("held", "queued", 1));
}

#[tokio::test]
async fn nothing_is_queued_before_the_first_poll() {
    let pool = pool(1, 1);
    let unpolled = pool.run(|| ());
    assert_eq!(pool.available_capacity(), 2);
    drop(unpolled);
    assert_eq!(pool.stats().cancelled, 0);
}

#[tokio::test]
async fn the_thread_is_free_when_the_caller_hears_of_it() {
    let pool = pool(1, 0);
    for round in 0..2_000 {
        assert_eq!(pool.run(move || round).await.unwrap(), round);
        assert_eq!(pool.available_capacity(), 1);
    }
}

#[tokio::test]
async fn jobs_start_in_the_order_they_came() {
    let pool = pool(1, 10);
    let Held { run, end } = held(&pool);
    let order = Arc::new(AtomicUsize::new(0));
    let mut runs: Vec<_> = (0..10)
        .map(|_| {
            let order = Arc::clone(&order);
            pool.run(move || order.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    assert!(runs.iter_mut().all(|run| poll(run).is_pending()));
    end.send(()).unwrap();
    run.await.unwrap();
    for (place, run) in runs.into_iter().enumerate() {
        assert_eq!(run.await.unwrap(), place);
    }
}

#[tokio::test]
async fn shutdown_finishes_what_it_has_and_refuses_what_comes() {
    let pool = pool(1, 1);
    let Held { run, end } = held(&pool);
    let mut queued = pool.run(|| "queued");
    assert!(poll(&mut queued).is_pending());
    let mut shutdown = Box::pin(pool.shutdown(LONG));
    assert!(poll(&mut shutdown).is_pending());
    assert_eq!(kind(&pool.run(|| ()).await.unwrap_err()), Some(ErrorKind::ShutDown));
    assert_eq!((pool.available_capacity(), pool.stats().shut_down), (0, true));
    end.send(()).unwrap();
    assert_eq!(shutdown.await, 0);
    assert_eq!((run.await.unwrap(), queued.await.unwrap()), ("held", "queued"));
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_no_longer_than_told_and_leaves_running_work_alone() {
    let pool = pool(1, 1);
    let Held { run, end } = held(&pool);
    let mut queued = pool.run(|| "queued");
    assert!(poll(&mut queued).is_pending());
    let start = crate::clock::now();
    assert_eq!(pool.shutdown(Duration::from_secs(3)).await, 1);
    assert_eq!(crate::clock::now().saturating_since(start), Duration::from_secs(3));
    assert_eq!(kind(&queued.await.unwrap_err()), Some(ErrorKind::ShutDown));
    assert_eq!((pool.stats().running, pool.stats().refused), (1, 1));
    end.send(()).unwrap();
    assert_eq!(run.await.unwrap(), "held");
}

#[test]
fn shutdown_of_an_idle_pool_needs_no_runtime() {
    let pool = pool(2, 1);
    let mut shutdown = Box::pin(pool.shutdown(LONG));
    assert_eq!(poll(&mut shutdown), Poll::Ready(0));
}

thread_local! {
    /// Dropped when its thread ends.
    static AT_EXIT: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

#[tokio::test]
async fn dropping_the_pool_refuses_the_queue_and_ends_the_threads() {
    let pool = pool(1, 1);
    let (alive, exits) = mpsc::channel::<()>();
    pool.run(|| AT_EXIT.set(Some(alive))).await.unwrap();
    let Held { run, end } = held(&pool);
    let mut queued = pool.run(|| "queued");
    assert!(poll(&mut queued).is_pending());
    drop(pool);
    assert_eq!(kind(&queued.await.unwrap_err()), Some(ErrorKind::ShutDown));
    end.send(()).unwrap();
    assert_eq!(run.await.unwrap(), "held");
    assert_eq!(exits.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[tokio::test]
async fn a_job_starts_on_a_thread_of_its_own_while_there_may_be_one() {
    // Its threads are started as they are needed.
    let settings = crate::WorkerSettings::new().threads(2).queue(1);
    let pool = WorkerPool::declared("cpu".into(), settings);
    let (first, second) = (held(&pool), held(&pool));
    assert_eq!((pool.stats().running, pool.stats().utilisation()), (2, 1.0));
    second.end.send(()).unwrap();
    assert_eq!(second.run.await.unwrap(), "held");
    assert_eq!((pool.stats().running, pool.stats().utilisation()), (1, 0.5));
    first.end.send(()).unwrap();
    assert_eq!(first.run.await.unwrap(), "held");
    assert_eq!(pool.stats().utilisation(), 0.0);
}

#[tokio::test]
async fn a_shutdown_waits_for_a_job_that_runs() {
    let pool = pool(1, 1);
    let Held { run, end } = held(&pool);
    let mut shutdown = Box::pin(pool.shutdown(LONG));
    assert!(poll(&mut shutdown).is_pending());
    end.send(()).unwrap();
    let (run, left) = tokio::join!(run, shutdown);
    assert_eq!((run.unwrap(), left), ("held", 0));
}

#[tokio::test]
async fn every_job_is_timed_until_a_reset() {
    let pool = pool(1, 0);
    let counts = || {
        let now = pool.stats();
        (now.completed, now.wait.map(|wait| wait.count), now.run.map(|run| run.count))
    };
    pool.run(|| ()).await.unwrap();
    pool.run(|| ()).await.unwrap();
    assert_eq!((pool.name(), counts()), ("cpu", (2, Some(2), Some(2))));
    pool.reset();
    assert_eq!(counts(), (0, None, None));
}

#[tokio::test]
async fn an_idle_thread_ends_with_its_pool() {
    thread_local! {
        static ENDS: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
    }
    let pool = pool(1, 0);
    let (lives, ends) = mpsc::channel();
    pool.run(move || ENDS.set(Some(lives))).await.unwrap();
    drop(pool);
    assert_eq!(ends.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_panic_reads_with_its_message_where_it_has_one() {
    let panic = |run: fn()| {
        let error = tokio_test::block_on(pool(1, 0).run(run)).unwrap_err();
        let WorkerError::Panicked(panic) = error else { panic!("{error:?}") };
        panic.to_string()
    };
    assert_eq!(panic(|| panic!("no paper")), "a job of worker pool `cpu` panicked: no paper");
    assert_eq!(panic(|| std::panic::panic_any(7)), "a job of worker pool `cpu` panicked");
}

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[tokio::test]
async fn a_result_that_panics_when_dropped_does_not_take_the_thread_along() {
    let pool = pool(1, 1);
    let ((started, starts), (end, ends)) = (mpsc::channel(), mpsc::channel());
    let mut run = pool.run(move || {
        started.send(()).unwrap();
        ends.recv().unwrap();
        Bomb
    });
    assert!(poll(&mut run).is_pending());
    starts.recv_timeout(LONG).unwrap();
    drop(run);
    end.send(()).unwrap();
    pool.run(|| ()).await.unwrap();
    assert_eq!(pool.stats().completed, 2);
}

/// Drops a job's future in each state it can be in, from a caller racing with the thread, and counts.
#[tokio::test]
async fn a_future_dropped_at_any_moment_leaks_nothing() {
    let pool = pool(2, 64);
    let kept = Arc::new(());
    let mut submitted = 0;
    for round in 0..3_000usize {
        let mine = Arc::clone(&kept);
        let mut run = pool.run(move || mine);
        for _ in 0..round % 3 {
            if poll(&mut run).is_ready() {
                break;
            }
        }
        submitted += u64::from(round % 3 > 0);
        if round % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(pool.shutdown(LONG).await, 0);
    let now = pool.stats();
    assert_eq!(now.completed + now.cancelled + now.refused, submitted);
    assert_eq!((now.running, now.queued, now.abandoned), (0, 0, 0));
    let start = crate::clock::now();
    // The last result may be on its way to its drop on a thread.
    while Arc::strong_count(&kept) > 1 {
        assert!(crate::clock::now().saturating_since(start) < LONG, "a job was leaked");
        std::thread::yield_now();
    }
}

#[test]
fn handles_and_futures_cross_threads() {
    fn check<T: Send + Sync + 'static>() {}
    fn check_future<F: Future + Send + Unpin + 'static>(_: F) {}
    check::<WorkerPool>();
    check::<WorkerError>();
    check_future(pool(1, 0).run(|| ()));
}
