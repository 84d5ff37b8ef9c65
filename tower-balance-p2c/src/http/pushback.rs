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

    use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};
    use proptest::prelude::*;

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

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_bytes_are_sent_it_is_digits_or_a_date_or_nothing(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[0-9]{1,30}".prop_map(String::into_bytes),
                "[MTWFS][a-z]{2}, [0-9]{2} [JFMASOND][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else {
                return Ok(());
            };
            for name in [RETRY_AFTER, HeaderName::from_static("grpc-retry-pushback-ms")] {
                let mut fields = HeaderMap::new();
                fields.insert(name, value.clone());
                let told = pushback(&fields).is_some();
                let is_number = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
                prop_assert!(told || !is_number);
                prop_assert!(is_number || !told || bytes.ends_with(b"GMT") || bytes.len() >= 24);
            }
        }
    }
}
