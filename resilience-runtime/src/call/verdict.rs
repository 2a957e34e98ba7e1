//! What an attempt's result means.

use std::fmt;

use crate::{circuit::Outcome, class::ErrorClass};

/// Judges the outcomes `R` of a site. Has no value of its own: a site's judge is a type.
pub trait Judge<R> {
    /// What a success consists of.
    type Success;

    /// The parts of a success, or the outcome there is something to judge about.
    #[allow(clippy::missing_errors_doc)]
    fn split(out: R) -> Result<Self::Success, R>;

    /// The outcome again.
    fn join(success: Self::Success) -> R;

    /// The class of the failure, `None` for a success.
    fn class(out: &R) -> Option<ErrorClass>;

    /// The error, to be displayed if it trips a circuit.
    fn cause(out: &R) -> Option<&dyn fmt::Display>;
}

/// What an attempt's result means to the circuit, to the retry and to the site's counts.
#[derive(Clone, Copy)]
#[must_use = "a verdict does nothing until a call is settled with it"]
pub struct Verdict<'a> {
    pub(super) outcome: Outcome,
    /// The class to retry under, or `None` for not at all.
    pub(super) retry: Option<ErrorClass>,
    /// Whether the site counts the call as failed.
    pub(super) failed: bool,
    pub(super) cause: Option<&'a dyn fmt::Display>,
    class: Option<ErrorClass>,
}

impl<'a> Verdict<'a> {
    /// The attempt succeeded.
    pub const fn success() -> Self {
        Self { outcome: Outcome::Success, retry: None, failed: false, cause: None, class: None }
    }

    /// The attempt failed with an error of this class; `cause` is its text, read only if the circuit trips.
    pub const fn error(class: ErrorClass, cause: Option<&'a dyn fmt::Display>) -> Self {
        let (outcome, retry) = match class {
            ErrorClass::Fatal => (Outcome::Failure, None),
            ErrorClass::Ignored => (Outcome::Ignored, None),
            ErrorClass::Permanent => (Outcome::Success, None),
            ErrorClass::RetryAfter(_) | ErrorClass::Transient => (Outcome::Failure, Some(class)),
        };
        Self { outcome, retry, failed: true, cause, class: Some(class) }
    }

    /// What a site's judge says.
    pub(crate) fn of<R, J: Judge<R>>(out: &'a R) -> Self {
        J::class(out).map_or(Self::success(), |class| Self::error(class, J::cause(out)))
    }

    /// Whether nothing is left to do but to count.
    #[inline]
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Success) && !self.failed && self.retry.is_none()
    }

    /// Whether nothing that took part in the attempt should be used again.
    pub(super) const fn is_fatal(&self) -> bool {
        matches!(self.class, Some(ErrorClass::Fatal))
    }

    /// The user decides whether to try again. A refusal of an inner site, and anything else that says nothing about
    /// the dependency, is not retried whatever the user says.
    pub const fn retry_if(mut self, retry: bool) -> Self {
        self.retry = match self.class {
            Some(ErrorClass::Ignored) => None,
            Some(class @ ErrorClass::RetryAfter(_)) if retry => Some(class),
            _ if retry => Some(ErrorClass::Transient),
            _ => None,
        };
        self
    }

    /// The user decides what the circuit counts as a failure. What says nothing about the dependency stays neutral.
    pub const fn failure_if(mut self, failure: bool) -> Self {
        if !matches!(self.class, Some(ErrorClass::Ignored)) {
            self.outcome = if failure { Outcome::Failure } else { Outcome::Success };
        }
        self
    }
}

impl fmt::Debug for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("outcome", &self.outcome)
            .field("retry", &self.retry)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_counts_is_what_the_table_says() {
        let after = ErrorClass::RetryAfter(Duration::from_secs(1));
        for (class, outcome, retry) in [
            (ErrorClass::Transient, Outcome::Failure, Some(ErrorClass::Transient)),
            (ErrorClass::Permanent, Outcome::Success, None),
            (ErrorClass::Fatal, Outcome::Failure, None),
            (ErrorClass::Ignored, Outcome::Ignored, None),
            (after, Outcome::Failure, Some(after)),
        ] {
            let verdict = Verdict::error(class, None);
            assert_eq!((verdict.outcome, verdict.retry, verdict.failed), (outcome, retry, true), "{class:?}");
        }
    }

    #[test]
    fn closures_decide_except_about_what_is_neutral() {
        let neutral = Verdict::error(ErrorClass::Ignored, None).retry_if(true).failure_if(true);
        assert_eq!((neutral.outcome, neutral.retry), (Outcome::Ignored, None));
        let empty = Verdict::success().retry_if(true).failure_if(true);
        assert_eq!((empty.outcome, empty.retry), (Outcome::Failure, Some(ErrorClass::Transient)));
        let known = Verdict::error(ErrorClass::Transient, None).retry_if(false).failure_if(false);
        assert_eq!((known.outcome, known.retry), (Outcome::Success, None));
        let after = ErrorClass::RetryAfter(Duration::from_secs(1));
        assert_eq!(Verdict::error(after, None).retry_if(true).retry, Some(after), "the floor stays");
        assert_eq!(Verdict::error(after, None).retry_if(false).retry, None);
    }
}
