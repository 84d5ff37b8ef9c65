use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

/// One key of `[limits]`, as something that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// All slots for client connections were taken.
    Connections,
    /// A request was shed.
    Requests,
    /// A request's head was too long.
    HeaderBytes,
    /// A request had too many fields.
    HeaderCount,
    /// A request's body was too long.
    BodyBytes,
    /// A request's head took too long.
    HeaderTimeout,
    /// A request's body paused, or a client took no bytes, for too long.
    BodyIdle,
    /// A connection was ended because it was not used.
    IdleTimeout,
    /// A connection was ended because it was old.
    ConnectionAge,
    /// A client had as many streams open as it may.
    Http2Streams,
    /// A tunnel was ended because nothing moved in it.
    UpgradeIdle,
}

/// How often a listener reached each limit.
#[derive(Debug, Default)]
pub(super) struct LimitHits {
    counts: [AtomicU64; Limit::ALL.len()],
    lines: [Throttle; Limit::ALL.len()],
}

/// Lets a few lines a second into the log, and counts what it kept out.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// The second of the last line, and how many there were in it: see [`COUNT_BITS`].
    written: AtomicU64,
    kept_out: AtomicU64,
}

impl Limit {
    pub(super) const ALL: [Self; 11] = [
        Self::Connections,
        Self::Requests,
        Self::HeaderBytes,
        Self::HeaderCount,
        Self::BodyBytes,
        Self::HeaderTimeout,
        Self::BodyIdle,
        Self::IdleTimeout,
        Self::ConnectionAge,
        Self::Http2Streams,
        Self::UpgradeIdle,
    ];

    /// The key's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::HeaderBytes => "header_bytes",
            Self::HeaderCount => "header_count",
            Self::BodyBytes => "body_bytes",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyIdle => "body_idle",
            Self::IdleTimeout => "idle_timeout",
            Self::ConnectionAge => "connection_age",
            Self::Http2Streams => "http2_streams",
            Self::UpgradeIdle => "upgrade_idle",
        }
    }

    /// Reached in the normal course of things: nobody has to do anything.
    fn is_routine(self) -> bool {
        matches!(
            self,
            Self::IdleTimeout | Self::ConnectionAge | Self::UpgradeIdle
        )
    }
}

impl LimitHits {
    /// Counts, and logs at most one line a second for each limit.
    pub(super) fn hit(&self, listener: &str, limit: Limit, second: u64) {
        self.counts[limit as usize].fetch_add(1, Relaxed);
        let Some(times) = self.lines[limit as usize].admit(second, 1) else {
            return;
        };
        let limit_name = limit.as_str();
        if limit.is_routine() {
            tracing::info!(%listener, limit = limit_name, times, "limit reached");
        } else {
            tracing::warn!(%listener, limit = limit_name, times, "limit reached");
        }
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (Limit, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        Limit::ALL.into_iter().zip(counts)
    }
}

impl Throttle {
    /// How many events the line of this one stands for; none if `most` lines were written in this
    /// second.
    pub(super) fn admit(&self, second: u64, most: u64) -> Option<u64> {
        let written = self.written.load(Relaxed);
        let (last, count) = (written >> COUNT_BITS, written & ((1 << COUNT_BITS) - 1));
        let next = match second > last {
            true => Some((second << COUNT_BITS) | 1),
            false => (count < most).then(|| written + 1),
        };
        let is_due = next.is_some_and(|next| {
            self.written
                .compare_exchange(written, next, Relaxed, Relaxed)
                .is_ok()
        });
        if !is_due {
            self.kept_out.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.kept_out.swap(0, Relaxed) + 1)
    }
}

/// Whole seconds since `epoch`.
pub(super) fn second_since(epoch: Instant) -> u64 {
    Instant::now().saturating_duration_since(epoch).as_secs()
}

/// Room for the count of lines, below the second.
const COUNT_BITS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_own_place() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
        }
    }

    #[test]
    fn a_line_stands_for_all_that_were_kept_out() {
        let throttle = Throttle::default();
        assert_eq!(throttle.admit(0, 1), Some(1));
        assert_eq!(throttle.admit(0, 1), None);
        assert_eq!(throttle.admit(0, 1), None);
        assert_eq!(throttle.admit(1, 1), Some(3));
        assert_eq!(throttle.admit(7, 1), Some(1));
    }

    #[test]
    fn a_second_has_as_many_lines_as_are_allowed() {
        let throttle = Throttle::default();
        for second in [0, 5] {
            let lines = (0..20).filter(|_| throttle.admit(second, 10).is_some());
            assert_eq!(lines.count(), 10);
        }
    }
}
