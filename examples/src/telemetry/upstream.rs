use std::{
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tower_mtls::error::{HandshakeError, Reason};
use tower_reconnect::error::ConnectTimeout;

use super::histogram::Histogram;
use crate::endpoint::BadHttp;

/// What became of a cluster's dials and connections; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct UpstreamMetrics(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    dials: [AtomicU64; DialResult::ALL.len()],
    unstable: AtomicU64,
    durations: Histogram,
}

/// How a dial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialResult {
    /// There is a connection.
    Ok,
    /// Nobody listens there.
    Refused,
    /// `reconnect.connect_timeout` has passed.
    Timeout,
    /// There is no way to the address.
    Unreachable,
    /// The other end, or something on the way, has ended it.
    Reset,
    /// The TLS handshake failed.
    Tls,
    /// The other end does not speak HTTP, or not this one.
    Http,
    /// This machine has no more ports, descriptors or memory for it.
    Local,
    /// Something else.
    Other,
}

impl UpstreamMetrics {
    pub(crate) fn dialled(&self, result: DialResult) {
        self.0.dials[result as usize].fetch_add(1, Relaxed);
    }

    /// A connection has ended before it was stable.
    pub(crate) fn unstable(&self) {
        self.0.unstable.fetch_add(1, Relaxed);
    }

    /// A connection has ended at this age.
    pub(crate) fn ended(&self, age: Duration) {
        self.0.durations.observe(age);
    }

    /// How many dials ended in each way.
    pub fn dials(&self) -> impl Iterator<Item = (DialResult, u64)> {
        let counts = self.0.dials.iter().map(|count| count.load(Relaxed));
        DialResult::ALL.into_iter().zip(counts)
    }

    /// How many connections ended before they were stable.
    pub fn unstable_connections(&self) -> u64 {
        self.0.unstable.load(Relaxed)
    }

    pub(super) fn durations(&self) -> &Histogram {
        &self.0.durations
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            dials: Default::default(),
            unstable: AtomicU64::new(0),
            durations: Histogram::from(FIRST_BOUND),
        }
    }
}

impl DialResult {
    /// All that there are.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Refused,
        Self::Timeout,
        Self::Unreachable,
        Self::Reset,
        Self::Tls,
        Self::Http,
        Self::Local,
        Self::Other,
    ];

    /// Of a dial that failed for `cause`. What caused that may say more than itself.
    pub fn of(cause: &(dyn Error + 'static)) -> Self {
        std::iter::successors(Some(cause), |&cause| cause.source())
            .find_map(Self::of_one)
            .unwrap_or(Self::Other)
    }

    fn of_one(cause: &(dyn Error + 'static)) -> Option<Self> {
        if cause.is::<ConnectTimeout>() {
            return Some(Self::Timeout);
        }
        if let Some(error) = cause.downcast_ref::<HandshakeError>() {
            return Some(match error.reason() {
                Reason::Timeout => Self::Timeout,
                _ => Self::Tls,
            });
        }
        if cause.is::<hyper::Error>() || cause.is::<h2::Error>() || cause.is::<BadHttp>() {
            return Some(Self::Http);
        }
        let error: &io::Error = cause.downcast_ref()?;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::TimedOut => Some(Self::Timeout),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => Some(Self::Unreachable),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(Self::Reset),
            io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::OutOfMemory => Some(Self::Local),
            _ if error
                .raw_os_error()
                .is_some_and(|code| NO_FILES.contains(&code)) =>
            {
                Some(Self::Local)
            }
            _ => None,
        }
    }

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Local => "local",
            Self::Other => "other",
        }
    }
}

/// EMFILE and ENFILE: no descriptors are left. The standard library has no kind for them.
const NO_FILES: [i32; 2] = [24, 23];

/// Of the buckets for ages, which then reach to seven hours.
const FIRST_BOUND: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_own_place_and_word() {
        let mut words = std::collections::BTreeSet::new();
        for (index, result) in DialResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, index);
            assert!(words.insert(result.as_str()));
        }
    }

    #[test]
    fn what_the_system_says_is_told_apart() {
        let of = |code| DialResult::of(&io::Error::from_raw_os_error(code));
        // Of Linux: refused, timed out, no route, reset, no address, no descriptors, no permission.
        let codes = [111, 110, 113, 104, 99, 24, 1];
        let results = [
            DialResult::Refused,
            DialResult::Timeout,
            DialResult::Unreachable,
            DialResult::Reset,
            DialResult::Local,
            DialResult::Local,
            DialResult::Other,
        ];
        assert_eq!(codes.map(of), results);
    }
}
