//! What an error says about the dependency.
//!
//! "Not found" proves that the dependency answers; a reset connection does not. A breaker that counts both alike
//! trips on bad requests, and a retry that treats both alike repeats what cannot succeed.

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "sqlx")]
mod sqlx;
#[cfg(feature = "tonic")]
mod tonic;

use std::{error::Error, fmt, io, time::Duration};

use crate::error::{CallError, ErrorKind, ResilienceError};

/// What an error means for breaker and retry.
///
/// | class | breaker | retried |
/// |---|---|---|
/// | `Transient` | failure | yes |
/// | `Permanent` | success: the dependency answered | no |
/// | `Fatal` | failure | no |
/// | `Ignored` | neutral, nothing is counted | no |
/// | `RetryAfter(d)` | failure | yes, not before `d` |
///
/// # Examples
///
/// ```
/// use resilience_runtime::{Classify, ErrorClass};
///
/// struct Status(u16);
///
/// impl Classify for Status {
///     fn classify(&self) -> ErrorClass {
///         match self.0 {
///             400..=499 => ErrorClass::Permanent,
///             _ => ErrorClass::Transient,
///         }
///     }
/// }
/// assert_eq!(Status(404).classify(), ErrorClass::Permanent);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Broken for good: a bad certificate, a wrong password. Counts, and is not tried again.
    Fatal,
    /// Says nothing about the dependency: the caller's own doing.
    Ignored,
    /// The dependency answered with a no that another attempt would not change.
    Permanent,
    /// The dependency asks to be left alone for this long, then tried again.
    RetryAfter(Duration),
    /// May go away by itself. What unknown errors are taken for.
    Transient,
}

impl ErrorClass {
    /// The class of an error that nothing else is known of: a nested refusal is neutral, everything else may pass.
    pub(crate) fn of_chain(error: &(dyn Error + 'static)) -> Self {
        ErrorKind::of(error).map_or(Self::Transient, Self::of_kind)
    }

    /// The same for an error that may borrow, which cannot be asked what it is. Its sources tell all there is to know: a
    /// refusal is recognised by its own.
    pub(crate) fn of_sources(error: &(dyn Error + '_)) -> Self {
        error.source().map_or(Self::Transient, Self::of_chain)
    }

    /// What an inner site's answer means to the outer one: a timeout is evidence, a refusal is not.
    pub(crate) const fn of_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::TimedOut => Self::Transient,
            _ => Self::Ignored,
        }
    }
}

/// Implemented by error types that know what they mean. Opt-in: without it an error is transient.
///
/// The attribute finds it by itself; a primitive's own `run` is told by `.classify(Classify::classify)`. See
/// [`ErrorClass`] for an example.
pub trait Classify {
    /// The class of this error.
    fn classify(&self) -> ErrorClass;
}

impl<T: Classify + ?Sized> Classify for &T {
    fn classify(&self) -> ErrorClass {
        (**self).classify()
    }
}

impl Classify for ResilienceError {
    fn classify(&self) -> ErrorClass {
        ErrorClass::of_kind(self.kind())
    }
}

impl<E: Classify> Classify for CallError<E> {
    /// The answer of another primitive inside: the error as it says itself, a timeout as transient, any other refusal
    /// as neutral, however deep the primitives are nested.
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Refused(refusal) => refusal.classify(),
            Self::Failed(error) | Self::RetriesExhausted { last: error, .. } => error.classify(),
        }
    }
}

impl<E: Error + 'static> CallError<E> {
    /// The same for errors that are not [`Classify`]: a refusal at any depth that [`ErrorKind::of`] looks into is
    /// [`ErrorClass::Ignored`], everything else may pass.
    ///
    /// # Examples
    ///
    /// A full bulkhead says nothing about the dependency that the circuit watches:
    ///
    /// ```
    /// use resilience_runtime::{Bulkhead, CallError, CircuitBreaker};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let circuit = CircuitBreaker::builder("db").failure_threshold(1).build()?;
    /// let bulkhead = Bulkhead::new("db", 1)?;
    /// let permit = bulkhead.try_acquire()?;
    ///
    /// let query = async { Ok::<_, std::fmt::Error>(3) };
    /// assert!(circuit.run(bulkhead.run(query)).classify(CallError::class).await.is_err());
    /// assert!(circuit.is_closed());
    /// # drop(permit);
    /// # Ok(())
    /// # }
    /// ```
    pub fn class(&self) -> ErrorClass {
        ErrorClass::of_chain(self)
    }
}

/// A text is an error of which nothing is known.
impl Classify for str {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

impl Classify for String {
    fn classify(&self) -> ErrorClass {
        (**self).classify()
    }
}

impl Classify for Box<dyn Error + Send + Sync + '_> {
    fn classify(&self) -> ErrorClass {
        ErrorClass::of_sources(&**self)
    }
}

