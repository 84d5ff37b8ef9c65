//! How long to wait before a retry: pure arithmetic.

use std::time::Duration;

use crate::error::InvalidSetting;

/// Exponential backoff with jitter.
///
/// The wait before retry `n`, counted from 0, is uniform in the upper half of
/// `min(max, base × 2ⁿ)`, at the cap as well as below it. The arithmetic is in whole
/// nanoseconds, from one nanosecond to a day. (Tokio's timer then rounds up to a millisecond.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits of up to `base` for the first retry, doubled for each one after it, up to `max`.
    ///
    /// The default is 25 ms and 250 ms. Zero for both retries at once.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if `base` is above `max` or `max` above 24 hours.
    pub fn new(base: Duration, max: Duration) -> Result<Self, InvalidSetting> {
        if max > LONGEST {
            return Err(InvalidSetting::new(
                "backoff.max",
                format_args!("{max:?}"),
                "at most 24 hours",
            ));
        }
        if base > max {
            return Err(InvalidSetting::new(
                "backoff.base",
                format_args!("{base:?}"),
                "at most `backoff.max`",
            ));
        }
        Ok(Self { base, max })
    }

    /// The wait before retry number `retry`, the first being 0.
    ///
    /// `random` is a fresh number, uniform over all of `u64`: 0 gives the longest wait,
    /// `u64::MAX` the shortest.
    pub fn delay(&self, retry: u32, random: u64) -> Duration {
        let ceiling = self.ceiling(retry);
        // `ceiling` is below 2^47, so the product fits in 128 bits.
        let spread = (u128::from(ceiling) * u128::from(random)) >> (u64::BITS + 1);
        Duration::from_nanos(ceiling - spread as u64)
    }

    fn ceiling(&self, retry: u32) -> u64 {
        let (base, max) = (self.base.as_nanos(), self.max.as_nanos());
        // Doubled 64 times, one nanosecond is already above the longest maximum.
        let grown = base << retry.min(u64::BITS);
        grown.min(max) as u64
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(25),
            max: Duration::from_millis(250),
        }
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
