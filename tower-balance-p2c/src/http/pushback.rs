//! How long a server asks to be left alone.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

/// `None` where it does not say so in a way that can be understood: a pushback below zero means
/// that nobody should retry, which is not for how long.
pub(super) fn pushback(fields: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| fields.get(name)?.to_str().ok();
    match text("grpc-retry-pushback-ms") {
        Some(millis) => digits(millis).map(Duration::from_millis),
        None => retry_after(text(RETRY_AFTER.as_str())?),
    }
}

fn retry_after(text: &str) -> Option<Duration> {
    if let Some(seconds) = digits(text) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date that has passed asks for nothing.
    date.duration_since(SystemTime::now()).ok()
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More than fits is as long as can be said.
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::pushback;

    fn read(fields: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        pushback(&map)
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[("retry-after", "3")]), Some(Duration::from_secs(3)));
        let millis = read(&[("grpc-retry-pushback-ms", "250"), ("retry-after", "3")]);
        assert_eq!(millis, Some(Duration::from_millis(250)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let told = read(&[("retry-after", &soon)]).unwrap();
        assert!(told > Duration::from_secs(55) && told <= Duration::from_secs(60));
    }

    #[test]
    fn what_makes_no_sense_asks_for_nothing() {
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            " 1",
            "soon",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(read(&[("retry-after", text)]), None, "{text}");
        }
        for text in ["", "-1", "1s", "+1"] {
            let fields = [("grpc-retry-pushback-ms", text), ("retry-after", "3")];
            assert_eq!(read(&fields), None, "{text}");
        }
        let most = read(&[("retry-after", "99999999999999999999999")]);
        assert_eq!(most, Some(Duration::from_secs(u64::MAX)));
    }
}
