//! Every public future and every annotated shape is dropped after each of its polls, and panics at each place where
//! it calls the user's code, in every weather: afterwards everything it borrowed is back, it was counted once, and
//! the next call works.
//!
//! The cases are not written down: a first run of a scenario tells how often it is polled and which code of the
//! user's it reaches how often, and each of that becomes a case.

mod annotated;
mod faults;
mod scenarios;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use faults::{Effect, Planted, Point, plant, script};
use scenarios::{Answer, Counted, SCENARIOS, Scenario};
use world::{Books, WEATHERS, Weather, World, poll_once};

/// What goes wrong in a case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Nothing,
    /// The future is dropped after so many polls.
    Drop(usize),
    /// And what its body holds panics in its destructor.
    DropLoudly(usize),
    /// The user's code panics when it gets to this point for this time.
    Panic(Point, usize),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Answered(bool),
    Dropped,
    Panicked,
}

/// What a case came to.
#[derive(Debug)]
struct Trace {
    polls: usize,
    end: End,
    /// The user's code that ran in the polls, and how often.
    reached: BTreeMap<Point, usize>,
    /// Dropping the future ran the destructor of what its body holds.
    dropped_a_body: bool,
}

/// A call that is not over by then never will be.
const MOST_POLLS: usize = 80;

/// After so many polls a call that never ends has nothing new to do.
const IDLE_POLLS: usize = 10;

