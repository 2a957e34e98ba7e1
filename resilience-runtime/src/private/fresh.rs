//! `clone(..)`: an argument's copy for one attempt.

/// Deliberately not `Copy`: an `async` block that is not `move` would borrow a `Copy` value, not own it.
#[derive(Debug)]
pub struct Fresh<T>(T);

impl<T: Clone> Fresh<T> {
    /// A clone of the argument.
    #[must_use]
    pub fn of(argument: &T) -> Self {
        Self(argument.clone())
    }

    /// The clone itself.
    #[must_use]
    pub fn take(self) -> T {
        self.0
    }
}
