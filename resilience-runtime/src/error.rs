//! What this library itself answers with.
//!
//! A user's own error is returned as it is. Only a refusal (an open circuit, a full bulkhead, ...) or a timeout is
//! ours, and it says what refused, with its numbers, and when it is worth coming back.

use std::{error::Error, fmt, time::Duration};

use thiserror::Error as ThisError;

use crate::name::Name;

/// A refusal or a timeout. Building one allocates nothing.
///
/// It is found through a chain of [`source`](Error::source)s, also through wrappers that forward to the source
/// (thiserror's `transparent`), so that an outer policy recognises what an inner one answered; see
/// [`ErrorKind::of`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use resilience_runtime::{ErrorKind, Name, ResilienceError};
///
/// let error = ResilienceError::CircuitOpen {
///     circuit: Name::from_static("api"),
///     retry_after: Some(Duration::from_millis(4_200)),
/// };
/// assert_eq!(error.to_string(), "circuit `api` is open, 4.2 s until the next probe");
/// assert_eq!(error.kind(), ErrorKind::CircuitOpen);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ResilienceError {
    /// The bulkhead runs as many calls as it may, and the queue did not help.
    BulkheadFull {
        /// Which bulkhead.
        bulkhead: Name,
        /// How many calls it runs at once.
        max: usize,
        /// How long the call waited in the queue.
        waited: Duration,
    },
    /// The circuit lets no call through.
    CircuitOpen {
        /// Which circuit.
        circuit: Name,
        /// Time until the next probe may run; `None` while it is forced open or its probes are out.
        retry_after: Option<Duration>,
    },
    /// No connection came free in time.
    PoolExhausted {
        /// Which pool.
        pool: Name,
        /// How many connections it may hold.
        max: usize,
        /// How long the caller waited.
        waited: Duration,
    },
    /// No pool of that name and manager is registered.
    PoolMissing {
        /// Which pool.
        pool: Name,
        /// The type that would make its connections.
        manager: &'static str,
    },
    /// The quota is used up.
    RateLimited {
        /// Which limiter.
        limiter: Name,
        /// Time until a call would be let through.
        retry_after: Duration,
    },
    /// The registry was shut down.
    ShutDown {
        /// What refused: a site, a pool, a worker pool.
        name: Name,
    },
    /// No answer came within the limit.
    TimedOut {
        /// Which site or named timeout.
        site: Name,
        /// The limit that passed.
        after: Duration,
    },
    /// All worker threads are busy, and the queue is full.
    WorkersBusy {
        /// Which worker pool.
        workers: Name,
        /// How many jobs it runs at once.
        threads: usize,
        /// How many more it lets wait.
        queue: usize,
    },
}

impl ResilienceError {
    /// What kind of refusal this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::BulkheadFull { .. } => ErrorKind::BulkheadFull,
            Self::CircuitOpen { .. } => ErrorKind::CircuitOpen,
            Self::PoolExhausted { .. } => ErrorKind::PoolExhausted,
            Self::PoolMissing { .. } => ErrorKind::PoolMissing,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::ShutDown { .. } => ErrorKind::ShutDown,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::WorkersBusy { .. } => ErrorKind::WorkersBusy,
        }
    }

    /// When it is worth trying again, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after, .. } => *retry_after,
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The name of what refused.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::BulkheadFull { bulkhead: name, .. }
            | Self::CircuitOpen { circuit: name, .. }
            | Self::PoolExhausted { pool: name, .. }
            | Self::PoolMissing { pool: name, .. }
            | Self::RateLimited { limiter: name, .. }
            | Self::ShutDown { name }
            | Self::TimedOut { site: name, .. }
            | Self::WorkersBusy { workers: name, .. } => name,
        }
    }
}

impl fmt::Display for ResilienceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BulkheadFull { bulkhead, max, waited } => {
                write!(f, "bulkhead `{bulkhead}` is full with {max} running")?;
                if waited.is_zero() { Ok(()) } else { write!(f, " after waiting {}", Seconds(*waited)) }
            }
            Self::CircuitOpen { circuit, retry_after } => {
                write!(f, "circuit `{circuit}` ")?;
                match retry_after {
                    Some(wait) => write!(f, "is open, {} until the next probe", Seconds(*wait)),
                    // Forced open, or half-open with its probes out.
                    None => f.write_str("lets no call through"),
                }
            }
            Self::PoolExhausted { pool, max, waited } => {
                write!(f, "pool `{pool}` has no connection free of {max} after {}", Seconds(*waited))
            }
            Self::PoolMissing { pool, manager } => {
                write!(f, "no pool `{pool}` of `{manager}` is registered: `Registry::register_pool` adds it")
            }
            Self::RateLimited { limiter, retry_after } => {
                write!(f, "rate limiter `{limiter}` has no quota left for {}", Seconds(*retry_after))
            }
            Self::ShutDown { name } => write!(f, "`{name}` is shut down"),
            Self::TimedOut { site, after } => write!(f, "`{site}` timed out after {}", Seconds(*after)),
            Self::WorkersBusy { workers, threads, queue } => {
                write!(f, "worker pool `{workers}` is busy with {threads} running and {queue} queued")
            }
        }
    }
}

