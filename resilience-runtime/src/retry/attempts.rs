//! The attempts of one call.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use fastrand::Rng;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::{
    decide::{Failure, Stop, decide},
    policy::Retry,
};
use crate::{
    class::ErrorClass,
    clock::{self, Instant},
};

/// The attempts of one call, one by one; see [`Retry::attempts`].
///
/// Whoever asks for the next attempt says by that that the last one failed.
#[derive(Debug)]
#[must_use = "attempts are made by calling `next` in a loop"]
pub struct Attempts<'a> {
    retry: &'a Retry,
    /// `None` draws from the thread's generator.
    rng: Option<Rng>,
    /// When the first attempt began, if anything needs to know.
    began: Option<Instant>,
    made: u32,
    /// The delay before the last attempt.
    previous: Option<Duration>,
    /// What the last failure means.
    class: ErrorClass,
    next: Next,
}

/// What is known of the next attempt.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// Nothing yet.
    Open,
    /// It starts at this moment. A budget has been asked already, so this outlives a dropped future.
    Due(Instant),
    /// There is none.
    Never,
}

/// One attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    number: u32,
    last: bool,
}

impl Attempt {
    /// The first attempt is 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// No further attempt will follow.
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.last
    }
}

impl<'a> Attempts<'a> {
    pub(super) fn new(retry: &'a Retry) -> Self {
        Self {
            retry,
            rng: retry.seed.map(Rng::with_seed),
            began: None,
            made: 0,
            previous: None,
            class: ErrorClass::Transient,
            next: Next::Open,
        }
    }

    /// The next attempt: the first one at once, each further one after its delay. `None` if all were made, if the
    /// budget or the time is used up, or if the last error rules another attempt out.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the next one waits for the rest of the same delay.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time driver enabled, if the attempt has to wait for its delay.
    pub fn next<'b>(&'b mut self) -> NextAttempt<'b, 'a> {
        NextAttempt { attempts: Some(self), sleep: None }
    }

    /// The dependency asked to be left alone for `wait`: the next attempt starts no sooner, and not at all if
    /// that is longer than the longest delay or reaches beyond `max_elapsed`.
    pub fn retry_after(&mut self, wait: Duration) {
        self.classify(ErrorClass::RetryAfter(wait));
    }

    /// What the error of the attempt under way means for a further one.
    pub fn classify(&mut self, class: ErrorClass) {
        self.class = class;
    }

    /// Attempts made so far.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Begins the first attempt.
    pub(super) fn begin(&mut self) -> Attempt {
        if self.retry.budget.is_some() || self.retry.settings.max_elapsed.is_some() {
            let now = clock::now();
            self.began = Some(now);
            if let Some(budget) = &self.retry.budget {
                budget.deposit(now);
            }
        }
        self.proceed()
    }

    /// Begins an attempt whose moment has come.
    pub(super) fn proceed(&mut self) -> Attempt {
        self.made += 1;
        self.class = ErrorClass::Transient;
        self.next = Next::Open;
        Attempt { number: self.made, last: self.made > self.retry.settings.max }
    }

    /// Decides when the next attempt starts; `None` is at once.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn schedule(&mut self) -> Result<Option<Instant>, Stop> {
        if let Next::Due(at) = self.next {
            return Ok(Some(at));
        }
        let now = clock::now();
        let failure = Failure {
            attempts: self.made,
            class: self.class,
            previous: self.previous,
            elapsed: self.began.map_or(Duration::ZERO, |began| now.saturating_since(began)),
            remaining: None,
        };
        let random = self.rng.as_mut().map_or_else(fastrand::f64, Rng::f64);
        let answer =
            decide(&self.retry.settings, failure, random).and_then(|delay| match &self.retry.budget {
                Some(budget) if !budget.withdraw(now) => Err(Stop::BudgetExhausted),
                _ => Ok(delay),
            });
        match answer {
            Ok(delay) => {
                self.previous = Some(delay);
                let at = now.saturating_add(delay);
                self.next = Next::Due(at);
                Ok((!delay.is_zero()).then_some(at))
            }
            Err(stop) => {
                self.next = Next::Never;
                Err(stop)
            }
        }
    }
}

pin_project! {
    /// Waits for the next attempt; see [`Attempts::next`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct NextAttempt<'b, 'a> {
        // `None` once this has answered.
        attempts: Option<&'b mut Attempts<'a>>,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Future for NextAttempt<'_, '_> {
    type Output = Option<Attempt>;

    /// # Panics
    ///
    /// If polled after completion.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(attempts) = this.attempts else { panic!("`NextAttempt` polled after completion") };
        let answer = if attempts.made == 0 {
            Some(attempts.begin())
        } else if matches!(attempts.next, Next::Never) {
            None
        } else {
            if this.sleep.is_none() {
                if let Ok(Some(at)) = attempts.schedule() {
                    this.sleep.set(Some(clock::sleep_until(at)));
                }
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
            }
            (!matches!(attempts.next, Next::Never)).then(|| attempts.proceed())
        };
        *this.attempts = None;
        Poll::Ready(answer)
    }
}
