//! How old a connection may become.

use std::time::Duration;

use tokio::time::Instant;

/// When a connection is too old: at `max_age`, or up to a tenth earlier, so that those that were
/// made together do not end together.
pub(super) fn retirement(made: Instant, max_age: Duration) -> Instant {
    let earlier = max_age.mul_f64(0.1 * rand::random::<f64>());
    // The configuration bounds it to what clocks can add.
    made.checked_add(max_age.saturating_sub(earlier))
        .unwrap_or(made)
}