impl Error for ResilienceError {
    /// A private marker: it makes the refusal visible to whoever walks the chain, even below a wrapper that hides
    /// the error itself and forwards only its source.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self.kind() {
            ErrorKind::BulkheadFull => &Marker(ErrorKind::BulkheadFull),
            ErrorKind::CircuitOpen => &Marker(ErrorKind::CircuitOpen),
            ErrorKind::PoolExhausted => &Marker(ErrorKind::PoolExhausted),
            ErrorKind::PoolMissing => &Marker(ErrorKind::PoolMissing),
            ErrorKind::RateLimited => &Marker(ErrorKind::RateLimited),
            ErrorKind::ShutDown => &Marker(ErrorKind::ShutDown),
            ErrorKind::TimedOut => &Marker(ErrorKind::TimedOut),
            ErrorKind::WorkersBusy => &Marker(ErrorKind::WorkersBusy),
        })
    }
}

/// The kinds of [`ResilienceError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ErrorKind {
    /// A full bulkhead.
    BulkheadFull,
    /// An open circuit.
    CircuitOpen,
    /// A pool without a free connection.
    PoolExhausted,
    /// A pool that nobody has registered.
    PoolMissing,
    /// A used-up quota.
    RateLimited,
    /// A registry that was shut down.
    ShutDown,
    /// A limit that passed.
    TimedOut,
    /// A worker pool with a full queue.
    WorkersBusy,
}

/// How far a chain of causes is followed: it may be a circle.
const MAX_CAUSES: usize = 128;

impl ErrorKind {
    /// The kind of the refusal or timeout that `error` is or was caused by.
    ///
    /// It is looked for in `error` and its first 128 causes, more than any real error has: one that names itself as its
    /// [`source`](Error::source) has no end.
    ///
    /// # Examples
    ///
    /// ```
    /// use resilience_runtime::{ErrorKind, Name, ResilienceError};
    ///
    /// let inner = ResilienceError::ShutDown { name: Name::from_static("db") };
    /// let outer = std::io::Error::other(inner);
    /// assert_eq!(ErrorKind::of(&outer), Some(ErrorKind::ShutDown));
    /// assert_eq!(ErrorKind::of(&std::fmt::Error), None);
    /// ```
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut link = error;
        // One step more: a refusal's kind is the cause of the refusal.
        for _ in 0..=MAX_CAUSES + 1 {
            if let Some(Marker(kind)) = link.downcast_ref() {
                return Some(*kind);
            }
            // `io::Error` forwards `source()` to what its payload was caused by and thereby skips the payload.
            link = match link.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(inner) => inner,
                None => link.source()?,
            };
        }
        None
    }
}

/// The end of every refusal's chain of sources.
#[derive(Debug)]
struct Marker(ErrorKind);

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            ErrorKind::BulkheadFull => "refused by a full bulkhead",
            ErrorKind::CircuitOpen => "refused by an open circuit",
            ErrorKind::PoolExhausted => "refused by an exhausted pool",
            ErrorKind::PoolMissing => "refused for want of a pool",
            ErrorKind::RateLimited => "refused by a rate limiter",
            ErrorKind::ShutDown => "refused after shutdown",
            ErrorKind::TimedOut => "stopped by a timeout",
            ErrorKind::WorkersBusy => "refused by a busy worker pool",
        })
    }
}

impl Error for Marker {}

