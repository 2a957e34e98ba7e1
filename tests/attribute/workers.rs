//! `workers(..)`: a function that blocks or computes, called as an async one.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
};

use resilience_runtime::{ErrorKind, Registry, ResilienceError, WorkerSnapshot, resilient};

use crate::support::Error;

#[resilient(workers(name = "attribute-cpu", threads = 2, queue = 1))]
fn thread_name() -> Result<String, Error> {
    Ok(std::thread::current().name().unwrap_or_default().to_owned())
}

#[resilient(workers = "attribute-single")]
fn double(number: u32) -> Result<u32, ResilienceError> {
    Ok(number * 2)
}

/// What keeps a job running until a test ends it, or drops it.
struct Held {
    started: mpsc::Sender<()>,
    end: mpsc::Receiver<()>,
}

impl Held {
    fn new() -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((started, starts), (ends, end)) = (mpsc::channel(), mpsc::channel());
        (Self { started, end }, starts, ends)
    }
}

#[resilient(
    workers(name = "attribute-single", threads = 1, queue = 1),
    circuit = "attribute-single",
    timeout_ms = 10
)]
fn held(held: Held) -> Result<(), Error> {
    held.started.send(()).map_err(|_| Error::Failed("nobody waits"))?;
    held.end.recv().map_err(|_| Error::Failed("nobody ends it"))
}

fn snapshot(registry: &Registry, name: &str) -> WorkerSnapshot {
    registry.worker_pool(name).expect("it is declared").stats()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn the_body_runs_on_a_thread_of_the_named_pool() {
    let registry = Registry::new();
    assert_eq!(registry.scope(thread_name()).await, Ok("attribute-cpu-0".to_owned()));
    let workers = snapshot(&registry, "attribute-cpu");
    assert_eq!((workers.threads, workers.queue, workers.completed, workers.running), (2, 1, 1, 0));
    assert_eq!(snapshot(&Registry::new(), "attribute-cpu").completed, 0, "registries share nothing");
    let spawned = tokio::spawn(async move { registry.scope(thread_name()).await });
    assert!(spawned.await.expect("it ends").is_ok());
}

#[test]
#[cfg(target_os = "linux")]
fn a_pool_that_is_only_listed_has_no_threads() {
    #[resilient(workers(name = "unstarted", threads = 7))]
    fn never_called() -> Result<(), Error> {
        Ok(())
    }

    let registry = Registry::new();
    assert_eq!(snapshot(&registry, "unstarted").threads, 7);
    assert_eq!(registry.worker_pool("unstarted").map(|workers| workers.available_capacity()), Some(107));
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux lists threads").filter(|thread| {
        let name = thread.as_ref().map(|thread| std::fs::read_to_string(thread.path().join("comm")));
        matches!(name, Ok(Ok(name)) if name.starts_with("unstarted"))
    });
    assert_eq!(threads.count(), 0);
    drop(never_called());
}

#[test]
fn two_declarations_of_one_pool_are_a_conflict() {
    #[resilient(workers(name = "contested", threads = 1, queue = 5))]
    fn first() -> Result<(), Error> {
        Ok(())
    }

    #[resilient(workers(name = "contested", threads = 2, queue = 5))]
    fn second() -> Result<(), Error> {
        Ok(())
    }

    let registry = Registry::new();
    assert_eq!(snapshot(&registry, "contested").threads, 1);
    let conflicts = registry.conflicts();
    let conflict = conflicts.iter().find(|conflict| conflict.name == "contested").expect("it is reported");
    assert_eq!((conflict.kind, conflict.key), ("workers", "threads"));
    assert_eq!((conflict.used.as_str(), conflict.ignored.as_str()), ("1", "2"));
    drop((first(), second()));
}

#[tokio::test]
async fn bodies_and_arguments_are_those_of_any_function() {
    #[resilient(workers = "attribute-shapes")]
    fn sum<T: Into<u64> + Send + 'static, const N: usize>(
        mut list: Vec<T>,
        (left, _): (u64, u64),
        rest: impl IntoIterator<Item = u64, IntoIter: Send> + Send + 'static,
        text: &'static str,
    ) -> Result<u64, Error> {
        struct Result(u64);
        if text.is_empty() {
            return Err(Error::Failed("empty"));
        }
        list.truncate(N);
        let first: u64 = text.parse().map_err(|_| Error::Failed("no number"))?;
        let listed = Result(list.into_iter().map(Into::into).sum());
        Ok(first + left + listed.0 + rest.into_iter().sum::<u64>())
    }

    struct Hasher(u32);

    impl Hasher {
        #[resilient(workers = "attribute-shapes")]
        fn shared(self: Arc<Self>, add: u32) -> Result<u32, Error> {
            Ok(self.0 + add)
        }

        #[resilient(workers = "attribute-shapes")]
        fn owned(self) -> Option<u32> {
            Some(self.0)
        }
    }

    assert_eq!(sum::<u8, 2>(vec![1, 2, 4], (10, 0), [100], "1000").await, Ok(1113));
    assert_eq!(sum::<u8, 0>(vec![], (0, 0), [], "").await, Err(Error::Failed("empty")));
    assert_eq!(sum::<u8, 0>(vec![], (0, 0), [], "x").await, Err(Error::Failed("no number")));
    assert_eq!(Arc::new(Hasher(1)).shared(2).await, Ok(3));
    assert_eq!(Hasher(5).owned().await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_may_be_repeated_with_clones_of_what_it_consumes() {
    #[resilient(
        workers = "attribute-single",
        retry(max = 2, delay_ms = 1, budget = false),
        circuit = "attribute-repeated",
        clone(calls, list)
    )]
    fn third_time(calls: Arc<AtomicU32>, mut list: Vec<u32>, last: u32) -> Result<Vec<u32>, Error> {
        list.push(last);
        match calls.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(Error::Failed("not yet")),
            _ => Ok(list),
        }
    }

    let registry = Registry::new();
    let calls = Arc::new(AtomicU32::new(0));
    assert_eq!(registry.scope(third_time(calls.clone(), vec![1], 2)).await, Ok(vec![1, 2]));
    assert_eq!((calls.load(Ordering::Relaxed), Arc::strong_count(&calls)), (3, 1));
    let circuit = registry.circuit("attribute-repeated").expect("it is declared").snapshot();
    assert_eq!((circuit.failed, circuit.succeeded), (2, 1));
    assert_eq!(snapshot(&registry, "attribute-single").completed, 3);
}