impl Classify for Box<dyn Error + '_> {
    fn classify(&self) -> ErrorClass {
        ErrorClass::of_sources(&**self)
    }
}

impl Classify for io::Error {
    /// What the caller got wrong is permanent, what the peer or the network did is transient.
    fn classify(&self) -> ErrorClass {
        if let Some(kind) = ErrorKind::of(self) {
            return ErrorClass::of_kind(kind);
        }
        match self.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied => ErrorClass::Permanent,
            io::ErrorKind::OutOfMemory | io::ErrorKind::Unsupported => ErrorClass::Fatal,
            _ => ErrorClass::Transient,
        }
    }
}

/// An error together with its class, for code that decides where the error arises.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{Classified, Classify, ErrorClass};
///
/// let error = Classified::permanent("no such user");
/// assert_eq!(error.classify(), ErrorClass::Permanent);
/// assert_eq!(error.into_inner(), "no such user");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Classified<E> {
    class: ErrorClass,
    error: E,
}

impl<E> Classified<E> {
    /// `error`, which means `class`.
    pub const fn new(class: ErrorClass, error: E) -> Self {
        Self { class, error }
    }

    /// An error that another attempt may not meet.
    pub const fn transient(error: E) -> Self {
        Self::new(ErrorClass::Transient, error)
    }

    /// A no that another attempt would not change.
    pub const fn permanent(error: E) -> Self {
        Self::new(ErrorClass::Permanent, error)
    }

    /// Broken for good: counts as a failure and is not tried again.
    pub const fn fatal(error: E) -> Self {
        Self::new(ErrorClass::Fatal, error)
    }

    /// Says nothing about the dependency.
    pub const fn ignored(error: E) -> Self {
        Self::new(ErrorClass::Ignored, error)
    }

    /// To be tried again, but not before `wait`.
    pub const fn retry_after(wait: Duration, error: E) -> Self {
        Self::new(ErrorClass::RetryAfter(wait), error)
    }

    /// The error itself.
    pub fn into_inner(self) -> E {
        self.error
    }

    /// The error itself.
    pub const fn inner(&self) -> &E {
        &self.error
    }
}

impl<E> Classify for Classified<E> {
    fn classify(&self) -> ErrorClass {
        self.class
    }
}

impl<E: fmt::Display> fmt::Display for Classified<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: Error> Error for Classified<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl<E: From<ResilienceError>> From<ResilienceError> for Classified<E> {
    fn from(error: ResilienceError) -> Self {
        Self::new(error.classify(), error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    #[test]
    fn io_errors_are_judged_by_whose_doing_they_are() {
        let class = |kind: io::ErrorKind| io::Error::from(kind).classify();
        assert_eq!(class(io::ErrorKind::ConnectionReset), ErrorClass::Transient);
        assert_eq!(class(io::ErrorKind::NotFound), ErrorClass::Permanent);
        assert_eq!(class(io::ErrorKind::Unsupported), ErrorClass::Fatal);
    }

    #[test]
    fn a_call_error_is_judged_by_what_it_holds() {
        let open = ResilienceError::CircuitOpen { circuit: Name::from_static("a"), retry_after: None };
        assert_eq!(CallError::<fmt::Error>::Refused(open.clone()).class(), ErrorClass::Ignored);
        assert_eq!(CallError::Failed(fmt::Error).class(), ErrorClass::Transient);
        let last = Classified::permanent(());
        assert_eq!(CallError::RetriesExhausted { attempts: 2, last }.classify(), ErrorClass::Permanent);
        assert_eq!(CallError::<Classified<()>>::Refused(open).classify(), ErrorClass::Ignored);
    }

    #[test]
    fn a_classified_error_reads_and_is_caused_as_the_error_itself() {
        let open = ResilienceError::CircuitOpen { circuit: Name::from_static("a"), retry_after: None };
        let text = open.to_string();
        let classified = Classified::permanent(CallError::<io::Error>::Refused(open));
        assert_eq!(classified.to_string(), text);
        assert_eq!(
            classified.source().map(ToString::to_string),
            classified.inner().source().map(ToString::to_string)
        );
        assert!(classified.source().is_some());
    }

    #[test]
    fn a_nested_refusal_is_neutral_and_a_nested_timeout_is_transient() {
        let open = ResilienceError::CircuitOpen { circuit: Name::from_static("a"), retry_after: None };
        let slow = ResilienceError::TimedOut { site: Name::from_static("a"), after: Duration::ZERO };
        assert_eq!(io::Error::other(open.clone()).classify(), ErrorClass::Ignored);
        assert_eq!(io::Error::other(slow.clone()).classify(), ErrorClass::Transient);
        assert_eq!((open.classify(), slow.classify()), (ErrorClass::Ignored, ErrorClass::Transient));
        let boxed: Box<dyn Error + Send + Sync> = Box::new(open);
        assert_eq!(boxed.classify(), ErrorClass::Ignored);
    }
}
