//! The bounds within which connections are dialled and kept.

use std::time::Duration;

use crate::{backoff::Backoff, limits::Limits};

/// Settings, which any number of services share.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) backoff: Backoff,
    pub(crate) first_dial_jitter: Duration,
    pub(crate) stable_after: Duration,
    /// How many requests a connection must have answered for its retirement to be no failure.
    pub(crate) worked_after: u32,
    /// Of exclusive connections.
    pub(crate) max_dials: usize,
    pub(crate) limits: Limits,
}

impl Bounds {
    /// A connection counts as stable after `stable_after`, but never before the first backoff step
    /// has passed: else zero would dial a peer that accepts and dies without any pause.
    pub(crate) fn stable_after(&self) -> Duration {
        self.stable_after.max(self.backoff.base())
    }

    /// The limits of one service, with jitter of its own by its `seed`.
    pub(crate) fn limits(&self, seed: u64) -> Limits {
        Limits {
            seed,
            ..self.limits
        }
    }
}
