//! The `x-envoy-expected-rq-timeout-ms` header: what is read, what is written.

use std::time::Duration;

use proptest::prelude::*;
use tower_timeout_ewma::{envoy_timeout::EnvoyTimeout, error::MalformedEnvoyTimeout};

#[test]
fn digits_are_milliseconds() {
    for (header, expected) in [
        ("0", Duration::ZERO),
        ("7", Duration::from_millis(7)),
        ("007", Duration::from_millis(7)),
        ("15000", Duration::from_secs(15)),
        ("18446744073709551615", Duration::from_millis(u64::MAX)),
        ("18446744073709551616", Duration::from_millis(u64::MAX)),
        ("99999999999999999999999", Duration::from_millis(u64::MAX)),
    ] {
        let timeout = EnvoyTimeout::parse(header.as_bytes()).unwrap();
        assert_eq!(timeout.duration(), expected, "{header}");
    }
}

#[test]
fn anything_else_is_malformed() {
    for header in [
        "", " ", "1 ", " 1", "-1", "+1", "1ms", "1.0", "1e3", "0x1", "\u{664}",
    ] {
        let error: MalformedEnvoyTimeout = EnvoyTimeout::parse(header.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("a number of milliseconds"));
    }
}

#[test]
fn what_is_written_is_rounded_up() {
    for (duration, header) in [
        (Duration::ZERO, "0"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_millis(1), "1"),
        (Duration::from_nanos(1_000_001), "2"),
        (Duration::from_millis(u64::MAX), "18446744073709551615"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        assert_eq!(EnvoyTimeout::round_up(duration).to_string(), header);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(header: Vec<u8>) {
        let is_number = !header.is_empty() && header.iter().all(u8::is_ascii_digit);
        prop_assert_eq!(EnvoyTimeout::parse(&header).is_ok(), is_number);
    }

    #[test]
    fn what_is_written_can_be_read(seconds: u64, nanos in 0_u32..1_000_000_000, shift in 0_u32..64) {
        let duration = Duration::new(seconds >> shift, nanos);
        let written = EnvoyTimeout::round_up(duration);
        prop_assert_eq!(EnvoyTimeout::parse(written.to_string().as_bytes()), Ok(written));
        let longest = Duration::from_millis(u64::MAX);
        prop_assert!(written.duration() >= duration.min(longest));
        prop_assert!(written.duration() < duration + Duration::from_millis(1) || written == EnvoyTimeout::MAX);
    }

    #[test]
    fn any_number_is_read_as_it_is(number: u64, zeros in 0_usize..20) {
        let header = format!("{}{number}", "0".repeat(zeros));
        let read = EnvoyTimeout::parse(header.as_bytes()).unwrap();
        prop_assert_eq!(read.duration(), Duration::from_millis(number));
    }
}
