//! Moments that take little room.

use std::time::Duration;

/// Nanoseconds since the epoch, up to 584 years of them: half of what a `Duration` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const EPOCH: Self = Self(0);
    pub(crate) const NEVER: Self = Self(u64::MAX);
}

/// Saturates at never.
impl From<Duration> for Moment {
    fn from(since_epoch: Duration) -> Self {
        Self(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::NEVER => Self::MAX,
            Moment(since_epoch) => Self::from_nanos(since_epoch),
        }
    }
}
