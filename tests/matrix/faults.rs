//! The user's code of every scenario: it does what the script says, and panics where it is told to.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    future::pending,
    panic::resume_unwind,
};

use resilience_runtime::{Classify, ErrorClass, ResilienceError};

/// A place where the library calls the user's code.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Point {
    /// The first poll of a body.
    Body,
    /// A later poll of it.
    Resumed,
    /// The destructor of what a body holds.
    Destructor,
    /// What makes the body's future.
    Factory,
    Classify,
    RetryIf,
    FailureIf,
    Fallback,
    /// A later poll of an async fallback.
    FallbackResumed,
    /// The text of an error.
    ErrorText,
    /// The text of an argument that a name is made of.
    NameText,
    StateListener,
    FailureListener,
    TripPolicy,
    Create,
    IsHealthy,
    IsBroken,
    Close,
    OnCreate,
    OnAcquire,
    OnRelease,
    OnClose,
    /// The work of a worker thread.
    Job,
}

/// What a panic at a point comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// It reaches the caller, and the call counts as panicked.
    Panics,
    /// It reaches the caller, outside of what is counted as the call's attempts.
    Passes,
    /// It reaches nobody: the call ends as it would have.
    Harmless,
}

impl Point {
    pub(crate) const fn effect(self) -> Effect {
        match self {
            Self::Body
            | Self::Resumed
            | Self::Destructor
            | Self::Factory
            | Self::Classify
            | Self::RetryIf
            | Self::FailureIf
            | Self::Create
            | Self::IsHealthy
            | Self::OnCreate
            | Self::OnAcquire => Effect::Panics,
            Self::Fallback | Self::FallbackResumed | Self::NameText => Effect::Passes,
            Self::ErrorText
            | Self::StateListener
            | Self::FailureListener
            | Self::TripPolicy
            | Self::IsBroken
            | Self::Close
            | Self::OnRelease
            | Self::OnClose
            | Self::Job => Effect::Harmless,
        }
    }
}

/// The payload of every panic that a script planted.
#[derive(Debug)]
pub(crate) struct Planted;

/// What the bodies do, and where one of them panics. Everything runs on the test's thread.
#[derive(Debug, Default)]
struct Script {
    /// So many attempts fail first.
    fails: Cell<u32>,
    /// A body that was polled once never answers.
    hangs: Cell<bool>,
    /// Panics at the n-th time this point is reached.
    planted: Cell<Option<(Point, usize)>>,
    reached: RefCell<BTreeMap<Point, usize>>,
}

thread_local! {
    static SCRIPT: Script = Script::default();
}

/// Begins a script; nothing was reached yet.
pub(crate) fn script(fails: u32, hangs: bool, planted: Option<(Point, usize)>) {
    SCRIPT.with(|script| {
        script.fails.set(fails);
        script.hangs.set(hangs);
        script.planted.set(planted);
        script.reached.borrow_mut().clear();
    });
}

/// Plants a panic in a script under way.
pub(crate) fn plant(point: Point) {
    SCRIPT.with(|script| {
        let next = script.reached.borrow().get(&point).copied().unwrap_or_default() + 1;
        script.planted.set(Some((point, next)));
    });
}

/// The points reached since the script began, and how often.
pub(crate) fn reached() -> BTreeMap<Point, usize> {
    SCRIPT.with(|script| script.reached.borrow().clone())
}

/// Counts a point; whether a panic is planted there.
pub(crate) fn is_planted(point: Point) -> bool {
    SCRIPT.with(|script| {
        let mut reached = script.reached.borrow_mut();
        let times = reached.entry(point).or_default();
        *times += 1;
        script.planted.get() == Some((point, *times))
    })
}

/// Panics as a user's bug would, without a word from the panic hook.
pub(crate) fn blow_up() -> ! {
    resume_unwind(Box::new(Planted))
}

/// Marks a point; panics if a panic is planted there.
pub(crate) fn reach(point: Point) {
    if is_planted(point) {
        blow_up();
    }
}

/// An error as users write it, whose every method may panic.
#[derive(Debug)]
pub(crate) enum Broken {
    Failed,
    Refused(ResilienceError),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reach(Point::ErrorText);
        match self {
            Self::Failed => f.write_str("broken"),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl From<ResilienceError> for Broken {
    fn from(refusal: ResilienceError) -> Self {
        Self::Refused(refusal)
    }
}

impl Classify for Broken {
    fn classify(&self) -> ErrorClass {
        reach(Point::Classify);
        match self {
            Self::Failed => ErrorClass::Transient,
            Self::Refused(refusal) => refusal.classify(),
        }
    }
}

/// An argument whose text may panic.
pub(crate) struct Key;

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        reach(Point::NameText);
        f.write_str("key")
    }
}

/// Something with a destructor, which a body holds while it runs.
struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        // A second panic while the first one unwinds would end the process.
        if !std::thread::panicking() {
            reach(Point::Destructor);
        }
    }
}

/// The body of every scenario.
pub(crate) async fn dependency() -> Result<u32, Broken> {
    let _held = Held;
    reach(Point::Body);
    tokio::task::yield_now().await;
    reach(Point::Resumed);
    if SCRIPT.with(|script| script.hangs.get()) {
        pending::<()>().await;
    }
    let fails = SCRIPT.with(|script| script.fails.replace(script.fails.get().saturating_sub(1)));
    if fails > 0 { Err(Broken::Failed) } else { Ok(7) }
}