/// What a primitive's `run` and a fallback see: a refusal of ours, or the user's own error.
///
/// # Examples
///
/// ```
/// use resilience_runtime::{CallError, Name, ResilienceError};
///
/// let error: CallError<std::io::Error> = ResilienceError::ShutDown { name: Name::from_static("db") }.into();
/// assert_eq!(error.to_string(), "`db` is shut down");
/// ```
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
pub enum CallError<E> {
    /// The call was refused or timed out; the user's code gave no answer.
    #[error(transparent)]
    Refused(#[from] ResilienceError),
    /// The user's error, which was not retried to the end.
    #[error(transparent)]
    Failed(E),
    /// The user's last error, after every retry was used.
    #[error("failed after {}: {last}", Counted(*attempts, "attempt"))]
    RetriesExhausted {
        /// Attempts made, the first one included.
        attempts: u32,
        /// What the last attempt failed with.
        #[source]
        last: E,
    },
}

impl<E> CallError<E> {
    /// The user's error, if there is one.
    pub fn into_inner(self) -> Result<E, ResilienceError> {
        match self {
            Self::Refused(error) => Err(error),
            Self::Failed(error) | Self::RetriesExhausted { last: error, .. } => Ok(error),
        }
    }

    /// The user's error, if there is one.
    pub const fn inner(&self) -> Option<&E> {
        match self {
            Self::Refused(_) => None,
            Self::Failed(error) | Self::RetriesExhausted { last: error, .. } => Some(error),
        }
    }

    /// The refusal, if it is one.
    pub const fn refusal(&self) -> Option<&ResilienceError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

/// A setting that no primitive could honour.
///
/// # Examples
///
/// ```
/// use resilience_runtime::CircuitBreaker;
///
/// let error = CircuitBreaker::builder("api").window(0).build().unwrap_err();
/// assert_eq!((error.key, error.to_string()), ("window", "`window` must be at least 1".to_owned()));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, ThisError)]
#[error("`{key}` {reason}")]
#[non_exhaustive]
pub struct InvalidSettings {
    /// The attribute's key or the builder's setter.
    pub key: &'static str,
    /// What is wrong with its value.
    pub reason: &'static str,
}

impl InvalidSettings {
    pub(crate) const fn new(key: &'static str, reason: &'static str) -> Self {
        Self { key, reason }
    }

    /// Fails the evaluation of a constant with the text of [`Display`](fmt::Display), which constants cannot format.
    #[track_caller]
    pub(crate) const fn fail(&self) -> ! {
        let mut text = [0; 256];
        let mut end = 0;
        let parts = ["`", self.key, "` ", self.reason];
        let mut part = 0;
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut byte = 0;
            while byte < bytes.len() && end < text.len() {
                text[end] = bytes[byte];
                byte += 1;
                end += 1;
            }
            part += 1;
        }
        match std::str::from_utf8(text.split_at(end).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("{}", self.reason),
        }
    }
}

/// The registry holds something of that kind and name already.
#[derive(Clone, Debug, Eq, PartialEq, ThisError)]
#[error("{kind} `{name}` is registered already; look it up and `configure` it, or choose another name")]
pub struct AlreadyRegistered {
    kind: &'static str,
    name: Name,
}

impl AlreadyRegistered {
    pub(crate) const fn new(kind: &'static str, name: Name) -> Self {
        Self { kind, name }
    }

