//! What an outcome means, found by autoref.
//!
//! `(&&&&&&&Probe::<R>::new()).resilient_judge()` is the first that fits of
//!
//! 1. [`ByClassifyShown`]: a `Result` whose error implements [`Classify`] and [`Display`];
//! 2. [`ByClassify`]: one whose error implements [`Classify`] alone;
//! 3. [`ByError`]: a `Result` whose error is a [`std::error::Error`], searched for a nested refusal;
//! 4. [`ByDeref`]: a `Result` whose error derefs to `dyn Error` (`anyhow::Error`, shared boxes), searched likewise;
//! 5. [`ByShapeShown`]: any other `Result` whose error implements [`Display`];
//! 6. [`ByShape`]: any other `Result`, and `Option`;
//! 7. [`ByNothing`]: everything else, which never fails.
//!
//! One search finds both the class of an error and whether it has a text, because each costs every annotated function
//! time to compile. No impl has a lifetime bound: method lookup erases lifetimes, so a level would be chosen and then
//! fail. In a function that is generic over its error only the declared bounds count.

use std::{error::Error, fmt, fmt::Display, marker::PhantomData, ops::Deref};

use crate::{
    call::{Judge, Verdict},
    class::{Classify, ErrorClass},
};

/// The outcomes of a site, whose judge is to be found.
pub struct Probe<R>(PhantomData<fn() -> R>);

impl<R> Probe<R> {
    /// For outcomes of this type.
    #[allow(clippy::new_without_default)]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// For outcomes like this one.
    #[must_use]
    pub const fn of(_: &R) -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Probe<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// Finds the judge of an outcome's type. One trait for all levels: to look for a method costs a compiler time for each
/// trait that has it.
pub trait FindJudge {
    /// The judge.
    type Judge;

    /// It.
    fn resilient_judge(&self) -> Self::Judge;
}

macro_rules! judges {
    ($($(#[$doc:meta])* $judge:ident: [$($bounds:tt)*] $probed:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $judge;

            impl<$($bounds)*> FindJudge for $probed {
                type Judge = $judge;

                fn resilient_judge(&self) -> $judge {
                    $judge
                }
            }
        )*
    };
}

judges! {
    /// First choice: the error says it itself.
    ByClassifyShown: [T, E: Classify + Display] &&&&&&Probe<Result<T, E>>;
    /// Second choice: it does, but cannot be displayed.
    ByClassify: [T, E: Classify] &&&&&Probe<Result<T, E>>;
    /// Third choice: whatever caused the error may be a refusal.
    ByError: [T, E: Error] &&&&Probe<Result<T, E>>;
    /// Fourth choice: the same for errors that only point to one.
    ByDeref: [T, E: Deref<Target = D> + Display, D: AsError + ?Sized] &&&Probe<Result<T, E>>;
    /// Fifth choice: a failure of which only the text is known.
    ByShapeShown: [T, E: Display] &&Probe<Result<T, E>>;
    /// Sixth choice: a failure of which nothing is known.
    ByShape: [R: CanFail] &Probe<R>;
    /// Last choice: not a shape that can fail.
    ByNothing: [R] Probe<R>;
}

/// The judges of a `Result`. It has no parameters, so that nobody else can make [`ByNothing`] one of them.
pub trait OfResults {}

impl OfResults for ByClassifyShown {}
impl OfResults for ByClassify {}
impl OfResults for ByError {}
impl OfResults for ByDeref {}
impl OfResults for ByShapeShown {}
impl OfResults for ByShape {}

/// What is known of an error of type `E`.
pub trait JudgeError<E> {
    /// Its class.
    fn class(_: &E) -> ErrorClass {
        ErrorClass::Transient
    }

    /// Its text.
    fn cause(_: &E) -> Option<&dyn Display> {
        None
    }
}

impl<E: Classify + Display> JudgeError<E> for ByClassifyShown {
    fn class(error: &E) -> ErrorClass {
        error.classify()
    }

    fn cause(error: &E) -> Option<&dyn Display> {
        Some(error)
    }
}

impl<E: Classify> JudgeError<E> for ByClassify {
    fn class(error: &E) -> ErrorClass {
        error.classify()
    }
}

impl<E: Error> JudgeError<E> for ByError {
    fn class(error: &E) -> ErrorClass {
        ErrorClass::of_sources(error)
    }

    fn cause(error: &E) -> Option<&dyn Display> {
        Some(error)
    }
}

impl<E: Deref<Target = D> + Display, D: AsError + ?Sized> JudgeError<E> for ByDeref {
    fn class(error: &E) -> ErrorClass {
        ErrorClass::of_sources(error.as_error())
    }

    fn cause(error: &E) -> Option<&dyn Display> {
        Some(error)
    }
}

impl<E: Display> JudgeError<E> for ByShapeShown {
    fn cause(error: &E) -> Option<&dyn Display> {
        Some(error)
    }
}

impl<E> JudgeError<E> for ByShape {}

impl<T, E, J: JudgeError<E> + OfResults> Judge<Result<T, E>> for J {
    type Success = T;

    #[inline]
    fn split(out: Result<T, E>) -> Result<T, Result<T, E>> {
        out.map_err(Err)
    }

    #[inline]
    fn join(value: T) -> Result<T, E> {
        Ok(value)
    }

    fn class(out: &Result<T, E>) -> Option<ErrorClass> {
        out.as_ref().err().map(J::class)
    }

    fn cause(out: &Result<T, E>) -> Option<&dyn Display> {
        out.as_ref().err().and_then(J::cause)
    }
}

impl<T> Judge<Option<T>> for ByShape {
    type Success = T;

    #[inline]
    fn split(out: Option<T>) -> Result<T, Option<T>> {
        out.ok_or(None)
    }

    #[inline]
    fn join(value: T) -> Option<T> {
        Some(value)
    }

    fn class(out: &Option<T>) -> Option<ErrorClass> {
        out.is_none().then_some(ErrorClass::Transient)
    }

    fn cause(_: &Option<T>) -> Option<&dyn Display> {
        None
    }
}

impl<R> Judge<R> for ByNothing {
    type Success = R;

    #[inline]
    fn split(out: R) -> Result<R, R> {
        Ok(out)
    }

    #[inline]
    fn join(out: R) -> R {
        out
    }

    fn class(_: &R) -> Option<ErrorClass> {
        None
    }

    fn cause(_: &R) -> Option<&dyn Display> {
        None
    }
}

/// The shapes that can fail.
pub trait CanFail {}

impl<T, E> CanFail for Result<T, E> {}

impl<T> CanFail for Option<T> {}

/// The trait objects that [`ByDeref`] can search.
pub trait AsError {
    /// Without the auto traits.
    fn as_error(&self) -> &dyn Error;
}

impl AsError for dyn Error + '_ {
    fn as_error(&self) -> &dyn Error {
        self
    }
}

impl AsError for dyn Error + Send + '_ {
    fn as_error(&self) -> &dyn Error {
        self
    }
}