/// With time paused the limit passes as soon as nothing else can happen.
#[tokio::test(start_paused = true)]
async fn a_timed_out_callers_thread_stays_taken_until_the_work_ends() {
    let registry = Registry::new();
    let (job, starts, end) = Held::new();
    let mut call = Box::pin(registry.scope(held(job)));
    assert!(poll(call.as_mut()).is_pending());
    starts.recv().expect("the job starts");
    let error = call.await.expect_err("it is held");
    assert!(matches!(error, Error::Refused(refusal) if refusal.kind() == ErrorKind::TimedOut));
    let workers = snapshot(&registry, "attribute-single");
    assert_eq!((workers.running, workers.abandoned, workers.available), (1, 1, 1));
    assert_eq!(registry.circuit("attribute-single").expect("it is declared").snapshot().timed_out, 1);

    end.send(()).expect("the job still waits");
    // One thread: the next job has it only when the first is over.
    assert_eq!(registry.scope(double(4)).await, Ok(8));
    let workers = snapshot(&registry, "attribute-single");
    assert_eq!((workers.running, workers.abandoned, workers.completed), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_busy_pool_refuses_at_once_and_says_nothing_about_the_dependency() {
    #[resilient(workers = "attribute-single", circuit = "attribute-busy", retry = 3)]
    fn refused() -> Result<(), Error> {
        Ok(())
    }

    let registry = Registry::new();
    let (job, starts, end) = Held::new();
    let mut running = Box::pin(registry.scope(held(job)));
    assert!(poll(running.as_mut()).is_pending());
    starts.recv().expect("the job starts");
    let mut queued = Box::pin(registry.scope(double(1)));
    assert!(poll(queued.as_mut()).is_pending());
    let error = registry.scope(refused()).await.expect_err("a thread and a place, both taken");
    assert_eq!(
        error,
        Error::Refused(ResilienceError::WorkersBusy {
            workers: "attribute-single".into(),
            threads: 1,
            queue: 1
        })
    );
    let circuit = registry.circuit("attribute-busy").expect("it is declared").snapshot();
    assert_eq!((circuit.ignored, circuit.failed, circuit.succeeded), (1, 0, 0));
    let site = registry.sites().into_iter().find(|site| site.name.ends_with("::refused")).expect("listed");
    assert_eq!((site.calls, site.retries, site.refused_elsewhere, site.in_flight), (1, 0, 1, 0));

    // Whoever gives up while its job is queued takes it along.
    drop(queued);
    assert_eq!(snapshot(&registry, "attribute-single").cancelled, 1);
    drop(end);
    assert_eq!(registry.scope(double(3)).await, Ok(6));
    assert_eq!(snapshot(&registry, "attribute-single").completed, 2);
}

#[tokio::test]
async fn a_panic_is_the_callers_and_the_thread_lives_on() {
    #[resilient(workers = "attribute-single", circuit = "attribute-panics")]
    fn panics() -> Result<(), Error> {
        panic!("in the job")
    }

    let registry = Registry::new();
    let scoped = registry.clone();
    let panic = tokio::spawn(async move { scoped.scope(panics()).await }).await.expect_err("it panics");
    assert_eq!(panic.into_panic().downcast_ref(), Some(&"in the job"));
    assert_eq!(registry.circuit("attribute-panics").expect("it is declared").snapshot().panicked, 1);
    assert_eq!(registry.scope(double(2)).await, Ok(4));
    let workers = snapshot(&registry, "attribute-single");
    assert_eq!((workers.panicked, workers.completed, workers.running), (1, 1, 0));
}

#[tokio::test]
async fn a_fallback_answers_where_no_thread_does() {
    #[resilient(workers = "attribute-single", circuit = "attribute-fallback", fallback = |_| default)]
    fn plain(default: u32) -> u32 {
        default + 1
    }

    let registry = Registry::new();
    assert_eq!(registry.scope(plain(1)).await, 2);
    registry.circuit("attribute-fallback").expect("it is declared").force_open();
    assert_eq!(registry.scope(plain(1)).await, 1);
}

#[tokio::test]
async fn a_method_of_an_annotated_block_may_have_threads() {
    struct Images;

    #[resilient(circuit = "attribute-images")]
    impl Images {
        async fn load(&self) -> Result<u32, Error> {
            Ok(1)
        }

        #[resilient(workers = "attribute-single")]
        fn scale(width: u32) -> Result<u32, Error> {
            Ok(width / 2)
        }

        fn plain(&self) -> u32 {
            3
        }
    }

    let registry = Registry::new();
    registry
        .scope(async {
            assert_eq!(Images.load().await, Ok(1));
            assert_eq!(Images::scale(8).await, Ok(4));
            assert_eq!(Images.plain(), 3);
        })
        .await;
    assert_eq!(registry.circuit("attribute-images").expect("it is declared").snapshot().succeeded, 2);
}
