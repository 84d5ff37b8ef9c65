//! The `grpc-timeout` header: one to eight digits and a unit.

use std::{fmt, time::Duration};

use crate::error::MalformedGrpcTimeout;

/// A timeout in the form of the `grpc-timeout` header.
///
/// ```
/// use std::time::Duration;
///
/// use tower_timeout_ewma::grpc_timeout::GrpcTimeout;
///
/// let timeout = GrpcTimeout::parse(b"250m")?;
/// assert_eq!(timeout.duration(), Duration::from_millis(250));
///
/// let timeout = GrpcTimeout::round_up(Duration::new(1, 1));
/// assert_eq!(timeout.to_string(), "1000001u");
/// # Ok::<_, tower_timeout_ewma::error::MalformedGrpcTimeout>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrpcTimeout {
    value: u32,
    unit: Unit,
}

impl GrpcTimeout {
    /// The longest timeout that the format can say: 99,999,999 hours.
    pub const MAX: Self = Self {
        value: MAX_VALUE,
        unit: Unit::Hour,
    };

    /// Reads a header value: one to eight ASCII digits and one of `H`, `M`, `S`, `m`, `u`, `n`.
    /// Zero is allowed: such a request has already expired.
    ///
    /// # Errors
    ///
    /// [`MalformedGrpcTimeout`] for anything else, also for surrounding blanks.
    pub fn parse(header: &[u8]) -> Result<Self, MalformedGrpcTimeout> {
        let malformed = MalformedGrpcTimeout::new;
        let (&unit, digits) = header.split_last().ok_or_else(malformed)?;
        let unit = Unit::from_byte(unit).ok_or_else(malformed)?;
        if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit)
        {
            return Err(malformed());
        }
        let value = digits
            .iter()
            .fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        Ok(Self { value, unit })
    }

    /// The shortest timeout in the finest unit that fits which is not shorter than `duration`;
    /// [`MAX`](Self::MAX) if none is.
    pub fn round_up(duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        Unit::FINEST_FIRST
            .into_iter()
            .find_map(|unit| {
                let value = u32::try_from(nanos.div_ceil(unit.nanos())).ok()?;
                (value <= MAX_VALUE).then_some(Self { value, unit })
            })
            .unwrap_or(Self::MAX)
    }

    /// The timeout as a duration.
    pub fn duration(self) -> Duration {
        match self.unit {
            Unit::Hour => Duration::from_secs(u64::from(self.value) * 3600),
            Unit::Minute => Duration::from_secs(u64::from(self.value) * 60),
            Unit::Second => Duration::from_secs(self.value.into()),
            Unit::Millisecond => Duration::from_millis(self.value.into()),
            Unit::Microsecond => Duration::from_micros(self.value.into()),
            Unit::Nanosecond => Duration::from_nanos(self.value.into()),
        }
    }

    /// The timeout as a header value.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn to_header_value(self) -> http::HeaderValue {
        // Digits and a letter are always a header value.
        http::HeaderValue::try_from(self.to_string())
            .unwrap_or_else(|_| http::HeaderValue::from_static("0n"))
    }
}

impl fmt::Display for GrpcTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = char::from(self.unit.to_byte());
        write!(f, "{}{unit}", self.value)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Unit {
    const FINEST_FIRST: [Self; 6] = [
        Self::Nanosecond,
        Self::Microsecond,
        Self::Millisecond,
        Self::Second,
        Self::Minute,
        Self::Hour,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::FINEST_FIRST
            .into_iter()
            .find(|unit| unit.to_byte() == byte)
    }

    fn to_byte(self) -> u8 {
        match self {
            Self::Hour => b'H',
            Self::Minute => b'M',
            Self::Second => b'S',
            Self::Millisecond => b'm',
            Self::Microsecond => b'u',
            Self::Nanosecond => b'n',
        }
    }

    fn nanos(self) -> u128 {
        match self {
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
        }
    }
}

const MAX_DIGITS: usize = 8;
const MAX_VALUE: u32 = 99_999_999;
