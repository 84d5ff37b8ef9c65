//! What the rules make of the codes of gRPC.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use tower_retry_budget::{
    Kind, Policy, Verdict,
    http::{GrpcCode, GrpcPolicy, StatusPolicy},
};

const RETRY: Verdict = Verdict::retry();

fn after(millis: u64) -> Verdict {
    RETRY.after(Duration::from_millis(millis))
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        response.headers_mut().append(*name, value);
    }
    response
}

/// A trailers-only answer with this code.
fn code(text: &str) -> Response<()> {
    let content_type = ("content-type", "application/grpc+proto");
    answer(200, &[content_type, ("grpc-status", text)])
}

fn judge<P>(policy: &P, response: &Response<()>) -> Verdict
where
    P: Policy<Request<()>, Response<()>, ()>,
{
    policy.classify(Ok(response))
}

/// That both make the same of an answer.
fn judge_by_both(response: &Response<()>) -> Verdict {
    let verdict = judge(&GrpcPolicy::new(), response);
    assert_eq!(judge(&StatusPolicy::new(), response), verdict);
    verdict
}

#[test]
fn a_code_in_the_headers_has_its_verdict() {
    for number in 0..=17 {
        let expected = match number {
            14 => RETRY,
            4 => RETRY.kind(Kind::Timeout).unwanted(),
            8 => RETRY.kind(Kind::Throttled).unwanted(),
            0 | 3 | 5 | 6 | 7 | 9 | 11 | 16 => Verdict::Success,
            _ => Verdict::Failure,
        };
        let answer = code(&number.to_string());
        assert_eq!(judge_by_both(&answer), expected, "{number}");
    }
    for unreadable in ["", "x", "014", "14 14", "-14", "140"] {
        let verdict = judge_by_both(&code(unreadable));
        assert_eq!(verdict, Verdict::Failure, "{unreadable}");
    }
}

#[test]
fn the_codes_can_be_set_and_keep_their_kinds() {
    let codes = [
        GrpcCode::RESOURCE_EXHAUSTED,
        GrpcCode::DEADLINE_EXCEEDED,
        GrpcCode::ABORTED,
    ];
    let policy = GrpcPolicy::new().codes(codes);
    let by_status = StatusPolicy::new().grpc_codes(codes);
    for (text, expected) in [
        ("8", RETRY.kind(Kind::Throttled)),
        ("4", RETRY.kind(Kind::Timeout)),
        ("10", RETRY),
        ("14", RETRY.unwanted()),
        ("13", Verdict::Failure),
        ("0", Verdict::Success),
    ] {
        assert_eq!(judge(&policy, &code(text)), expected, "{text}");
        assert_eq!(judge(&by_status, &code(text)), expected, "{text}");
    }
}

#[test]
fn only_a_grpc_answer_has_a_grpc_status() {
    for (content_type, is_grpc) in [
        ("application/grpc", true),
        ("application/grpc+json", true),
        ("application/grpc;charset=x", true),
        ("application/grpc ; charset=x", true),
        ("Application/GRPC", true),
        ("application/gRPC+proto", true),
        ("application/grp", false),
        ("", false),
        ("Application/GRPC-Web", false),
        ("application/grpc-web", false),
        ("application/json", false),
        ("text/html", false),
    ] {
        let answer = answer(
            200,
            &[("content-type", content_type), ("grpc-status", "14")],
        );
        let expected = if is_grpc { RETRY } else { Verdict::Success };
        assert_eq!(judge_by_both(&answer), expected, "{content_type}");
    }
    let answer = answer(200, &[("grpc-status", "14")]);
    assert_eq!(judge_by_both(&answer), Verdict::Success);
}

#[test]
fn pushback_is_kept_and_a_bad_one_means_no_retry() {
    let judge = |pushback: &str| {
        let mut answer = code("14");
        let value = HeaderValue::from_bytes(pushback.as_bytes()).unwrap();
        answer.headers_mut().insert("grpc-retry-pushback-ms", value);
        judge_by_both(&answer)
    };
    assert_eq!(judge("1003"), after(1_003));
    assert_eq!(judge("0"), after(0));
    for pushback in ["-1", "", "x", "1e3", "10001", "\u{ff}"] {
        assert_eq!(judge(pushback), RETRY.unwanted(), "{pushback:?}");
    }
    let mut answer = code("14");
    let long = HeaderValue::from_static("10001");
    answer.headers_mut().insert("grpc-retry-pushback-ms", long);
    let patient = GrpcPolicy::new().max_after(Duration::from_secs(20));
    assert_eq!(self::judge(&patient, &answer), after(10_001));
}

#[test]
fn an_answer_by_something_else_than_a_grpc_server_is_judged_by_its_status() {
    let policy = GrpcPolicy::new();
    for status in 200..600 {
        let expected = match status {
            200 => Verdict::Success,
            429 => RETRY.kind(Kind::Throttled),
            502 | 503 => RETRY,
            504 => RETRY.kind(Kind::Timeout),
            _ => Verdict::Failure,
        };
        assert_eq!(judge(&policy, &answer(status, &[])), expected, "{status}");
    }
    let busy = answer(503, &[("retry-after", "2")]);
    assert_eq!(judge(&policy, &busy), after(2_000));
    let without = policy.codes([]);
    assert_eq!(judge(&without, &busy), RETRY.unwanted());
}

#[test]
fn an_error_is_retried() {
    let verdict = Policy::<Request<()>, Response<()>, _>::classify(&GrpcPolicy::new(), Err(&()));
    assert_eq!(verdict, RETRY);
}

#[test]
fn each_code_has_a_number_and_a_name() {
    for number in 0..17 {
        let code = GrpcCode::from_number(number).unwrap();
        assert_eq!(code.number(), number);
        assert_eq!(GrpcCode::from_name(code.name()), Some(code));
        assert_eq!(code.to_string(), code.name());
    }
    assert_eq!(GrpcCode::from_number(17), None);
    assert_eq!(GrpcCode::from_name("unavailable"), None);
    // As in the list of gRPC: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
    let codes = [
        (GrpcCode::OK, "OK"),
        (GrpcCode::CANCELLED, "CANCELLED"),
        (GrpcCode::UNKNOWN, "UNKNOWN"),
        (GrpcCode::INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (GrpcCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
        (GrpcCode::NOT_FOUND, "NOT_FOUND"),
        (GrpcCode::ALREADY_EXISTS, "ALREADY_EXISTS"),
        (GrpcCode::PERMISSION_DENIED, "PERMISSION_DENIED"),
        (GrpcCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"),
        (GrpcCode::FAILED_PRECONDITION, "FAILED_PRECONDITION"),
        (GrpcCode::ABORTED, "ABORTED"),
        (GrpcCode::OUT_OF_RANGE, "OUT_OF_RANGE"),
        (GrpcCode::UNIMPLEMENTED, "UNIMPLEMENTED"),
        (GrpcCode::INTERNAL, "INTERNAL"),
        (GrpcCode::UNAVAILABLE, "UNAVAILABLE"),
        (GrpcCode::DATA_LOSS, "DATA_LOSS"),
        (GrpcCode::UNAUTHENTICATED, "UNAUTHENTICATED"),
    ];
    for (number, (code, name)) in (0..).zip(codes) {
        assert_eq!((code.name(), code.number()), (name, number));
    }
}
