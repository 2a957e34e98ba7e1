//! Panics of user code where nobody is there to hear them.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs user code in a destructor or on a thread of ours; `None` if it panicked. The panic hook has told of it.
#[inline]
pub(crate) fn quietly<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // Dropping it could panic again.
            mem::forget(payload);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn not_even_a_payload_that_panics_gets_out() {
        assert_eq!(quietly(|| 7), Some(7));
        assert_eq!(quietly(|| std::panic::panic_any(Bomb)), None::<()>);
    }
}
