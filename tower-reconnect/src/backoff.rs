//! Exponential backoff in exact integer arithmetic, with one place for each outage.
//!
//! `tower-retry-budget` has a backoff too. The two stay apart on purpose: a retry is alone with its
//! failure, while a lost connection is lost to all clients of a server at the same moment.

use std::time::Duration;

/// Delays that double up to `max`.
///
/// Where in its steps a client dials, its *place*, is drawn once for an outage, and from all of a
/// step: so a fleet that lost its server at one moment is spread over the whole of a step after the
/// first one, and stays so. At the cap each delay is nearly all of `max`, which makes the same
/// number of dials bring a client back sooner than delays that are now short, now long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    max: u64,
    /// How many times the first step doubles until it is `max`.
    doublings: u32,
}

impl Backoff {
    /// Times beyond 584 years saturate; a `base` above `max` counts as `max`.
    ///
    /// The steps are `max`, halved until `base` is not exceeded: only when they meet `max` exactly
    /// are the places at the cap uniform, too.
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        let (base, max) = (nanoseconds(base), nanoseconds(max));
        let halvings = 0..u64::BITS;
        let doublings = halvings.take_while(|&n| max >> n > base).count() as u32;
        Self { max, doublings }
    }

    /// The first step.
    pub(crate) fn base(&self) -> Duration {
        self.step(0)
    }

    /// The step after `retries` earlier ones: the longest that the delay can be.
    pub(crate) fn step(&self, retries: u32) -> Duration {
        let halvings = self.doublings.saturating_sub(retries);
        Duration::from_nanos(self.max.checked_shr(halvings).unwrap_or(0))
    }

    /// The time from one dial to the next, for a client that is at `place`, less a `random` eighth
    /// at the most, so that no two clients are in step for good.
    ///
    /// Both numbers are uniform over all of `u64`. While steps double, it is between half of its
    /// step and all of it, by the place. Later steps are all alike, and so is the place in them.
    pub(crate) fn delay(&self, retries: u32, place: u64, random: u64) -> Duration {
        let step = nanoseconds(self.step(retries));
        let longest = match retries <= self.doublings {
            true => step - step / 2 + up_to(step / 2, place),
            false => step,
        };
        Duration::from_nanos(longest - longest / 8 + up_to(longest / 8, random))
    }
}

/// From nothing to all of `time`, both included, as `random` is within `u64`.
pub(crate) fn spread(time: Duration, random: u64) -> Duration {
    Duration::from_nanos(up_to(nanoseconds(time), random))
}

/// One 128-bit product, as fine at hours as it is at nanoseconds.
fn up_to(most: u64, random: u64) -> u64 {
    let range = u128::from(most) + 1;
    // Below `range`, which fits: the shift undoes what multiplying by `random` could add.
    ((range * u128::from(random)) >> u64::BITS) as u64
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
