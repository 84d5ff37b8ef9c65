//! The ready-made rules for HTTP and gRPC.
#![cfg(feature = "http")]

use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode};
use proptest::prelude::*;
use tower_retry_budget::{Policy, Verdict, http::StatusPolicy};

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

fn retryable(policy: &StatusPolicy, request: &Request<()>) -> bool {
    Policy::<Request<()>, Response<()>, ()>::retryable(policy, request)
}

#[test]
fn idempotent_methods_are_retryable() {
    let policy = StatusPolicy::default();
    for (method, expected) in [
        (Method::GET, true),
        (Method::HEAD, true),
        (Method::OPTIONS, true),
        (Method::PUT, true),
        (Method::DELETE, true),
        (Method::TRACE, true),
        (Method::POST, false),
        (Method::PATCH, false),
        (Method::CONNECT, false),
    ] {
        let request = Request::builder().method(&method).body(()).unwrap();
        assert_eq!(retryable(&policy, &request), expected, "{method}");
    }
}

#[test]
fn a_grpc_call_is_retryable_only_if_post_is() {
    let call =
        Request::post("/package.Service/Method").header("content-type", "application/grpc+proto");
    let call = call.body(()).unwrap();
    assert!(!retryable(&StatusPolicy::new(), &call));
    assert!(retryable(
        &StatusPolicy::new().methods([Method::POST]),
        &call
    ));
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
            502..=504 => RETRY,
            429 | 500.. => Verdict::Failure,
            _ => Verdict::Success,
        };
        assert_eq!(judge(status, &[]), expected, "{status}");
    }
    let policy = StatusPolicy::new().statuses([StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!(judge_by(&policy, 429, &[]), RETRY);
    assert_eq!(judge_by(&policy, 503, &[]), Verdict::Failure);
}

#[test]
fn a_grpc_status_in_the_headers_has_its_verdict() {
    for code in 0..=17 {
        let expected = match code {
            14 => RETRY,
            0 | 3 | 5 | 6 | 7 | 9 | 11 | 16 => Verdict::Success,
            _ => Verdict::Failure,
        };
        let text = code.to_string();
        assert_eq!(
            judge(200, &[("grpc-status", text.as_bytes())]),
            expected,
            "{code}"
        );
    }
    for unreadable in ["", "x", "014", "14 14", "-14"] {
        let verdict = judge(200, &[("grpc-status", unreadable.as_bytes())]);
        assert_eq!(verdict, Verdict::Failure, "{unreadable}");
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
}

#[test]
fn a_wait_that_is_too_long_or_a_date_means_no_retry() {
    for value in [
        "11",
        "99999999999999999999999",
        "55340232221128654850",
        "Fri, 31 Dec 1999 23:59:59 GMT",
        "soon",
        "-1",
        "+1",
        "1.5",
        "",
    ] {
        let verdict = judge(503, &[("retry-after", value.as_bytes())]);
        assert_eq!(verdict, Verdict::Failure, "{value}");
    }
    let patient = StatusPolicy::new().max_after(Duration::from_secs(60));
    assert_eq!(
        judge_by(&patient, 503, &[("retry-after", b"60")]),
        after(60_000)
    );
}

#[test]
fn grpc_pushback_is_kept_and_a_bad_one_means_no_retry() {
    let judge = |pushback: &[u8]| {
        judge(
            200,
            &[("grpc-status", b"14"), ("grpc-retry-pushback-ms", pushback)],
        )
    };
    assert_eq!(judge(b"1003"), after(1_003));
    assert_eq!(judge(b"0"), after(0));
    for pushback in [&b"-1"[..], b"", b"x", b"1e3", b"10001", b"\xff"] {
        assert_eq!(judge(pushback), Verdict::Failure, "{pushback:?}");
    }
}

#[test]
fn a_wait_changes_nothing_for_an_answer_that_is_final() {
    assert_eq!(judge(200, &[("retry-after", b"1")]), Verdict::Success);
    assert_eq!(judge(500, &[("retry-after", b"1")]), Verdict::Failure);
    assert_eq!(judge(301, &[("retry-after", b"soon")]), Verdict::Success);
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
            Verdict::Failure
        };
        prop_assert_eq!(judge(503, &[("retry-after", digits.as_bytes())]), expected);
    }
}
