//! Every fault, at every depth of waiting, dropped after every poll, from every state of the pool.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// What the pool looks like when the caller comes.
#[derive(Clone, Copy, Debug)]
enum Before {
    Empty,
    Idle,
    Sick,
    /// Everything is in use; then one connection comes back.
    Returned,
    /// Everything is in use; then one connection is discarded.
    Discarded,
    /// Everything is in use; then one connection is detached.
    Detached,
    /// Everything is in use; then the pool grows.
    Grown,
    /// Everything is in use, and another caller waits in front; then it gives up its turn.
    Passed,
}

const BEFORE: [Before; 8] = [
    Before::Empty,
    Before::Idle,
    Before::Sick,
    Before::Returned,
    Before::Discarded,
    Before::Detached,
    Before::Grown,
    Before::Passed,
];

/// What the caller does with the connection.
#[derive(Clone, Copy, Debug)]
enum Use {
    Return,
    Discard,
    Detach,
    Break,
    Suspect,
}

const USES: [Use; 5] = [Use::Return, Use::Discard, Use::Detach, Use::Break, Use::Suspect];

/// One cell; the outcome is of no interest, only what is left behind.
fn play(before: Before, fault: Option<Fault>, pending: usize, polls: usize, usage: Use) -> bool {
    let manager = Scripted::default();
    let pool = builder(&manager).max_size(2).build().unwrap();
    let mut held: Vec<_> = match before {
        Before::Empty => Vec::new(),
        _ => (0..2).map(|_| now(pool.acquire()).unwrap()).collect(),
    };
    match before {
        Before::Idle => held.clear(),
        Before::Sick => held.drain(..).for_each(|connection| connection.sick.store(true, Relaxed)),
        _ => {}
    }
    let mut in_front = Box::pin(pool.acquire());
    if let Before::Passed = before {
        assert!(poll(&mut in_front).is_pending());
    }
    *manager.0.fault.lock() = fault;
    manager.0.pending.store(pending, Relaxed);

    let mut caller = Some(Box::pin(pool.acquire()));
    let mut finished = false;
    for turn in 0..polls {
        let Some(future) = &mut caller else { break };
        let polled = catch_unwind(AssertUnwindSafe(|| poll(future)));
        match polled {
            Err(_) | Ok(Poll::Ready(Err(_))) => caller = None,
            Ok(Poll::Ready(Ok(connection))) => {
                caller = None;
                finish(connection, usage);
            }
            Ok(Poll::Pending) => {}
        }
        finished = caller.is_none();
        if turn == 0 {
            match before {
                Before::Returned | Before::Passed => drop(held.pop()),
                Before::Discarded => held.pop().unwrap().discard(),
                Before::Detached => drop(held.pop().unwrap().detach()),
                Before::Grown => pool.resize(3).unwrap(),
                _ => {}
            }
        }
        if turn == 1 {
            if let Before::Passed = before {
                in_front = Box::pin(pool.acquire());
            }
        }
    }
    drop(caller);
    drop(in_front);
    check_books(&pool, held.len());
    drop(held);
    check_books(&pool, 0);
    let snapshot = pool.snapshot();
    let ended = snapshot.acquired + snapshot.failed + snapshot.refused + snapshot.cancelled;
    assert!(ended <= 4, "{snapshot:#?}");
    check_slots(&pool);
    finished
}

fn finish(mut connection: Pooled<Scripted>, usage: Use) {
    match usage {
        Use::Return => drop(connection),
        Use::Discard => connection.discard(),
        Use::Detach => drop(connection.detach()),
        Use::Break => connection.broken = true,
        Use::Suspect => connection.suspect(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_or_a_cancellation_anywhere_leaks_nothing() {
    silence_what_was_told();
    let mut cells = 0;
    for before in BEFORE {
        for fault in [None].into_iter().chain(Fault::ALL.map(Some)) {
            for pending in 0..3 {
                for usage in USES {
                    // Until the caller has its answer: every poll before that one has been the last.
                    for polls in 0.. {
                        assert!(polls < 50, "no answer: {before:?} {fault:?} {pending}");
                        cells += 1;
                        if play(before, fault, pending, polls, usage) {
                            break;
                        }
                    }
                }
            }
        }
    }
    assert!(cells > 3_000, "{cells} cells");
}
