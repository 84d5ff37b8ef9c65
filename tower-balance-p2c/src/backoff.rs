//! How long to leave something alone after its nth error in a row. A pure function.

use std::time::Duration;

/// 100 ms after the first error, twice that after each further one, 10 s at the most.
pub(crate) fn backoff(errors: u32) -> Duration {
    let doublings = errors.saturating_sub(1).min(MAX_DOUBLINGS);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// More of them would be over `LONGEST` anyway.
const MAX_DOUBLINGS: u32 = 7;
