//! The `x-envoy-expected-rq-timeout-ms` header: a number of milliseconds.

use std::{fmt, time::Duration};

use crate::error::MalformedEnvoyTimeout;

/// A timeout in the form of the `x-envoy-expected-rq-timeout-ms` header, in which Envoy tells a server
/// how long it will wait.
///
/// ```
/// use std::time::Duration;
///
/// use tower_timeout_ewma::envoy_timeout::EnvoyTimeout;
///
/// let timeout = EnvoyTimeout::parse(b"250")?;
/// assert_eq!(timeout.duration(), Duration::from_millis(250));
///
/// let timeout = EnvoyTimeout::round_up(Duration::new(1, 1));
/// assert_eq!(timeout.to_string(), "1001");
/// # Ok::<_, tower_timeout_ewma::error::MalformedEnvoyTimeout>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvoyTimeout {
    milliseconds: u64,
}

impl EnvoyTimeout {
    /// The longest timeout that is written: 584 million years.
    pub const MAX: Self = Self {
        milliseconds: u64::MAX,
    };

    /// Reads a header value: ASCII digits. More than [`MAX`](Self::MAX) is that. Zero is allowed:
    /// such a request has already expired.
    ///
    /// # Errors
    ///
    /// [`MalformedEnvoyTimeout`] for anything else, also for a sign or surrounding blanks.
    pub fn parse(header: &[u8]) -> Result<Self, MalformedEnvoyTimeout> {
        if header.is_empty() || !header.iter().all(u8::is_ascii_digit) {
            return Err(MalformedEnvoyTimeout::new());
        }
        let milliseconds = header.iter().fold(0_u64, |value, digit| {
            let digit = u64::from(digit - b'0');
            value.saturating_mul(10).saturating_add(digit)
        });
        Ok(Self { milliseconds })
    }

    /// The shortest timeout that is not shorter than `duration`; [`MAX`](Self::MAX) if none is.
    pub fn round_up(duration: Duration) -> Self {
        let milliseconds = duration.as_nanos().div_ceil(1_000_000);
        Self {
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
        }
    }

    /// The timeout as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    /// The timeout as a header value.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn to_header_value(self) -> http::HeaderValue {
        self.milliseconds.into()
    }
}

impl fmt::Display for EnvoyTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.milliseconds.fmt(f)
    }
}
