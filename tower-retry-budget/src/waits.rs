//! How long a request waits before its next attempt.

use std::time::Duration;

use crate::{
    attempt::{Made, Step},
    backoff::Backoff,
    kind::Kind,
    sync::{AtomicU64, Ordering::Relaxed},
};

/// The waits of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    /// Drawn at the first wait: most requests have none.
    seed: Option<u64>,
}

impl Waits {
    /// The wait before the attempt that follows those that were `made`, if the server asked for
    /// `after`.
    pub(crate) fn before(
        &mut self,
        step: Step,
        made: Made,
        after: Option<Duration>,
        backoff: &Backoff,
        seeds: &Seeds,
    ) -> Duration {
        let seed = *self.seed.get_or_insert_with(|| seeds.next());
        let backoff = match step {
            Step::Retry(Kind::Timeout) => backoff.delay(made.attempts - 1 + AFTER_TIMEOUT, seed),
            Step::Retry(_) => backoff.delay(made.attempts - 1, seed),
            // A server that gives everything back is not to be hammered.
            Step::Resend => made
                .resends
                .checked_sub(1)
                .map_or(Duration::ZERO, |number| {
                    backoff.delay(number, mixed(seed, RESENDS))
                }),
        };
        let number = u64::from(made.attempts + made.resends);
        let after = after.map(|after| spread(after, mixed(seed, number)));
        backoff.max(after.unwrap_or_default())
    }
}

/// From one to five quarters of what a server asked for: it asks all its clients for the same, and
/// they are not to come back all at once.
fn spread(after: Duration, random: u64) -> Duration {
    let share = random as f64 / u64::MAX as f64;
    after.saturating_add((after / 4).mul_f64(share))
}

/// Where the waits of requests come from.
#[derive(Debug)]
pub(crate) enum Seeds {
    /// Each from the system's randomness.
    Fresh,
    /// All of them from one number, in the order in which requests first wait.
    From { seed: u64, requests: AtomicU64 },
}

impl Seeds {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::Fresh, |seed| Self::From {
            seed,
            requests: AtomicU64::new(0),
        })
    }

    fn next(&self) -> u64 {
        match self {
            Self::Fresh => rand::random(),
            Self::From { seed, requests } => mixed(*seed, requests.fetch_add(1, Relaxed)),
        }
    }
}

/// The `number`th of the numbers that follow from a seed (SplitMix64).
fn mixed(seed: u64, number: u64) -> u64 {
    let state = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// By how many waits the backoff is further after a timeout: a queue does not go in no time, and
/// meanwhile others' outcomes tell whether it does.
const AFTER_TIMEOUT: u32 = 2;

/// Not the number of any attempt.
const RESENDS: u64 = u64::MAX;
