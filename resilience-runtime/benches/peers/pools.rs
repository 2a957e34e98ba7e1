//! A pool of connections: an idle one taken and given back, and many callers for few.

use std::{convert::Infallible, time::Duration};

use resilience_benches::{Budget, Comparison, Contender, Crowd, Fared, Outcome, Scarce, Spread, Table, fare};
use resilience_runtime::{ConnectionPool, Manager, Pooled};

pub(crate) fn comparisons() -> Vec<Comparison> {
    let ours = |limit| {
        Contender::future("", move || {
            let pool = ours(limit);
            async move |_| pool.acquire().await.map(drop)
        })
    };
    let deadpool = |name, limit| {
        Contender::future(name, move || {
            let pool = deadpool(limit);
            async move |_| pool.get().await.map(drop)
        })
    };
    let bb8 = |name, limit| {
        Contender::future(name, move || {
            let pool = bb8(limit);
            async move |_| pool.get().await.map(drop)
        })
    };
    vec![
        Comparison::new("checkout and return", ours(LIMIT))
            .against(deadpool("deadpool 0.13", None), Budget::Times(0.75))
            .against(deadpool("deadpool 0.13, 30 s", Some(LIMIT)), Budget::Times(0.75))
            .against(bb8("bb8 0.9", LIMIT), Budget::Times(0.75)),
        Comparison::new("checkout and return, no limit", ours(Duration::MAX))
            .against(deadpool("deadpool 0.13", None), Budget::Times(0.75))
            .against(bb8("bb8 0.9, no limit", Duration::MAX), Budget::Times(0.75)),
    ]
}

/// More callers than connections.
pub(crate) fn compare(table: &mut Table, rounds: usize) {
    for (place, workers) in [("one thread", None), ("two workers", Some(2))] {
        let limited = [
            Crowd::new("ours", workers, || Ours(ours(LIMIT))),
            Crowd::new("deadpool 0.13, 30 s", workers, || Deadpool(deadpool(Some(LIMIT)))),
            Crowd::new("bb8 0.9", workers, || Bb8(bb8(LIMIT))),
            Crowd::new("deadpool 0.13", workers, || Deadpool(deadpool(None))),
        ];
        let fared = fare(&limited.each_ref(), rounds);
        turns(table, &format!("64 tasks over 8 connections, {place}"), &limited, &fared);
        waits(table, &limited, &fared);
        let unlimited = [
            Crowd::new("ours", workers, || Ours(ours(Duration::MAX))),
            Crowd::new("deadpool 0.13", workers, || Deadpool(deadpool(None))),
            Crowd::new("bb8 0.9, no limit", workers, || Bb8(bb8(Duration::MAX))),
        ];
        let fared = fare(&unlimited.each_ref(), rounds);
        turns(table, &format!("... no limit, {place}"), &unlimited, &fared);
    }
}

/// Ours, which comes first, against each of the others.
fn turns(table: &mut Table, what: &str, crowds: &[Crowd], fared: &[Fared]) {
    for (peer, theirs) in crowds.iter().zip(fared).skip(1) {
        table.add(Outcome::times(what, peer.name(), fared[0].turn, theirs.turn, Budget::Times(1.0)));
    }
}

/// Everybody's longest wait against their own median. Only ours has promised anything.
fn waits(table: &mut Table, crowds: &[Crowd], fared: &[Fared]) {
    for (who, &Fared { time, turns, .. }) in crowds.iter().map(Crowd::name).zip(fared) {
        let budget = if who == "ours" { Budget::Times(3.0) } else { Budget::None };
        for (unit, Spread { longest, median }) in [("time", time), ("turns of others", turns)] {
            let what = format!("... longest wait of {who}, {unit}");
            table.add(Outcome::times(&what, "their median", longest, median, budget));
        }
    }
}

/// What ours and bb8 wait at most where nothing is said. Deadpool waits without end.
const LIMIT: Duration = Duration::from_secs(30);

const SIZE: u32 = 8;

/// As large as a socket with its buffers' pointers.
type Connection = [u64; 4];

/// Makes connections at once, for whichever pool: the pool is measured, not the peer.
struct Source;

impl Manager for Source {
    type Connection = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok([1; 4])
    }
}

impl deadpool::managed::Manager for Source {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        Ok([1; 4])
    }

    async fn recycle(
        &self,
        _: &mut Connection,
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Source {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        Ok([1; 4])
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

fn ours(limit: Duration) -> ConnectionPool<Source> {
    let pool = ConnectionPool::builder("bench", Source).max_size(SIZE as usize).acquire_timeout(limit);
    pool.build().unwrap_or_else(|error| panic!("{error}"))
}

fn deadpool(limit: Option<Duration>) -> deadpool::managed::Pool<Source> {
    let pool = deadpool::managed::Pool::builder(Source)
        .max_size(SIZE as usize)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(limit);
    pool.build().unwrap_or_else(|error| panic!("{error}"))
}

fn bb8(limit: Duration) -> bb8::Pool<Source> {
    bb8::Pool::builder().max_size(SIZE).connection_timeout(limit).build_unchecked(Source)
}

struct Ours(ConnectionPool<Source>);

struct Deadpool(deadpool::managed::Pool<Source>);

struct Bb8(bb8::Pool<Source>);

impl Scarce for Ours {
    type Held<'a> = Pooled<Source>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.0.acquire().await.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Scarce for Deadpool {
    type Held<'a> = deadpool::managed::Object<Source>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.0.get().await.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Scarce for Bb8 {
    type Held<'a> = bb8::PooledConnection<'a, Source>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.0.get().await.unwrap_or_else(|error| panic!("{error}"))
    }
}
