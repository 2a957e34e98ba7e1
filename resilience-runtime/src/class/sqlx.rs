//! Errors of the database client sqlx.

use sqlx::Error;

use super::{Classify, ErrorClass};

impl Classify for Error {
    /// The connection's troubles may pass; what the database says is judged by its SQLSTATE class; a query or a row
    /// that does not fit is permanent; a wrong configuration is fatal.
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Io(error) => error.classify(),
            Self::Database(error) => error.code().map_or(ErrorClass::Permanent, |code| of_sqlstate(&code)),
            Self::PoolTimedOut | Self::Protocol(_) | Self::WorkerCrashed => ErrorClass::Transient,
            Self::PoolClosed => ErrorClass::Ignored,
            Self::Configuration(_) | Self::Tls(_) => ErrorClass::Fatal,
            _ => ErrorClass::Permanent,
        }
    }
}

/// The first two characters of a SQLSTATE are its class (ISO/IEC 9075; PostgreSQL documentation, appendix A).
fn of_sqlstate(code: &str) -> ErrorClass {
    match code.get(..2) {
        // Connection exceptions, rolled-back transactions, lack of resources, operator's intervention, system errors.
        Some("08" | "40" | "53" | "57" | "58") => ErrorClass::Transient,
        // Wrong password.
        Some("28") => ErrorClass::Fatal,
        _ => ErrorClass::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, fmt};

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// What a database says, by its SQLSTATE.
    #[derive(Debug)]
    struct Said(Option<&'static str>);

    impl fmt::Display for Said {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.message())
        }
    }

    impl std::error::Error for Said {}

    impl DatabaseError for Said {
        fn message(&self) -> &str {
            "said"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            self.0.map(Cow::Borrowed)
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn what_a_database_says_is_judged_by_its_sqlstate_if_it_has_one() {
        let class = |state| Error::Database(Box::new(Said(state))).classify();
        let classes = [ErrorClass::Transient, ErrorClass::Fatal, ErrorClass::Permanent];
        assert_eq!([Some("40001"), Some("28P01"), None].map(class), classes);
    }

    #[test]
    fn errors_are_judged_by_whose_doing_they_are() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(Error::Io(reset).classify(), ErrorClass::Transient);
        assert_eq!(Error::RowNotFound.classify(), ErrorClass::Permanent);
        assert_eq!(Error::PoolClosed.classify(), ErrorClass::Ignored);
        assert_eq!(Error::PoolTimedOut.classify(), ErrorClass::Transient);
        assert_eq!(Error::Protocol("out of step".into()).classify(), ErrorClass::Transient);
        assert_eq!(Error::Tls("bad certificate".into()).classify(), ErrorClass::Fatal);
        for (state, class) in [
            ("40001", ErrorClass::Transient),
            ("57P01", ErrorClass::Transient),
            ("28P01", ErrorClass::Fatal),
            ("23505", ErrorClass::Permanent),
            ("4", ErrorClass::Permanent),
        ] {
            assert_eq!(of_sqlstate(state), class, "{state}");
        }
    }
}
