//! From tokens to millionths of a token and back.

use crate::bucket::TOKEN;

/// Rounded down, but the decimal that was meant where there is one: 0.29 is 290,000 millionths,
/// though the nearest number that is kept in binary is a little below.
pub(super) fn at_most(tokens: f64) -> i64 {
    meant(tokens).unwrap_or_else(|| (tokens * TOKEN as f64).floor() as i64)
}

/// Rounded up, but for the decimal that was meant.
pub(super) fn at_least(tokens: f64) -> i64 {
    meant(tokens).unwrap_or_else(|| (tokens * TOKEN as f64).ceil() as i64)
}

pub(super) fn tokens(millionths: i64) -> f64 {
    millionths as f64 / TOKEN as f64
}

/// The number of millionths, if `tokens` is the nearest to it that there is.
fn meant(tokens: f64) -> Option<i64> {
    let nearest = (tokens * TOKEN as f64).round() as i64;
    (self::tokens(nearest) == tokens).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{at_least, at_most, tokens};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_decimal_is_the_one_that_was_meant(millionths in 0..=10_000_000_i64) {
            let meant = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
            let meant: f64 = meant.parse().unwrap();
            prop_assert_eq!((at_most(meant), at_least(meant)), (millionths, millionths));
        }

        #[test]
        fn nothing_else_is_rounded_the_wrong_way(value in 1e-6..10.0_f64) {
            let (low, high) = (at_most(value), at_least(value));
            prop_assert!(tokens(low) <= value && value <= tokens(high));
            prop_assert!(high - low <= 1);
        }
    }

    #[test]
    fn two_thirds_are_rounded_down_for_what_is_paid_and_up_for_what_is_asked() {
        assert_eq!(
            (at_most(2.0 / 3.0), at_least(2.0 / 3.0)),
            (666_666, 666_667)
        );
        assert_eq!((at_most(0.29), at_least(0.29)), (290_000, 290_000));
    }
}
