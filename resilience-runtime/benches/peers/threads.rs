//! Two threads at once: what a shared write costs.

use std::sync::Arc;

use resilience_benches::{Contender, Outcome, Scaling, Table, scaling};

use crate::{
    body::{Plain, work},
    limits::{bulkhead_contender, governor, limiter_contender, semaphore},
    ours,
    primitives::{circuit, failsafe, recloser, through},
    stacks::{execution_policy, handmade, tower_resilience},
};

pub(crate) fn compare(table: &mut Table, rounds: usize) {
    let bare = Contender::call("bare call", || work::<Plain>);
    own(table, "two threads, bare call", &bare, rounds, 0.0);

    let circuit = Arc::new(circuit());
    let breaker = Contender::call("breaker", move || {
        let circuit = circuit.clone();
        move |id| through(&circuit, id)
    });
    let ours = own(table, "two threads, breaker", &breaker, rounds, 1.7);
    others(table, "two threads, breaker", ours, &[failsafe(), recloser()], rounds, 4.0);

    let ours = own(table, "two threads, bulkhead", &bulkhead_contender("bulkhead"), rounds, 0.0);
    others(table, "two threads, bulkhead", ours, &[semaphore()], rounds, 0.0);

    let ours = own(table, "two threads, limiter", &limiter_contender("limiter"), rounds, 0.0);
    others(table, "two threads, limiter", ours, &[governor()], rounds, 0.0);

    let ours = own(table, "two threads, full policy", &Contender::future("four", || ours::four), rounds, 1.5);
    let stacks = [handmade(), execution_policy(), tower_resilience()];
    others(table, "two threads, full policy", ours, &stacks, rounds, 4.0);
}

/// Ours on two threads against ours on one.
fn own(table: &mut Table, what: &str, ours: &Contender, rounds: usize, budget: f64) -> Scaling {
    let scaling = scaling(ours, rounds);
    table.add(Outcome::throughput(what, "one thread", scaling.together, scaling.alone, budget));
    scaling
}

/// Ours on two threads against peers on two threads.
fn others(table: &mut Table, what: &str, ours: Scaling, peers: &[Contender], rounds: usize, budget: f64) {
    for peer in peers {
        let theirs = scaling(peer, rounds);
        table.add(Outcome::throughput(what, peer.name(), ours.together, theirs.together, budget));
    }
}
