//! What becomes of the error of a pool's manager.

use std::{convert::Infallible, marker::PhantomData};

use crate::{call::ManagerFailure, pool::PoolError};

/// Where in `R` an error `X` of a manager goes.
///
/// `(&&&&Place::<R, _>::of(&failure)).resilient_convert(failure)` takes the first that fits of
///
/// 1. [`PlaceByPoolError`]: `E: From<PoolError<X>>`, as `anyhow::Error` and boxed errors are;
/// 2. [`PlaceByError`]: `E: From<X>`, as it has to be for `?` in the body;
/// 3. [`PlaceOfNever`]: the manager never fails;
/// 4. [`PlaceByShape`]: `None`, and for everything else the message what is missing.
#[derive(Debug)]
pub struct Place<R, X>(PhantomData<fn() -> (R, X)>);

impl<R, X> Place<R, X> {
    /// For this failure.
    #[must_use]
    pub const fn of(_: &ManagerFailure<X>) -> Self {
        Self(PhantomData)
    }
}

/// First choice: the error tells creating from checking.
pub trait PlaceByPoolError<R, X> {
    /// The failure as the function's own answer.
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> R;
}

impl<T, E: From<PoolError<X>>, X> PlaceByPoolError<Result<T, E>, X> for &&&Place<Result<T, E>, X> {
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> Result<T, E> {
        Err(E::from(failure.into()))
    }
}

/// Second choice: the error takes what the manager says.
pub trait PlaceByError<R, X> {
    /// The failure as the function's own answer.
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> R;
}

impl<T, E: From<X>, X> PlaceByError<Result<T, E>, X> for &&Place<Result<T, E>, X> {
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> Result<T, E> {
        Err(failure.into_error().into())
    }
}

/// Third choice: there is nothing to convert.
pub trait PlaceOfNever<R> {
    /// Never called.
    fn resilient_convert(&self, failure: ManagerFailure<Infallible>) -> R;
}

impl<R> PlaceOfNever<R> for &Place<R, Infallible> {
    fn resilient_convert(&self, failure: ManagerFailure<Infallible>) -> R {
        match failure {
            ManagerFailure::Create(never) | ManagerFailure::Unhealthy(never) => match never {},
        }
    }
}

/// Last choice: the return type itself has to know.
pub trait PlaceByShape<R, X> {
    /// The failure as the function's own answer.
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> R
    where
        R: FromFailure<X>;
}

impl<R, X> PlaceByShape<R, X> for Place<R, X> {
    fn resilient_convert(&self, failure: ManagerFailure<X>) -> R
    where
        R: FromFailure<X>,
    {
        R::from_failure(failure)
    }
}

/// Return types that have a place for a manager's error although nothing converts it.
#[diagnostic::on_unimplemented(
    message = "`#[resilient]` cannot turn an error of the pool's manager into `{Self}`",
    label = "no place here for a connection that could not be made",
    note = "for a `Result<_, E>`: implement `From<{X}>` for `E` (with thiserror, a variant with `#[from]`), \
            or `From<PoolError<{X}>>`",
    note = "any other function with `pool` has to return a `Result` or an `Option`"
)]
pub trait FromFailure<X> {
    /// The failure as the function's own answer.
    fn from_failure(failure: ManagerFailure<X>) -> Self;
}

impl<T, X> FromFailure<X> for Option<T> {
    fn from_failure(_: ManagerFailure<X>) -> Self {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! converted {
        ($answer:ty, $failure:expr) => {{
            let failure = $failure;
            let answer: $answer = (&&&&Place::<$answer, _>::of(&failure)).resilient_convert(failure);
            answer
        }};
    }

    #[derive(Debug, PartialEq)]
    struct Whole(PoolError<u8>);

    impl From<PoolError<u8>> for Whole {
        fn from(error: PoolError<u8>) -> Self {
            Self(error)
        }
    }

    impl From<u8> for Whole {
        fn from(_: u8) -> Self {
            panic!("the other conversion says more");
        }
    }

    #[test]
    fn the_conversion_that_says_most_is_taken() {
        assert_eq!(
            converted!(Result<(), Whole>, ManagerFailure::Create(1)),
            Err(Whole(PoolError::Create(1)))
        );
        assert_eq!(
            converted!(Result<(), Whole>, ManagerFailure::Unhealthy(1)),
            Err(Whole(PoolError::Unhealthy(1)))
        );
        assert_eq!(converted!(Result<(), u32>, ManagerFailure::Create(1_u8)), Err(1));
        assert_eq!(converted!(Option<()>, ManagerFailure::Create(1_u8)), None);
    }
}
