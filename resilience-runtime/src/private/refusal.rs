//! How a refusal leaves the annotated function.

use crate::error::ResilienceError;

/// Return types that have a place for a refusal.
///
/// Asked for only where the attribute holds something that can refuse and no `fallback`.
#[diagnostic::on_unimplemented(
    message = "`#[resilient]` cannot turn a refusal into `{Self}`",
    label = "no place here for an open circuit, a full bulkhead or a timeout",
    note = "for a `Result<_, E>`: implement `From<ResilienceError>` for `E` \
            (with thiserror, a variant `Refused(#[from] ResilienceError)`; for a generic `E` write the bound)",
    note = "for any return type: say what to answer instead, `#[resilient(..., fallback = |error| ...)]`"
)]
pub trait FromRefusal {
    /// The refusal as the function's own answer.
    fn from_refusal(refusal: ResilienceError) -> Self;
}

// Without `do_not_recommend` rustc reports the missing `From` alone, and the way out above is lost.
#[diagnostic::do_not_recommend]
impl<T, E: From<ResilienceError>> FromRefusal for Result<T, E> {
    fn from_refusal(refusal: ResilienceError) -> Self {
        Err(refusal.into())
    }
}

#[diagnostic::do_not_recommend]
impl<T> FromRefusal for Option<T> {
    fn from_refusal(_: ResilienceError) -> Self {
        None
    }
}

/// For sites without anything that could refuse.
///
/// # Panics
///
/// Always: nobody refuses there.
#[inline]
pub fn never_refused<R>(refusal: ResilienceError) -> R {
    // The answer's type is no part of this: an answer that a call could write to would be moved as a whole.
    never(&refusal)
}

#[cold]
#[inline(never)]
fn never(refusal: &ResilienceError) -> ! {
    unreachable!("a site without gates was refused: {refusal}")
}
