//! Every public future and every annotated shape, each around the same body.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use resilience_runtime::{Classify, Retry, Timeout, WorkerError};

use crate::{
    annotated::{self, Block, Client, Remote},
    faults::{
        Broken, Key, Point,
        Point::{
            Body, Classify as ClassifyPoint, Close, Create, Destructor, ErrorText, Factory, FailureIf,
            FailureListener, Fallback, FallbackResumed, IsBroken, IsHealthy, Job, NameText, OnAcquire,
            OnClose, OnCreate, OnRelease, Resumed, RetryIf, StateListener, TripPolicy,
        },
        blow_up, dependency, is_planted, reach,
    },
    world::World,
};

/// A call; whether it got what it was made for.
pub(crate) type Answer = Pin<Box<dyn Future<Output = bool>>>;

/// What counts a scenario's calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Counted {
    /// Nothing that knows calls.
    Nowhere,
    /// A site.
    BySite,
    /// A site, and a circuit for each attempt.
    BySiteAndCircuit,
    /// A circuit.
    ByCircuit,
    /// A named timeout.
    ByTimeout,
    /// A connection pool.
    ByPool,
}

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) counted: Counted,
    pub(crate) start: fn(&Rc<World>) -> Answer,
    /// Where the library calls the user's code in it, in one weather or another.
    pub(crate) points: &'static [Point],
}

/// A scenario in a scope of the world's registry: an expression that awaits, and is a `Result`.
macro_rules! call {
    (|$world:ident| $answer:expr) => {
        |world| {
            let $world = world.clone();
            Box::pin(world.registry.scope(async move { $answer.is_ok() }))
        }
    };
}

fn make() -> impl Future<Output = Result<u32, Broken>> {
    reach(Factory);
    dependency()
}

async fn attempts(retry: &Retry) -> Result<u32, ()> {
    let mut attempts = retry.attempts();
    while attempts.next().await.is_some() {
        match dependency().await {
            Ok(answer) => return Ok(answer),
            Err(error) => attempts.classify(error.classify()),
        }
    }
    Err(())
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a measured function",
        counted: Counted::BySite,
        start: call!(|_world| annotated::measured().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint],
    },
    Scenario {
        name: "a retried function",
        counted: Counted::BySite,
        start: call!(|_world| annotated::retried().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint],
    },
    Scenario {
        name: "a function under a timeout",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::timed().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "a function under everything",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::everything().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "a fallback that answers at once",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::falls_back_now().await),
        points: &[
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            ErrorText,
            StateListener,
            FailureListener,
            Fallback,
        ],
    },
    Scenario {
        name: "an async fallback",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::falls_back_later().await),
        points: &[
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            ErrorText,
            StateListener,
            FailureListener,
            Fallback,
            FallbackResumed,
        ],
    },
    Scenario {
        name: "a fallback by path",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::falls_back_by_path().await),
        points: &[
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            ErrorText,
            StateListener,
            FailureListener,
            Fallback,
            FallbackResumed,
        ],
    },
    Scenario {
        name: "a dynamic name",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::dynamic(&Key).await),
        points: &[
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            ErrorText,
            StateListener,
            FailureListener,
            NameText,
        ],
    },
    Scenario {
        name: "an option",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::optional().await.ok_or(())),
        points: &[Body, Resumed, Destructor, StateListener, FailureListener],
    },
    Scenario {
        name: "closures that judge",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::judged().await),
        points: &[
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            RetryIf,
            FailureIf,
            ErrorText,
            StateListener,
            FailureListener,
        ],
    },
    Scenario {
        name: "a boxed future",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| annotated::boxed().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "a method of a mutable reference",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| Client::default().by_mutable_reference().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "a method below async-trait",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| Client::default().remote().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "a method of an annotated block",
        counted: Counted::BySiteAndCircuit,
        start: call!(|_world| Block.method().await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, ErrorText, StateListener, FailureListener],
    },
    Scenario {
        name: "Policy::run",
        counted: Counted::BySiteAndCircuit,
        start: call!(|world| world.policy().run(make).classify(Classify::classify).await),
        points: &[
            Factory,
            Body,
            Resumed,
            Destructor,
            ClassifyPoint,
            StateListener,
            FailureListener,
            TripPolicy,
        ],
    },
    Scenario {
        name: "CircuitBreaker::run",
        counted: Counted::ByCircuit,
        start: call!(|world| world.circuit().run(dependency()).classify(Classify::classify).await),
        points: &[Body, Resumed, Destructor, ClassifyPoint, StateListener, FailureListener, TripPolicy],
    },
    Scenario {
        name: "Bulkhead::run",
        counted: Counted::Nowhere,
        start: call!(|world| world.bulkhead().run(dependency()).await),
        points: &[Body, Resumed, Destructor],
    },
    Scenario {
        name: "Bulkhead::acquire",
        counted: Counted::Nowhere,
        start: call!(|world| match world.bulkhead().acquire().await {
            Ok(_permit) => dependency().await,
            Err(refusal) => Err(refusal.into()),
        }),
        points: &[Body, Resumed, Destructor],
    },
    Scenario {
        name: "RateLimiter::run",
        counted: Counted::Nowhere,
        start: call!(|world| world.limiter().run(dependency()).await),
        points: &[Body, Resumed, Destructor],
    },
    Scenario {
        name: "RateLimiter::acquire",
        counted: Counted::Nowhere,
        start: call!(|world| world.limiter().acquire().await),
        points: &[],
    },
    Scenario {
        name: "Retry::run",
        counted: Counted::Nowhere,
        start: call!(|world| world.retry().run(make).classify(Classify::classify).await),
        points: &[Factory, Body, Resumed, Destructor, ClassifyPoint],
    },
    Scenario {
        name: "Retry::attempts",
        counted: Counted::Nowhere,
        start: call!(|world| attempts(&world.retry()).await),
        points: &[Body, Resumed, Destructor, ClassifyPoint],
    },
    Scenario {
        name: "Timeout::run",
        counted: Counted::ByTimeout,
        start: call!(|_world| Timeout::named("matrix", Duration::from_millis(6)).run(dependency()).await),
        points: &[Body, Resumed, Destructor],
    },
    Scenario {
        name: "Registry::scope",
        counted: Counted::Nowhere,
        start: call!(|world| world.registry.scope(dependency()).await),
        points: &[Body, Resumed, Destructor],
    },
    Scenario {
        name: "ConnectionPool::acquire",
        counted: Counted::ByPool,
        start: call!(|world| match world.pool().acquire().await {
            Ok(_connection) => {
                tokio::task::yield_now().await;
                Ok(())
            }
            Err(error) => Err(error),
        }),
        points: &[
            Body,
            Resumed,
            Destructor,
            Create,
            IsHealthy,
            IsBroken,
            Close,
            OnCreate,
            OnAcquire,
            OnRelease,
            OnClose,
            StateListener,
            TripPolicy,
        ],
    },
    Scenario {
        name: "WorkerPool::run",
        counted: Counted::Nowhere,
        start: call!(|world| {
            let (gate, planted) = (world.gate(), is_planted(Job));
            let work = move || {
                gate.pass();
                if planted {
                    blow_up();
                }
            };
            match world.workers().run(work).await {
                Ok(()) | Err(WorkerError::Panicked(_)) => Ok(()),
                Err(error) => Err(error),
            }
        }),
        points: &[Job],
    },
    Scenario {
        name: "EventReceiver::recv",
        counted: Counted::Nowhere,
        start: call!(|world| {
            world.hang_bell();
            world.events.lock().await.recv().await.ok_or(())
        }),
        points: &[],
    },
];
