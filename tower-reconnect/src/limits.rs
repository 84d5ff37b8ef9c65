//! How long a connection is kept: its maximum age and its idle time, with jitter.

use std::time::Duration;

use crate::moment::Moment;

/// Limits to the life of connections, each an end or none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) max_age: Option<Duration>,
    pub(crate) idle: Option<Duration>,
    /// Connections of two layers with different seeds do not end together.
    pub(crate) seed: u64,
}

/// When to look whether a connection is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) look_at: Moment,
    /// How often in a row it was found unused.
    unused: u32,
}

impl Limits {
    /// When to begin the dial that replaces a connection made at `now`: after a part of the
    /// maximum age between eight and nine tenths.
    pub(crate) fn renew_at(&self, now: Duration, connection: u64) -> Option<Duration> {
        let tenth = self.max_age? / 10;
        let jitter = fraction(tenth, self.random(connection));
        Some(now.saturating_add(tenth * 8).saturating_add(jitter))
    }

    /// How the use of a connection made at `now` is watched.
    pub(crate) fn usage(&self, now: Duration, connection: u64) -> Usage {
        Usage {
            look_at: self.next_look(now, self.random(!connection)),
            unused: 0,
        }
    }

    /// When to close a connection that nobody has from `now` on: after the idle time and up to half
    /// of that.
    pub(crate) fn spare_until(&self, now: Duration, connection: u64) -> Duration {
        let Some(idle) = self.idle else {
            return Duration::MAX;
        };
        let jitter = fraction(idle / 2, self.random(!connection));
        now.saturating_add(idle).saturating_add(jitter)
    }

    /// Whether a connection has been unused for the idle time, when it was `used` or not since
    /// the last look.
    pub(crate) fn is_over(&self, usage: &mut Usage, now: Duration, used: bool) -> bool {
        let random = self.random(Duration::from(usage.look_at).as_nanos() as u64);
        usage.unused = if used { 0 } else { usage.unused + 1 };
        usage.look_at = self.next_look(now, random);
        usage.unused >= LOOKS
    }

    /// After a quarter of the idle time and up to a fifth of that: five of them, which a use right after
    /// a look takes, are one and a half times the idle time.
    fn next_look(&self, now: Duration, random: u64) -> Moment {
        let Some(idle) = self.idle else {
            return Moment::NEVER;
        };
        let quarter = idle / LOOKS;
        let jitter = fraction(quarter / 5, random);
        now.saturating_add(quarter).saturating_add(jitter).into()
    }

    fn random(&self, salt: u64) -> u64 {
        scramble(self.seed ^ scramble(salt))
    }
}

/// A part of `range` that is uniform if `random` is.
fn fraction(range: Duration, random: u64) -> Duration {
    let range = u64::try_from(range.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(((u128::from(range) * u128::from(random)) >> u64::BITS) as u64)
}

/// SplitMix64.
fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// An idle time is seen in so many looks: fewer would be less exact, more would wake more often.
const LOOKS: u32 = 4;