/// Runs user code; `None` if a planted panic came out of it.
fn caught<R>(run: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Planted>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Polls a call until it ends or the fault ends it, one millisecond apart.
async fn drive(mut call: Answer, world: &World, weather: &Weather, fault: Fault) -> Trace {
    let (last, loud) = match fault {
        Fault::Drop(polls) => (polls, false),
        Fault::DropLoudly(polls) => (polls, true),
        Fault::Nothing | Fault::Panic(..) => (MOST_POLLS, false),
    };
    let mut polls = 0;
    let mut end = End::Dropped;
    while polls < last && end == End::Dropped {
        world.turn(polls, weather);
        match caught(|| poll_once(&mut call)) {
            None => end = End::Panicked,
            Some(Poll::Ready(answer)) => end = End::Answered(answer),
            Some(Poll::Pending) => tokio::time::advance(Duration::from_millis(1)).await,
        }
        polls += 1;
    }
    let reached = faults::reached();
    if loud {
        plant(Point::Destructor);
    }
    let quiet = caught(|| drop(call)).is_some();
    assert_eq!(quiet, !loud, "a panic in a destructor is the caller's to see, and there is no other");
    let dropped_a_body = faults::reached().get(&Point::Destructor) != reached.get(&Point::Destructor);
    Trace { polls, end, reached, dropped_a_body }
}

/// Runs one case, from a registry as it is after a first successful call, and checks everything.
async fn case(scenario: &Scenario, weather: &Weather, fault: Fault) -> Trace {
    let world = Rc::new(World::new());
    script(0, false, None);
    assert_eq!(works(scenario, &world).await, End::Answered(true), "the first call");
    world.reset();
    world.bring(weather).await;
    let before = world.books();
    let planted = if let Fault::Panic(point, time) = fault { Some((point, time)) } else { None };
    script(weather.fails, weather.hangs, planted);
    let trace = drive((scenario.start)(&world), &world, weather, fault).await;
    world.clear();
    world.check_returned();
    check_end(&trace, fault);
    check_books(scenario, world.books().since(before), &trace, fault);

    for circuit in world.registry.circuits() {
        circuit.close();
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(works(scenario, &world).await, End::Answered(true), "the call after it");
    world.check_returned();
    trace
}

/// An undisturbed call.
async fn works(scenario: &Scenario, world: &Rc<World>) -> End {
    drive((scenario.start)(world), world, &WEATHERS[0], Fault::Nothing).await.end
}

fn check_end(trace: &Trace, fault: Fault) {
    if let Fault::Panic(point, _) = fault {
        assert_eq!(trace.end == End::Panicked, point.effect() != Effect::Harmless, "who sees the panic");
    }
}

/// Every call was counted once, as what it was.
fn check_books(scenario: &Scenario, books: Books, trace: &Trace, fault: Fault) {
    let Trace { polls, end, ref reached, .. } = *trace;
    let began = u64::from(polls > 0);
    let panicked = u64::from(matches!(fault, Fault::Panic(point, _) if point.effect() == Effect::Panics));
    match scenario.counted {
        Counted::Nowhere => {}
        Counted::BySite | Counted::BySiteAndCircuit => {
            // The name is made up before the call begins, and a fallback runs after it has ended.
            let nameless = end == End::Panicked && reached.keys().eq([&Point::NameText]);
            let fell_back = reached.contains_key(&Point::Fallback);
            let calls = if nameless { 0 } else { began };
            let cancelled = if fell_back || end != End::Dropped { 0 } else { calls };
            assert_eq!(
                (books.calls, books.ended, books.cancelled, books.panicked),
                (calls, calls, cancelled, panicked),
                "calls, those that ended, were cancelled, panicked"
            );
            if scenario.counted == Counted::BySiteAndCircuit {
                assert_eq!(books.permits, books.attempts, "each attempt has one result");
                assert_eq!(books.circuit_panics, panicked, "and a panic is one");
            }
        }
        Counted::ByCircuit => assert_eq!(books.circuit_panics, panicked),
        Counted::ByPool => assert_eq!(books.acquisitions, began),
        Counted::ByTimeout => assert_eq!(books.timed, began),
    }
}

/// All cases of one weather; how many there were.
async fn all_cases(weather: &Weather) -> usize {
    let mut cases = 0;
    for scenario in SCENARIOS {
        let run = async |fault| {
            let name = scenario.name;
            let told = Told(format!("{name}, {}, {fault:?}", weather.name));
            let trace = case(scenario, weather, fault).await;
            std::mem::forget(told);
            trace
        };
        let clean = run(Fault::Nothing).await;
        cases += 1;
        let polls = if clean.end == End::Dropped { IDLE_POLLS } else { clean.polls };
        for polls in 0..=polls {
            let trace = run(Fault::Drop(polls)).await;
            cases += 1;
            if trace.dropped_a_body {
                run(Fault::DropLoudly(polls)).await;
                cases += 1;
            }
        }
        for (&point, &times) in &clean.reached {
            for time in 1..=times {
                run(Fault::Panic(point, time)).await;
                cases += 1;
            }
        }
    }
    cases
}

/// Says which case it was when a check fails.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("failed in: {}", self.0);
    }
}

macro_rules! weathers {
    ($($test:ident = $weather:literal: $cases:literal),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                let weather = WEATHERS.iter().find(|weather| weather.name == $weather).expect("a weather");
                let cases = all_cases(weather).await;
                assert!(cases >= $cases, "only {cases} cases were generated");
            }
        )*

        #[test]
        fn no_weather_is_left_out() {
            assert!(WEATHERS.iter().map(|weather| weather.name).eq([$($weather),*]));
        }
    };
}

weathers! {
    calm = "calm": 200,
    failing = "failing": 500,
    tripping = "tripping": 550,
    hanging = "hanging": 700,
    busy = "busy": 230,
    busy_and_failing = "busy and failing": 450,
    starved = "starved": 300,
    probing = "probing": 230,
    probing_in_vain = "probing in vain": 350,
    refusing = "refusing": 140,
}

#[tokio::test(start_paused = true)]
async fn every_scenario_reaches_the_code_it_is_said_to_reach() {
    for scenario in SCENARIOS {
        let mut points = BTreeSet::new();
        for weather in &WEATHERS {
            points.extend(case(scenario, weather, Fault::Nothing).await.reached.into_keys());
        }
        assert_eq!(points, scenario.points.iter().copied().collect(), "{}", scenario.name);
    }
}
