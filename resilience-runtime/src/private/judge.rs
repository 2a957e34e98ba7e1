//! What an outcome means, found by autoref.
//!
//! `(&&&&&Probe(&out)).class()` takes the first that fits of
//!
//! 1. [`ProbeClassify`]: a `Result` whose error implements [`Classify`];
//! 2. [`ProbeError`]: a `Result` whose error is a [`std::error::Error`], searched for a nested refusal;
//! 3. [`ProbeDeref`]: a `Result` whose error derefs to `dyn Error` (`anyhow::Error`, shared boxes), searched likewise;
//! 4. [`ProbeShape`]: any other `Result`, and `Option`;
//! 5. [`ProbeAny`]: everything else, which never fails.
//!
//! No impl has a lifetime bound: method lookup erases lifetimes, so a level would be chosen and then fail. In a function
//! that is generic over its error only the declared bounds count.

use std::{error::Error, fmt::Display, ops::Deref};

use crate::{
    call::Verdict,
    class::{Classify, ErrorClass},
};

/// An outcome to be judged.
#[derive(Debug)]
pub struct Probe<'a, R>(pub &'a R);

/// First choice: the error says it itself.
pub trait ProbeClassify {
    /// The class of the failure, `None` for a success.
    fn class(&self) -> Option<ErrorClass>;
}

impl<T, E: Classify> ProbeClassify for &&&&Probe<'_, Result<T, E>> {
    fn class(&self) -> Option<ErrorClass> {
        self.0.as_ref().err().map(E::classify)
    }
}

/// Second choice: whatever caused the error may be a refusal.
pub trait ProbeError {
    /// The class of the failure, `None` for a success.
    fn class(&self) -> Option<ErrorClass>;
}

impl<T, E: Error> ProbeError for &&&Probe<'_, Result<T, E>> {
    fn class(&self) -> Option<ErrorClass> {
        let error = self.0.as_ref().err()?;
        Some(error.source().map_or(ErrorClass::Transient, ErrorClass::of_chain))
    }
}

/// Third choice: the same for errors that only point to one.
pub trait ProbeDeref {
    /// The class of the failure, `None` for a success.
    fn class(&self) -> Option<ErrorClass>;
}

impl<T, E: Deref<Target = D>, D: AsError + ?Sized> ProbeDeref for &&Probe<'_, Result<T, E>> {
    fn class(&self) -> Option<ErrorClass> {
        let error = self.0.as_ref().err()?;
        Some(ErrorClass::of_chain(error.as_error()))
    }
}

/// The trait objects that [`ProbeDeref`] can search.
pub trait AsError {
    /// Without the auto traits.
    fn as_error(&self) -> &(dyn Error + 'static);
}

impl AsError for dyn Error {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

impl AsError for dyn Error + Send + Sync {
    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}

/// Fourth choice: a failure of which nothing is known.
pub trait ProbeShape {
    /// The class of the failure, `None` for a success.
    fn class(&self) -> Option<ErrorClass>;
}

impl<T, E> ProbeShape for &Probe<'_, Result<T, E>> {
    fn class(&self) -> Option<ErrorClass> {
        self.0.is_err().then_some(ErrorClass::Transient)
    }
}

impl<T> ProbeShape for &Probe<'_, Option<T>> {
    fn class(&self) -> Option<ErrorClass> {
        self.0.is_none().then_some(ErrorClass::Transient)
    }
}

/// Last choice: not a shape that can fail.
pub trait ProbeAny {
    /// `None`: a success.
    fn class(&self) -> Option<ErrorClass> {
        None
    }
}

impl<R> ProbeAny for Probe<'_, R> {}

/// The text of an outcome's error, where it has one: `(&&&Cause(&out)).text()`.
#[derive(Debug)]
pub struct Cause<'a, R>(pub &'a R);

/// First choice: the error can be displayed.
pub trait CauseOfDisplay<'a> {
    /// The error, to be displayed if it trips a circuit.
    fn text(&self) -> Option<&'a dyn Display>;
}

impl<'a, T, E: Display> CauseOfDisplay<'a> for &Cause<'a, Result<T, E>> {
    fn text(&self) -> Option<&'a dyn Display> {
        self.0.as_ref().err().map(|error| error as &dyn Display)
    }
}

