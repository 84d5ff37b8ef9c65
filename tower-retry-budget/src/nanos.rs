//! Time as the cores count it.

use std::time::Duration;

use tokio::time::Instant;

/// Whole nanoseconds: 584 years, if it is longer than that.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds from `epoch` to `now`, or zero if that came before.
pub(crate) fn nanos_since(epoch: Instant, now: Instant) -> u64 {
    nanos(now.saturating_duration_since(epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_neither_wraps_around_nor_goes_below_zero() {
        assert_eq!(nanos(Duration::new(2, 3)), 2_000_000_003);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        let now = Instant::now();
        let later = now + Duration::from_nanos(17);
        assert_eq!((nanos_since(now, later), nanos_since(later, now)), (17, 0));
    }
}
