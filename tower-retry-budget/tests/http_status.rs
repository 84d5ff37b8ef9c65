//! What the rules by status make of answers.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::{Duration, SystemTime};

use http::{HeaderValue, Request, Response, StatusCode};
use proptest::prelude::*;
use tower_retry_budget::{
    Kind, Policy, Refusal, Verdict,
    http::{NotRetried, StatusPolicy},
};

const RETRY: Verdict = Verdict::retry();

fn after(millis: u64) -> Verdict {
    Verdict::retry().after(Duration::from_millis(millis))
}

fn judge(status: u16, headers: &[(&'static str, &[u8])]) -> Verdict {
    judge_by(&StatusPolicy::new(), status, headers)
}

fn judge_by(policy: &StatusPolicy, status: u16, headers: &[(&'static str, &[u8])]) -> Verdict {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).expect("valid");
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            response.headers_mut().append(*name, value);
        }
    }
    Policy::<Request<()>, Response<()>, ()>::classify(policy, Ok(&response))
}

#[test]
fn an_error_is_retried() {
    let policy = StatusPolicy::new();
    let verdict = Policy::<Request<()>, Response<()>, &str>::classify(&policy, Err(&"reset"));
    assert_eq!(verdict, RETRY);
}

#[test]
fn each_status_has_its_verdict() {
    for status in 100..600 {
        let expected = match status {
            502 | 503 => RETRY,
            504 => RETRY.kind(Kind::Timeout),
            429 => RETRY.kind(Kind::Throttled).unwanted(),
            500.. => Verdict::Failure,
            _ => Verdict::Success,
        };
        assert_eq!(judge(status, &[]), expected, "{status}");
    }
    let policy = StatusPolicy::new().statuses([
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
    ]);
    for (status, expected) in [
        (429, RETRY.kind(Kind::Throttled)),
        (500, RETRY),
        (501, Verdict::Failure),
        (503, RETRY.unwanted()),
        (504, RETRY.kind(Kind::Timeout).unwanted()),
    ] {
        assert_eq!(judge_by(&policy, status, &[]), expected, "{status}");
    }
}

#[test]
fn a_wait_in_seconds_is_kept() {
    assert_eq!(judge(503, &[("retry-after", b"0")]), after(0));
    assert_eq!(judge(503, &[("retry-after", b"7")]), after(7_000));
    assert_eq!(judge(503, &[("retry-after", b"10")]), after(10_000));
    assert_eq!(
        judge(503, &[("retry-after", b"1"), ("retry-after", b"2")]),
        after(2_000)
    );
    let policy = StatusPolicy::new().statuses([StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!(
        judge_by(&policy, 429, &[("retry-after", b"7")]),
        after(7_000).kind(Kind::Throttled)
    );
}

#[test]
fn a_date_is_waited_for() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(8));
    let verdict = judge(503, &[("retry-after", date.as_bytes())]);
    let Verdict::Retry(again) = verdict else {
        panic!("{verdict:?}");
    };
    let after = again.after.expect("a wait");
    // A date has no fractions of a second, and some time may pass here.
    assert!(after > Duration::from_secs(4), "{after:?}");
    assert!(after <= Duration::from_secs(8), "{after:?}");
    assert!(!again.unwanted);
}

#[test]
fn an_old_date_is_no_wait() {
    let old = b"Fri, 31 Dec 1999 23:59:59 GMT";
    assert_eq!(judge(503, &[("retry-after", old)]), after(0));
}

#[test]
fn a_wait_that_is_too_long_or_unreadable_means_no_retry() {
    for value in [
        "11",
        "99999999999999999999999",
        "55340232221128654850",
        "Fri, 31 Dec 2999 23:59:59 GMT",
        "Fri, 31 Dec 1999",
        "soon",
        "-1",
        "+1",
        "1.5",
        "",
    ] {
        let verdict = judge(503, &[("retry-after", value.as_bytes())]);
        assert_eq!(verdict, RETRY.unwanted(), "{value}");
    }
    let patient = StatusPolicy::new().max_after(Duration::from_secs(60));
    assert_eq!(
        judge_by(&patient, 503, &[("retry-after", b"60")]),
        after(60_000)
    );
}

#[test]
fn whoever_ignores_what_servers_ask_for_retries_all_the_same() {
    let deaf = StatusPolicy::new().ignore_after();
    for field in ["retry-after", "grpc-retry-pushback-ms"] {
        for value in ["1", "11", "-1", "soon"] {
            let verdict = judge_by(&deaf, 503, &[(field, value.as_bytes())]);
            assert_eq!(verdict, RETRY, "{field}: {value}");
        }
    }
}

#[test]
fn a_wait_changes_nothing_for_an_answer_that_is_final() {
    assert_eq!(judge(200, &[("retry-after", b"1")]), Verdict::Success);
    assert_eq!(judge(500, &[("retry-after", b"1")]), Verdict::Failure);
    assert_eq!(judge(301, &[("retry-after", b"soon")]), Verdict::Success);
}

#[test]
fn an_answer_that_was_not_retried_says_why_and_an_error_does_not() {
    let policy = StatusPolicy::new();
    let mut outcome = Ok(Response::new(()));
    let gave_up = Policy::<Request<()>, Response<()>, &str>::gave_up;
    gave_up(&policy, &mut outcome, Refusal::Exhausted);
    let response = outcome.unwrap();
    let mark = response.extensions().get::<NotRetried>();
    assert_eq!(mark.map(|mark| mark.why()), Some(Refusal::Exhausted));
    let mut outcome = Err("reset");
    gave_up(&policy, &mut outcome, Refusal::Exhausted);
    assert!(matches!(outcome, Err("reset")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_the_headers_give_no_wait_above_the_cap(
        retry_after in prop::collection::vec(any::<u8>(), 0..30),
        pushback in prop::collection::vec(any::<u8>(), 0..30),
        status in prop::collection::vec(any::<u8>(), 0..5),
        code in 100..600_u16,
    ) {
        let verdict = judge(code, &[
            ("retry-after", &retry_after),
            ("grpc-retry-pushback-ms", &pushback),
            ("grpc-status", &status),
            ("content-type", b"application/grpc"),
        ]);
        if let Verdict::Retry(again) = verdict
            && let Some(after) = again.after
        {
            prop_assert!(after <= Duration::from_secs(10));
        }
    }

    #[test]
    fn any_number_of_digits_is_read_or_refused_as_a_number(digits in "[0-9]{1,40}") {
        let seconds: f64 = digits.parse().unwrap();
        let expected = if seconds <= 10.0 {
            after(seconds as u64 * 1_000)
        } else {
            RETRY.unwanted()
        };
        prop_assert_eq!(judge(503, &[("retry-after", digits.as_bytes())]), expected);
    }
}
