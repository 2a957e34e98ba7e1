//! Waiting for a permit.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{Bulkhead, BulkheadPermit, Place};
use crate::{
    clock::{self, Instant},
    error::ResilienceError,
    sync::stripe,
};

pin_project! {
    /// A permit to come; see [`Bulkhead::acquire`]. Polled again after its answer, it asks anew.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Acquire<'a> {
        bulkhead: &'a Bulkhead,
        place: Option<Place>,
        // Armed when it really has to wait.
        #[pin]
        timer: Option<Sleep>,
    }

    impl PinnedDrop for Acquire<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(place) = this.place {
                this.bulkhead.leave(place);
            }
        }
    }
}

impl<'a> Acquire<'a> {
    pub(super) const fn new(bulkhead: &'a Bulkhead) -> Self {
        Self { bulkhead, place: None, timer: None }
    }
}

impl<'a> Future for Acquire<'a> {
    type Output = Result<BulkheadPermit<'a>, ResilienceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let bulkhead = *this.bulkhead;
        let place = match this.place {
            Some(place) => place,
            None if bulkhead.try_take(stripe::current()) => {
                return Poll::Ready(Ok(BulkheadPermit::new(bulkhead)));
            }
            None => match bulkhead.enter(clock::now) {
                Ok(place) => this.place.insert(place),
                Err(refused) => return Poll::Ready(Err(bulkhead.refusal(refused))),
            },
        };
        let answer = match bulkhead.poll_place(place, cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending if place.deadline() == Instant::FAR => return Poll::Pending,
            Poll::Pending => {
                if this.timer.is_none() {
                    this.timer.set(Some(clock::sleep_until(place.deadline())));
                }
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    ready!(timer.poll(cx));
                }
                Err(bulkhead.expire(place, clock::now()))
            }
        };
        *this.place = None;
        this.timer.set(None);
        Poll::Ready(match answer {
            Ok(()) => Ok(BulkheadPermit::new(bulkhead)),
            Err(refused) => Err(bulkhead.refusal(refused)),
        })
    }
}
