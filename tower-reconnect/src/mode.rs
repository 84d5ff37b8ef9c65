//! What a handle does while there is no connection.

use std::time::Duration;

/// What a handle does while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is not ready until there is one, so that a balancer picks another endpoint.
    #[default]
    Balanced,
    /// It is not ready for so long at most, 1 ms to 24 h. Then it is ready and refuses the request
    /// with [`error::Unavailable`](crate::error::Unavailable).
    BoundedWait(Duration),
    /// It waits for a dial that is due or under way, but during a backoff it is ready and refuses the
    /// request with [`error::Unavailable`](crate::error::Unavailable).
    FailFast,
}
