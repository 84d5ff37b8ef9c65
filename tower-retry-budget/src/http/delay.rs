//! Delays that a server asks for, out of headers: bytes that anyone may have written.

use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, HeaderName, header::RETRY_AFTER};

use crate::policy::Verdict;

/// `verdict`, after the longest wait that the headers ask for. If that is longer than `max`, or if
/// one cannot be read, the retry is unwanted: earlier would be too early. Without `max`, headers are
/// not asked.
pub(super) fn delayed(verdict: Verdict, headers: &HeaderMap, max: Option<Duration>) -> Verdict {
    let Some(max) = max else {
        return verdict;
    };
    let retry_after = headers.get_all(RETRY_AFTER).into_iter();
    let pushback = headers.get_all(GRPC_RETRY_PUSHBACK_MS).into_iter();
    let asked = retry_after
        .map(|value| self::retry_after(value.as_bytes(), SystemTime::now))
        .chain(pushback.map(|value| self::pushback(value.as_bytes())));
    let mut after = None;
    for delay in asked {
        match delay {
            Some(delay) if delay <= max => after = after.max(Some(delay)),
            _ => return verdict.unwanted(),
        }
    }
    verdict.after(after)
}

/// `retry-after`: a number of seconds, or a date, which may have passed.
fn retry_after(value: &[u8], now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    if let Some(seconds) = digits(value) {
        return Some(Duration::from_secs(seconds));
    }
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now()).unwrap_or_default())
}

/// `grpc-retry-pushback-ms`. A negative number, or none, means that no retry is wanted.
fn pushback(value: &[u8]) -> Option<Duration> {
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

const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_so_far_away_as_it_is_from_now() {
        let now = || SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_770_500);
        let read = |text: &str| retry_after(text.as_bytes(), now);
        // The three forms of RFC 9110, section 5.6.7.
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(text), Some(Duration::from_millis(6_500)), "{text}");
        }
        let passed = read("Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(passed, Some(Duration::ZERO));
    }
}
