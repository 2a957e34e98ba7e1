//! Random histories against a sequential model that is three lists.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};
use resilience_runtime::BulkheadPermit;
use std::task::Poll;
use tokio_test::task::spawn;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// `acquire`, polled once.
    Acquire,
    /// A waiter is dropped.
    Cancel(usize),
    Close,
    /// A waiter is polled.
    Poll(usize),
    /// A permit is dropped.
    Release(usize),
    Resize(usize),
    TryAcquire,
}

/// What ought to happen.
struct Model {
    max: usize,
    queue: usize,
    in_flight: usize,
    closed: bool,
    /// Waiters in order, by number.
    line: VecDeque<usize>,
    served: Vec<usize>,
    accepted: u64,
    refused: u64,
    cancelled: u64,
}

impl Model {
    fn try_acquire(&mut self) -> bool {
        let free = !self.closed && self.line.is_empty() && self.in_flight < self.max;
        self.in_flight += usize::from(free);
        self.accepted += u64::from(free);
        free
    }

    /// Slots go to the first in line as long as there are any.
    fn settle(&mut self) {
        while self.in_flight < self.max {
            let Some(first) = self.line.pop_front() else { break };
            self.served.push(first);
            self.in_flight += 1;
        }
    }

    fn check(&self, bulkhead: &Bulkhead) {
        let available = if self.closed { 0 } else { self.max.saturating_sub(self.in_flight) };
        assert_usage(bulkhead, self.in_flight, self.line.len(), available);
        assert_counts(bulkhead, self.accepted, self.refused, self.cancelled);
        assert_eq!(bulkhead.max(), self.max);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => Just(Step::Acquire),
        30 => any::<usize>().prop_map(Step::Cancel),
        1 => Just(Step::Close),
        50 => any::<usize>().prop_map(Step::Poll),
        60 => any::<usize>().prop_map(Step::Release),
        10 => (1_usize..6).prop_map(Step::Resize),
        30 => Just(Step::TryAcquire),
    ]
}

fn run(max: usize, queue: usize, steps: Vec<Step>) {
    let bulkhead = Bulkhead::builder("db").max(max).queue(queue).wait(Duration::MAX).build().unwrap();
    let mut model = Model {
        max,
        queue,
        in_flight: 0,
        closed: false,
        line: VecDeque::new(),
        served: Vec::new(),
        accepted: 0,
        refused: 0,
        cancelled: 0,
    };
    let mut permits: Vec<BulkheadPermit<'_>> = Vec::new();
    let mut waiters: Vec<(usize, Spawn<Acquire<'_>>)> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::TryAcquire => {
                let expected = model.try_acquire();
                model.refused += u64::from(!expected);
                let permit = bulkhead.try_acquire();
                assert_eq!(permit.is_ok(), expected);
                permits.extend(permit);
            }
            Step::Acquire => {
                let mut acquire = spawn(bulkhead.acquire());
                let answer = acquire.poll();
                if model.try_acquire() {
                    permits.extend(expect_ready(answer));
                } else if model.closed || model.line.len() >= model.queue {
                    model.refused += 1;
                    assert!(matches!(answer, Poll::Ready(Err(_))));
                } else {
                    assert!(answer.is_pending());
                    model.line.push_back(number);
                    waiters.push((number, acquire));
                }
            }
            Step::Poll(which) if !waiters.is_empty() => {
                let which = which % waiters.len();
                let (who, waiter) = &mut waiters[which];
                let served = model.served.iter().position(|served| served == who);
                let expected_woken = served.is_some() || !model.line.contains(who);
                assert_eq!(waiter.is_woken(), expected_woken);
                let answer = waiter.poll();
                if let Some(served) = served {
                    model.served.swap_remove(served);
                    model.accepted += 1;
                    permits.extend(expect_ready(answer));
                } else if expected_woken {
                    model.refused += 1;
                    assert!(matches!(answer, Poll::Ready(Err(_))));
                } else {
                    assert!(answer.is_pending());
                }
                if expected_woken {
                    drop(waiters.swap_remove(which));
                }
            }
            Step::Cancel(which) if !waiters.is_empty() => {
                let (who, waiter) = waiters.swap_remove(which % waiters.len());
                drop(waiter);
                model.cancelled += 1;
                model.line.retain(|&other| other != who);
                if let Some(served) = model.served.iter().position(|&served| served == who) {
                    model.served.swap_remove(served);
                    model.in_flight -= 1;
                }
            }
            Step::Release(which) if !permits.is_empty() => {
                drop(permits.swap_remove(which % permits.len()));
                model.in_flight -= 1;
            }
            Step::Resize(max) => {
                bulkhead.resize(max).unwrap();
                model.max = max;
            }
            Step::Close => {
                bulkhead.close();
                model.closed = true;
                model.line.clear();
            }
            Step::Cancel(_) | Step::Poll(_) | Step::Release(_) => {}
        }
        model.settle();
        model.check(&bulkhead);
    }
    drop((permits, waiters));
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
}

fn expect_ready<T, E: Debug>(answer: Poll<Result<T, E>>) -> Option<T> {
    match answer {
        Poll::Ready(Ok(value)) => Some(value),
        Poll::Ready(Err(error)) => panic!("refused: {error:?}"),
        Poll::Pending => panic!("pending"),
    }
}

proptest! {
    #[test]
    fn behaves_as_three_lists(max in 1_usize..5, queue in 0_usize..5, steps in vec(step(), 0..120)) {
        run(max, queue, steps);
    }
}