impl AsError for dyn Error + Send + Sync + '_ {
    fn as_error(&self) -> &dyn Error {
        self
    }
}

/// What a judge says about an outcome.
pub fn verdict<'a, R, J: Judge<R>>(out: &'a R, _: J) -> Verdict<'a> {
    Verdict::of::<R, J>(out)
}

/// What an outcome comes to whose class the site itself has said.
pub fn classified<'a, R, J: Judge<R>>(out: &'a R, _: J, class: Option<ErrorClass>) -> Verdict<'a> {
    class.map_or(Verdict::success(), |class| Verdict::error(class, J::cause(out)))
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
            class_by((&&&&&&&Probe::of(&out)).resilient_judge(), &out)
        }};
    }

    macro_rules! text {
        ($out:expr) => {{
            let out = $out;
            text_by((&&&&&&&Probe::of(&out)).resilient_judge(), &out)
        }};
    }

    fn class_by<R, J: Judge<R>>(_: J, out: &R) -> Option<ErrorClass> {
        J::class(out)
    }

    fn text_by<R, J: Judge<R>>(_: J, out: &R) -> Option<String> {
        J::cause(out).map(ToString::to_string)
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

    /// As anyhow's error: no error itself, but it derefs to one.
    struct Opaque(Wraps);

    impl Deref for Opaque {
        type Target = dyn Error + Send + Sync;

        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }

    impl Display for Opaque {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "opaque {}", self.0)
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
        assert_eq!(class!(Err::<(), _>(Opaque(Wraps(refusal())))), Some(ErrorClass::Ignored));
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
        assert_eq!(text!(Err::<(), _>(String::from("no"))), Some("no".to_owned()));
        assert_eq!(text!(Err::<(), _>(format_args!("no"))), Some("no".to_owned()));
        assert_eq!(text!(Err::<(), _>(Wraps(refusal()))), Some("wraps".to_owned()));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(Wraps(refusal()));
        assert_eq!(text!(Err::<(), _>(shared)), Some("wraps".to_owned()));
        assert_eq!(text!(Err::<(), _>(Opaque(Wraps(refusal())))), Some("opaque wraps".to_owned()));
        assert_eq!(text!(Err::<(), _>(Silent)), None);
        assert_eq!(text!(Ok::<_, &str>(1)), None);
        assert_eq!(text!(None::<u8>), None);
    }
}
