//! The `grpc-timeout` header: what is read, what is written.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use proptest::prelude::*;
use tower_timeout_ewma::{error::MalformedGrpcTimeout, grpc_timeout::GrpcTimeout};

#[test]
fn each_unit_is_read() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for (header, expected) in [
        ("1H", hours(1)),
        ("2M", Duration::from_secs(120)),
        ("3S", Duration::from_secs(3)),
        ("4m", Duration::from_millis(4)),
        ("5u", Duration::from_micros(5)),
        ("6n", Duration::from_nanos(6)),
        ("0n", Duration::ZERO),
        ("00000001S", Duration::from_secs(1)),
        ("99999999H", hours(99_999_999)),
        ("99999999n", Duration::from_nanos(99_999_999)),
    ] {
        let timeout = GrpcTimeout::parse(header.as_bytes()).unwrap();
        assert_eq!(timeout.duration(), expected, "{header}");
    }
}

#[test]
fn anything_else_is_malformed() {
    for header in [
        "",
        "S",
        "1",
        "1s",
        "1h",
        "1N",
        "1U",
        " 1S",
        "1S ",
        "1 S",
        "+1S",
        "-1S",
        "1.5S",
        "1e3m",
        "123456789n",
        "000000001S",
        "1SS",
        "S1",
        "0x1S",
        "\u{664}S",
        "1\u{b5}",
    ] {
        let error: MalformedGrpcTimeout = GrpcTimeout::parse(header.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("one to eight digits"));
    }
}

#[test]
fn the_finest_unit_that_fits_is_written_rounded_up() {
    for (duration, header) in [
        (Duration::ZERO, "0n"),
        (Duration::from_nanos(1), "1n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_000), "100000u"),
        (Duration::from_nanos(100_000_001), "100001u"),
        (Duration::from_micros(99_999_999), "99999999u"),
        (Duration::new(99, 999_999_001), "100000m"),
        (Duration::from_secs(99_999), "99999000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::from_secs(100_000_000), "1666667M"),
        (Duration::from_secs(60 * 100_000_000), "1666667H"),
        (Duration::from_secs(3600 * 99_999_999), "99999999H"),
        (Duration::new(3600 * 99_999_999, 1), "99999999H"),
        (Duration::MAX, "99999999H"),
    ] {
        assert_eq!(GrpcTimeout::round_up(duration).to_string(), header);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(header: Vec<u8>) {
        let _ = GrpcTimeout::parse(&header);
    }

    #[test]
    fn only_the_grammar_is_read(header in "[0-9+ .HMSmunx]{0,11}") {
        let (digits, unit) = header.split_at(header.len().saturating_sub(1));
        let valid = (1..=8).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && "HMSmun".contains(unit);
        prop_assert_eq!(GrpcTimeout::parse(header.as_bytes()).is_ok(), valid);
    }

    #[test]
    fn what_is_read_is_written_as_it_was(value in 0_u32..100_000_000, unit in "[HMSmun]", zeros in 0_usize..8) {
        let digits = value.to_string();
        let zeros = "0".repeat(zeros.min(8 - digits.len()));
        let read = GrpcTimeout::parse(format!("{zeros}{digits}{unit}").as_bytes()).unwrap();
        prop_assert_eq!(read.to_string(), format!("{digits}{unit}"));
        prop_assert_eq!(GrpcTimeout::parse(read.to_string().as_bytes()), Ok(read));
    }

    #[test]
    fn what_is_written_can_be_read(seconds: u64, nanos in 0_u32..1_000_000_000, shift in 0_u32..64) {
        let duration = Duration::new(seconds >> shift, nanos);
        let written = GrpcTimeout::round_up(duration);
        let read = GrpcTimeout::parse(written.to_string().as_bytes());
        prop_assert_eq!(read, Ok(written));
    }

    #[test]
    fn what_is_written_is_never_shorter_and_at_most_a_hundred_thousandth_longer(
        nanos: u64, shift in 0_u32..64,
    ) {
        let duration = Duration::from_nanos(nanos >> shift);
        let written = GrpcTimeout::round_up(duration).duration();
        prop_assert!(written >= duration);
        // A coarser unit is used only for what has eight digits in the finer one.
        prop_assert!(written - duration <= duration / 100_000);
    }
}
