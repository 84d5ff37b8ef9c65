//! How long to wait before a retry: pure arithmetic.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

use crate::{error::InvalidSetting, nanos::nanos};

/// Exponential backoff with jitter.
///
/// Retry `n` of a request, counted from 0, has a ceiling of `min(max, base × factorⁿ)`, and the
/// [`Jitter`] says how its wait is drawn below that, at the cap as well as before it. The
/// arithmetic is in whole nanoseconds, from one of them to a day. (Tokio's timer then rounds up
/// to a millisecond.)
///
/// ```
/// use std::time::Duration;
/// use tower_retry_budget::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(25), Duration::from_millis(400))?;
/// let mut session = backoff.session(7);
/// for ceiling in [25, 100, 400, 400] {
///     let ceiling = Duration::from_millis(ceiling);
///     let wait = session.next();
///     assert!(wait >= ceiling / 2 && wait <= ceiling);
/// }
/// # Ok::<_, tower_retry_budget::error::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: u64,
    max: u64,
    factor: u32,
    jitter: Jitter,
}

impl Backoff {
    /// Waits of up to `base` for the first retry, longer by a factor for each one after it, up to
    /// `max`.
    ///
    /// The default is 25 ms and 400 ms: with its factor and its jitter, three retries are never
    /// over before 262 ms. A `base` of zero is for all retries at once.
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
        Ok(Self {
            base: nanos(base),
            max: nanos(max),
            ..Self::default()
        })
    }

    /// How many times longer each wait may be than the one before. Default 4.
    ///
    /// With 1 they all are about `base`.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if it is not from 1 to 100, or 1 with [`Jitter::Decorrelated`].
    pub fn factor(mut self, factor: u32) -> Result<Self, InvalidSetting> {
        if !(1..=100).contains(&factor) {
            return Err(InvalidSetting::new("backoff.factor", factor, "1 to 100"));
        }
        self.factor = factor;
        self.with_room()
    }

    /// How a wait is drawn. Default [`Jitter::Equal`].
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`], if it is [`Jitter::Decorrelated`] and there is nothing to draw from:
    /// the factor is 1, or `base` is `max` and not zero.
    pub fn jitter(mut self, jitter: Jitter) -> Result<Self, InvalidSetting> {
        self.jitter = jitter;
        self.with_room()
    }

    /// The waits of one request. They are the same for the same seed, and sessions of different
    /// seeds have nothing in common, be these as near to each other as 1 and 2.
    pub fn session(&self, seed: u64) -> Session {
        Session {
            ceiling: match self.jitter {
                Jitter::Full | Jitter::Equal => self.base,
                Jitter::Decorrelated => self.grown(self.base),
            },
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            backoff: self.clone(),
        }
    }

    /// The wait before retry number `retry` of a session.
    pub(crate) fn delay(&self, retry: u32, seed: u64) -> Duration {
        let mut session = self.session(seed);
        for _ in 0..retry {
            session.next();
        }
        session.next()
    }

    /// The ceiling after one that was `from`.
    fn grown(&self, from: u64) -> u64 {
        // A day is below 2^47 nanoseconds, and the factor below 2^7.
        (from * u64::from(self.factor)).min(self.max)
    }

    fn with_room(self) -> Result<Self, InvalidSetting> {
        if self.jitter == Jitter::Decorrelated
            && self.base > 0
            && self.grown(self.base) == self.base
        {
            return Err(InvalidSetting::new(
                "backoff.jitter",
                "decorrelated",
                "it with a factor of 2 or more and a base below the maximum",
            ));
        }
        Ok(self)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: 25_000_000,
            max: 400_000_000,
            factor: 4,
            jitter: Jitter::Equal,
        }
    }
}

/// How a wait is drawn. None of them vanishes at the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// Uniform from 0 to the ceiling. Spreads clients best, but says nothing of how long it takes
    /// to use up all retries: that can be over in no time.
    Full,
    /// Uniform in the upper half of the ceiling, so that `n` retries take at least half of what
    /// their ceilings come to.
    Equal,
    /// Uniform from `base` to `factor` times the wait before, or `max` if that is less. The first
    /// is drawn as if the one before it had been `base`.
    ///
    /// In its usual form the draw is cut off at `max`, and most waits there are exactly `max`. Here
    /// the range is.
    Decorrelated,
}

/// The waits of one request, made by [`Backoff::session`].
#[derive(Clone, Debug)]
pub struct Session {
    backoff: Backoff,
    /// The longest that the next wait may be.
    ceiling: u64,
    random: Xoshiro256PlusPlus,
}

impl Session {
    /// The wait before the next retry.
    #[allow(
        clippy::should_implement_trait,
        reason = "there is always one, and an Option would have to be unwrapped"
    )]
    pub fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        let shortest = match self.backoff.jitter {
            Jitter::Full => 0,
            Jitter::Equal => ceiling.div_ceil(2),
            Jitter::Decorrelated => self.backoff.base,
        };
        let wait = self.random.random_range(shortest..=ceiling);
        self.ceiling = self.backoff.grown(match self.backoff.jitter {
            Jitter::Full | Jitter::Equal => ceiling,
            Jitter::Decorrelated => wait,
        });
        Duration::from_nanos(wait)
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
