//! Exponential backoff with jitter, in exact integer arithmetic.
//!
//! `tower-retry-budget` has a backoff of the same shape. The two stay apart on purpose: neither
//! crate should depend on the other for forty lines, and both are held to the same properties.

use std::time::Duration;

/// Delays that double from `base` to `max`, each drawn from the upper half of its step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: u64,
    max: u64,
}

impl Backoff {
    /// Times beyond 584 years saturate; a `base` above `max` counts as `max`.
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        Self {
            base: nanoseconds(base),
            max: nanoseconds(max),
        }
    }

    /// The first step, without jitter.
    pub(crate) fn base(&self) -> Duration {
        self.step(0)
    }

    /// The step after `retries` earlier ones, without jitter: `min(max, base * 2^retries)`.
    pub(crate) fn step(&self, retries: u32) -> Duration {
        let factor = 1_u64.checked_shl(retries).unwrap_or(u64::MAX);
        Duration::from_nanos(self.base.saturating_mul(factor).min(self.max))
    }

    /// A delay in `[step / 2, step]`, both ends included.
    ///
    /// `random` is uniform over all of `u64`. It scales the range as one 128-bit product, so that
    /// the jitter is as fine at hours as it is at nanoseconds, and is there at the cap too.
    pub(crate) fn delay(&self, retries: u32, random: u64) -> Duration {
        let step = nanoseconds(self.step(retries));
        let range = u128::from(step - step / 2) + 1;
        // Below `range`, which fits: the shift undoes what multiplying by `random` could add.
        let jitter = ((range * u128::from(random)) >> u64::BITS) as u64;
        Duration::from_nanos(step / 2 + jitter)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