    /// The name that is taken.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A duration as people say it: milliseconds below a second, one decimal above.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros == 0 {
            f.write_str("0 ms")
        } else if micros < 10_000 {
            write!(f, "{} ms", (micros as f64 / 1e3 * 100.0).round() / 100.0)
        } else if micros < 1_000_000 {
            write!(f, "{} ms", micros / 1_000)
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

/// A number of things: "1 call", "2 calls".
#[derive(Clone, Copy)]
pub(crate) struct Counted(pub(crate) u32, pub(crate) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, thing) = self;
        write!(f, "{number} {thing}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name::from_static("db");

    #[derive(Debug, ThisError)]
    enum Outer {
        #[error(transparent)]
        Hidden(ResilienceError),
        #[error("wrapped")]
        Wrapped(#[source] ResilienceError),
    }

    #[test]
    fn a_refusal_is_found_through_sources_and_transparent_wrappers() {
        let refusal = || ResilienceError::TimedOut { site: NAME, after: Duration::from_millis(5) };
        for error in [
            Box::new(refusal()) as Box<dyn Error>,
            Box::new(Outer::Hidden(refusal())),
            Box::new(Outer::Wrapped(refusal())),
            Box::new(std::io::Error::other(refusal())),
            Box::new(std::io::Error::other(Outer::Hidden(refusal()))),
            Box::new(CallError::<Outer>::Refused(refusal())),
            Box::new(CallError::Failed(Outer::Hidden(refusal()))),
        ] {
            assert_eq!(ErrorKind::of(&*error), Some(ErrorKind::TimedOut), "{error:?}");
        }
        assert_eq!(ErrorKind::of(&std::io::Error::other("x")), None);
    }

    #[derive(Debug, ThisError)]
    #[error("caused by")]
    struct Caused(#[source] Box<dyn Error>);

    #[test]
    fn a_refusal_is_looked_for_in_the_first_128_causes() {
        let found = |wrappers| {
            let refusal: Box<dyn Error> = Box::new(ResilienceError::ShutDown { name: NAME });
            ErrorKind::of(&*(0..wrappers).fold(refusal, |error, _| Box::new(Caused(error))))
        };
        assert_eq!(found(128), Some(ErrorKind::ShutDown));
        assert_eq!(found(129), None);
    }

    #[test]
    fn an_error_that_is_its_own_cause_ends_the_search() {
        #[derive(Debug)]
        struct Circular;
        impl fmt::Display for Circular {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("circular")
            }
        }
        impl Error for Circular {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(ErrorKind::of(&Circular), None);
        assert_eq!(ErrorKind::of(&std::io::Error::other(Circular)), None);
        assert_eq!(ErrorKind::of(&CallError::Failed(Circular)), None);
    }

    #[test]
    fn the_chain_of_a_refusal_ends_with_its_kind_in_words() {
        let ends = [
            (
                ResilienceError::BulkheadFull { bulkhead: NAME, max: 1, waited: Duration::ZERO },
                "refused by a full bulkhead",
            ),
            (ResilienceError::CircuitOpen { circuit: NAME, retry_after: None }, "refused by an open circuit"),
            (ResilienceError::TimedOut { site: NAME, after: Duration::ZERO }, "stopped by a timeout"),
        ];
        for (error, text) in ends {
            assert_eq!(error.source().map(ToString::to_string).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_call_error_holds_the_users_error_or_a_refusal() {
        let refused = CallError::<u8>::Refused(ResilienceError::ShutDown { name: NAME });
        let exhausted = CallError::RetriesExhausted { attempts: 2, last: 8 };
        assert_eq!(
            [&CallError::Failed(7), &exhausted, &refused].map(CallError::inner),
            [Some(&7), Some(&8), None]
        );
        assert_eq!((exhausted.refusal(), refused.refusal().is_some()), (None, true));
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let text = |micros| Seconds(Duration::from_micros(micros)).to_string();
        assert_eq!([0, 1, 1_234, 9_999].map(text), ["0 ms", "0 ms", "1.23 ms", "10 ms"]);
        assert_eq!([10_000, 10_999, 999_999].map(text), ["10 ms", "10 ms", "999 ms"]);
        assert_eq!([1_000_000, 1_960_000, 90_000_000].map(text), ["1.0 s", "2.0 s", "90.0 s"]);
    }

    #[test]
    fn exhausted_retries_are_counted_in_words_that_agree() {
        let text = |attempts| CallError::RetriesExhausted { attempts, last: "down" }.to_string();
        assert_eq!(text(1), "failed after 1 attempt: down");
        assert_eq!(text(4), "failed after 4 attempts: down");
    }

    #[test]
    #[should_panic = "`window` must be at least 1"]
    fn a_constant_fails_with_the_key_and_the_reason() {
        InvalidSettings::new("window", "must be at least 1").fail();
    }

    #[test]
    fn messages_carry_the_name_and_the_numbers() {
        let waited = Duration::from_millis(50);
        let table = [
            (
                ResilienceError::BulkheadFull { bulkhead: NAME, max: 10, waited },
                "bulkhead `db` is full with 10 running after waiting 50 ms",
            ),
            (
                ResilienceError::BulkheadFull { bulkhead: NAME, max: 1, waited: Duration::ZERO },
                "bulkhead `db` is full with 1 running",
            ),
            (
                ResilienceError::CircuitOpen { circuit: NAME, retry_after: None },
                "circuit `db` lets no call through",
            ),
            (
                ResilienceError::PoolExhausted { pool: NAME, max: 8, waited },
                "pool `db` has no connection free of 8 after 50 ms",
            ),
            (
                ResilienceError::RateLimited { limiter: NAME, retry_after: Duration::from_micros(1_500) },
                "rate limiter `db` has no quota left for 1.5 ms",
            ),
            (
                ResilienceError::PoolMissing { pool: NAME, manager: "app::Postgres" },
                "no pool `db` of `app::Postgres` is registered: `Registry::register_pool` adds it",
            ),
            (ResilienceError::ShutDown { name: NAME }, "`db` is shut down"),
            (
                ResilienceError::TimedOut { site: NAME, after: Duration::from_secs(2) },
                "`db` timed out after 2.0 s",
            ),
            (
                ResilienceError::WorkersBusy { workers: NAME, threads: 4, queue: 100 },
                "worker pool `db` is busy with 4 running and 100 queued",
            ),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }
}
