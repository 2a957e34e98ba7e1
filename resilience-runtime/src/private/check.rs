//! Checks of the constants that an attribute names; a failed one is reported where the constant stands.

use crate::settings;

macro_rules! whole {
    ($($int:ident $order:ident),*) => {
        $(
            /// `value`, if it is within `least..=most`.
            ///
            /// # Panics
            ///
            /// With `message` if it is not.
            #[must_use]
            #[track_caller]
            pub const fn $int(value: $int, least: u64, most: u64, message: &'static str) -> $int {
                if (value as u64) < least || value as u64 > most {
                    panic!("{}", message);
                }
                value
            }

            /// Nothing, if `low` is not above `high`.
            ///
            /// # Panics
            ///
            /// With `message` if it is.
            #[track_caller]
            pub const fn $order(low: $int, high: $int, message: &'static str) {
                if low > high {
                    panic!("{}", message);
                }
            }
        )*
    };
}

whole!(u32 u32_order, u64 u64_order, usize usize_order);

/// `value`, if it is above 0 and at most 1.
///
/// # Panics
///
/// With `message` if it is not.
#[must_use]
#[track_caller]
pub const fn rate(value: f64, message: &'static str) -> f64 {
    if !settings::is_rate(value) {
        panic!("{}", message);
    }
    value
}

/// `value`, if it is finite and at least 1.
///
/// # Panics
///
/// With `message` if it is not.
#[must_use]
#[track_caller]
pub const fn factor(value: f64, message: &'static str) -> f64 {
    if !settings::is_factor(value) {
        panic!("{}", message);
    }
    value
}
