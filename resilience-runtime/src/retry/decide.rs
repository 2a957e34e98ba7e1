//! Whether there will be another attempt, as a plain function.

use std::time::Duration;

use crate::{backoff::Backoff, class::ErrorClass, settings::RetrySettings};

/// What is known of a call when an attempt has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// Attempts made so far, the failed one included.
    pub(crate) attempts: u32,
    /// What the failure means. A caller with a rule of its own passes [`ErrorClass::Transient`] to ask for a retry,
    /// [`ErrorClass::Permanent`] to rule it out.
    pub(crate) class: ErrorClass,
    /// The delay before the failed attempt.
    pub(crate) previous: Option<Duration>,
    /// Time since the call began.
    pub(crate) elapsed: Duration,
    /// Time until the call's deadline, if it has one.
    pub(crate) remaining: Option<Duration>,
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    /// The budget allows no further retry. Not [`decide`]'s to say: its callers ask the budget after it.
    BudgetExhausted,
    /// All attempts were made.
    Exhausted,
    /// Another attempt would not help.
    NotRetryable,
    /// The next attempt would start too late, or sooner than the dependency asked.
    TooLate,
}

/// The delay before the next attempt, or why there is none; `random` is in `[0, 1)`.
///
/// Nobody sleeps towards a refusal: if the delay would end after `max_elapsed` or at the deadline, or if the
/// dependency asks for more time than the longest delay, the answer is no at once. What a dependency asks for is a
/// floor for the delay.
pub(crate) fn decide(settings: &RetrySettings, failure: Failure, random: f64) -> Result<Duration, Stop> {
    let Failure { attempts, class, previous, elapsed, remaining } = failure;
    let floor = match class {
        ErrorClass::Fatal | ErrorClass::Ignored | ErrorClass::Permanent => return Err(Stop::NotRetryable),
        ErrorClass::RetryAfter(wait) => wait,
        ErrorClass::Transient => Duration::ZERO,
    };
    if attempts > settings.max {
        return Err(Stop::Exhausted);
    }
    let delay = Backoff::of(settings).delay(attempts, previous, random).max(floor);
    let too_late = delay > settings.max_delay
        || remaining.is_some_and(|remaining| delay >= remaining)
        || settings.max_elapsed.is_some_and(|longest| elapsed.saturating_add(delay) > longest);
    if too_late { Err(Stop::TooLate) } else { Ok(delay) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{BackoffKind, Jitter};

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const SETTINGS: RetrySettings = RetrySettings::new(3)
        .backoff(BackoffKind::Exponential)
        .delay_ms(100)
        .max_delay_ms(300)
        .jitter(Jitter::None);
    const FIRST: Failure = Failure {
        attempts: 1,
        class: ErrorClass::Transient,
        previous: None,
        elapsed: Duration::ZERO,
        remaining: None,
    };

    #[test]
    fn so_many_further_attempts_and_no_more() {
        let delays = (1..=5).map(|attempts| decide(&SETTINGS, Failure { attempts, ..FIRST }, 0.5));
        let expected = [Ok(MS(100)), Ok(MS(200)), Ok(MS(300)), Err(Stop::Exhausted), Err(Stop::Exhausted)];
        assert_eq!(delays.collect::<Vec<_>>(), expected);
        assert_eq!(decide(&RetrySettings::new(0), FIRST, 0.5), Err(Stop::Exhausted));
    }

    #[test]
    fn only_what_may_pass_is_retried() {
        for class in [ErrorClass::Fatal, ErrorClass::Ignored, ErrorClass::Permanent] {
            // Also when the attempts are used up: the error is the caller's to see as it is.
            for attempts in [1, 4] {
                let failure = Failure { class, attempts, ..FIRST };
                assert_eq!(decide(&SETTINGS, failure, 0.5), Err(Stop::NotRetryable));
            }
        }
    }

    #[test]
    fn retry_after_is_a_floor_and_capped() {
        let asked = |wait, attempts| {
            decide(&SETTINGS, Failure { class: ErrorClass::RetryAfter(MS(wait)), attempts, ..FIRST }, 0.5)
        };
        assert_eq!(asked(30, 1), Ok(MS(100)));
        assert_eq!(asked(250, 1), Ok(MS(250)));
        assert_eq!(asked(250, 3), Ok(MS(300)));
        assert_eq!(asked(300, 1), Ok(MS(300)));
        assert_eq!(asked(301, 1), Err(Stop::TooLate));
    }

    #[test]
    fn no_sleep_towards_a_deadline() {
        let left = |remaining| decide(&SETTINGS, Failure { remaining: Some(MS(remaining)), ..FIRST }, 0.5);
        assert_eq!((left(101), left(100)), (Ok(MS(100)), Err(Stop::TooLate)));
        let settings = SETTINGS.max_elapsed_ms(150);
        let after = |elapsed| decide(&settings, Failure { elapsed: MS(elapsed), ..FIRST }, 0.5);
        assert_eq!((after(50), after(51)), (Ok(MS(100)), Err(Stop::TooLate)));
        assert_eq!(decide(&settings, Failure { elapsed: Duration::MAX, ..FIRST }, 0.5), Err(Stop::TooLate));
    }
}