/// Last choice: nothing to display.
pub trait CauseOfAny<'a> {
    /// `None`.
    fn text(&self) -> Option<&'a dyn Display> {
        None
    }
}

impl<'a, R> CauseOfAny<'a> for Cause<'a, R> {}

/// What class and cause come to.
pub fn verdict<'a>(class: Option<ErrorClass>, cause: Option<&'a dyn Display>) -> Verdict<'a> {
    match class {
        None => Verdict::success(),
        Some(class) => Verdict::error(class, cause),
    }
}

/// Return types whose error `classify = ..` can look at.
#[diagnostic::on_unimplemented(
    message = "`classify` looks at the error of a `Result`, but the function returns `{Self}`",
    label = "not a `Result`",
    note = "to judge other outcomes use `failure_if = |outcome| ...` and `retry_if = |outcome| ...`"
)]
pub trait Fallible {
    /// The `E` of `Result<T, E>`.
    type Error;

    /// The error, if it is one.
    fn failure(&self) -> Option<&Self::Error>;
}

#[diagnostic::do_not_recommend]
impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    fn failure(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// Asks the site's own classification; a function of its own so that the closure's argument type is known.
pub fn classify<R: Fallible>(out: &R, judge: impl FnOnce(&R::Error) -> ErrorClass) -> Option<ErrorClass> {
    out.failure().map(judge)
}

/// Asks `retry_if` or `failure_if`; a function of its own for the same reason.
pub fn judge<R>(out: &R, judge: impl FnOnce(&R) -> bool) -> bool {
    judge(out)
}

#[cfg(test)]
mod tests {
    use std::{fmt, io, sync::Arc};

    use super::*;
    use crate::error::ResilienceError;

    macro_rules! class {
        ($out:expr) => {{
            let out = $out;
            (&&&&&Probe(&out)).class()
        }};
    }

    macro_rules! text {
        ($out:expr) => {{
            let out = $out;
            (&&Cause(&out)).text().map(ToString::to_string)
        }};
    }

    fn refusal() -> ResilienceError {
        ResilienceError::ShutDown { name: crate::name::Name::from_static("a") }
    }

    #[derive(Debug)]
    struct Borrowed<'a>(&'a str);

    impl Display for Borrowed<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Borrowed<'_> {}

    #[derive(Debug)]
    struct Wraps(ResilienceError);

    impl Display for Wraps {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wraps")
        }
    }

    impl Error for Wraps {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_error_itself_is_asked_first() {
        assert_eq!(
            class!(Err::<(), _>(io::Error::from(io::ErrorKind::NotFound))),
            Some(ErrorClass::Permanent)
        );
        assert_eq!(class!(Ok::<_, io::Error>(1)), None);
    }

    #[test]
    fn then_the_chain_of_sources_then_what_it_derefs_to() {
        assert_eq!(class!(Err::<(), _>(Wraps(refusal()))), Some(ErrorClass::Ignored));
        assert_eq!(class!(Err::<(), _>(fmt::Error)), Some(ErrorClass::Transient));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(Wraps(refusal()));
        assert_eq!(class!(Err::<(), _>(shared)), Some(ErrorClass::Ignored));
    }

    #[test]
    fn a_borrowed_error_is_an_error() {
        let text = String::from("text");
        assert_eq!(class!(Err::<(), _>(Borrowed(&text))), Some(ErrorClass::Transient));
    }

    #[test]
    fn results_and_options_fail_and_other_values_do_not() {
        assert_eq!(class!(Err::<(), _>("no")), Some(ErrorClass::Transient));
        assert_eq!(class!(Ok::<_, &str>(1)), None);
        assert_eq!(class!(None::<u8>), Some(ErrorClass::Transient));
        assert_eq!(class!(Some(1)), None);
        assert_eq!(class!(7), None);
    }

    #[test]
    fn only_what_displays_has_a_text() {
        struct Silent;
        assert_eq!(text!(Err::<(), _>("no")), Some("no".to_owned()));
        assert_eq!(text!(Err::<(), _>(Silent)), None);
        assert_eq!(text!(Ok::<_, &str>(1)), None);
        assert_eq!(text!(None::<u8>), None);
    }
}
