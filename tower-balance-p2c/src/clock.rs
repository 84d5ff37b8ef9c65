use std::time::Duration;

use tokio::time::Instant;

/// Turns instants into the nanoseconds since a pool was made, which is all the cores know of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> u64 {
        self.nanos(Instant::now())
    }

    /// `None` if it is further away than an instant can tell.
    pub(crate) fn instant(self, nanos: u64) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(nanos))
    }

    /// Zero for an instant before the epoch.
    pub(crate) fn nanos(self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch);
        let whole = since.as_secs().saturating_mul(1_000_000_000);
        whole.saturating_add(since.subsec_nanos().into())
    }
}
