use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn ask<T>(queue: &mut Queue<T>, ticket: &mut Option<Ticket>) -> Poll<Option<T>> {
    queue.poll(ticket, &mut Some(Waker::noop().clone()))
}

#[test]
fn values_are_handed_over_in_order_of_arrival() {
    let mut queue = Queue::new(0);
    let mut tickets: Vec<_> = (0..4).map(|_| Some(queue.enter())).collect();
    for value in 0..4 {
        assert!(queue.hand_over(value).is_ok());
        assert_eq!(queue.waiting(), 3 - value);
    }
    assert_eq!(queue.hand_over(4).unwrap_err(), 4);
    for (value, ticket) in tickets.iter_mut().enumerate() {
        assert_eq!(ask(&mut queue, ticket), Poll::Ready(Some(value)));
    }
}

#[test]
fn who_leaves_the_middle_leaves_the_order_of_the_others() {
    let mut queue = Queue::new(0);
    let mut first = Some(queue.enter());
    let second = queue.enter();
    let mut third = Some(queue.enter());
    assert!(queue.leave(second).0.is_none());
    assert_eq!(queue.waiting(), 2);
    assert!(queue.hand_over('a').is_ok() && queue.hand_over('b').is_ok());
    assert_eq!(ask(&mut queue, &mut third), Poll::Ready(Some('b')));
    assert_eq!(ask(&mut queue, &mut first), Poll::Ready(Some('a')));
}

#[test]
fn a_value_that_was_not_picked_up_comes_back() {
    let mut queue = Queue::new(0);
    let ticket = queue.enter();
    assert!(queue.hand_over("connection").is_ok());
    assert_eq!(queue.leave(ticket).0, Some("connection"));
}

#[test]
fn dismissed_waiters_are_told_and_served_ones_keep_their_value() {
    let mut queue = Queue::new(0);
    let (mut served, mut dismissed) = (Some(queue.enter()), Some(queue.enter()));
    assert_eq!(ask(&mut queue, &mut dismissed), Poll::Pending);
    assert!(queue.hand_over(1).is_ok());
    let mut wakers = Vec::new();
    queue.dismiss(&mut wakers);
    assert_eq!((wakers.len(), queue.waiting()), (1, 0));
    assert_eq!(ask(&mut queue, &mut served), Poll::Ready(Some(1)));
    assert_eq!(ask(&mut queue, &mut dismissed), Poll::Ready(None));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let mut queue = Queue::new(1);
    let mut ticket = Some(queue.enter());
    for count in [&old, &new] {
        assert!(queue.poll(&mut ticket, &mut Some(Arc::clone(count).into())).is_pending());
    }
    assert_eq!(Arc::strong_count(&old), 1);
    queue.hand_over(()).unwrap().unwrap().wake();
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn places_are_reused() {
    let mut queue = Queue::<()>::new(8);
    for _ in 0..100 {
        let tickets: Vec<_> = (0..8).map(|_| queue.enter()).collect();
        tickets.into_iter().for_each(|ticket| drop(queue.leave(ticket)));
    }
    assert_eq!((queue.slots.len(), queue.slots.capacity(), queue.waiting()), (8, 8, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Enter,
    EnterFirst,
    HandOver,
    Leave(usize),
    Poll(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Enter),
        1 => Just(Step::EnterFirst),
        2 => Just(Step::HandOver),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Poll),
    ];
    vec(step, 0..200)
}

proptest! {
    /// The slab against two plain lists: who waits, and who was served what.
    #[test]
    fn behaves_as_a_plain_list(steps in steps()) {
        let mut queue = Queue::new(0);
        let (mut tickets, mut waiting, mut served) = (Vec::new(), VecDeque::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Enter => {
                    tickets.push((number, Some(queue.enter())));
                    waiting.push_back(number);
                }
                Step::EnterFirst => {
                    tickets.push((number, Some(queue.enter_first())));
                    waiting.push_front(number);
                }
                Step::HandOver => match waiting.pop_front() {
                    Some(first) => {
                        prop_assert!(queue.hand_over(number).is_ok());
                        served.push((first, number));
                    }
                    None => prop_assert_eq!(queue.hand_over(number).unwrap_err(), number),
                },
                Step::Leave(which) if !tickets.is_empty() => {
                    let (who, ticket) = tickets.swap_remove(which % tickets.len());
                    waiting.retain(|&other| other != who);
                    let value = served.iter().find(|(other, _)| *other == who).map(|(_, value)| *value);
                    prop_assert_eq!(queue.leave(ticket.unwrap()).0, value);
                }
                Step::Poll(which) if !tickets.is_empty() => {
                    let which = which % tickets.len();
                    let (who, ticket) = &mut tickets[which];
                    let expected = match served.iter().find(|(other, _)| other == who) {
                        Some((_, value)) => Poll::Ready(Some(*value)),
                        None => Poll::Pending,
                    };
                    prop_assert_eq!(ask(&mut queue, ticket), expected);
                    if expected.is_ready() {
                        prop_assert!(ticket.is_none());
                        tickets.swap_remove(which);
                    }
                }
                Step::Leave(_) | Step::Poll(_) => {}
            }
            prop_assert_eq!(queue.waiting(), waiting.len());
        }
    }
}
