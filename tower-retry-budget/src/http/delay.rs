//! Delays that a server asks for, out of headers: bytes that anyone may have written.

use std::time::Duration;

/// `retry-after` as a number of seconds. Its other form, a date, is not read: it would need the
/// wall clock.
pub(crate) fn retry_after(value: &[u8]) -> Option<Duration> {
    digits(value).map(Duration::from_secs)
}

/// `grpc-retry-pushback-ms`. A negative number, or none, means that no retry is wanted.
pub(crate) fn pushback(value: &[u8]) -> Option<Duration> {
    digits(value).map(Duration::from_millis)
}

/// A number of decimal digits; what is too large for `u64` is `u64::MAX`.
fn digits(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}
