//! `clone(..)`: an argument's copy for one attempt.

/// Deliberately not `Copy`: an `async` block that is not `move` would borrow a `Copy` value, not own it.
#[derive(Debug)]
pub struct Fresh<T>(pub T);

impl<T> Fresh<T> {
    /// The clone itself.
    #[must_use]
    pub fn take(self) -> T {
        self.0
    }
}
