//! Headers that tell which attempt it is.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use http::{HeaderName, HeaderValue, Request};
use tower_retry_budget::{
    Kind, Next, Prepare,
    http::{AttemptHeader, GrpcPreviousAttempts},
};

/// What the request has under that name, if it had "9" before.
fn prepared(hook: &impl Prepare<Request<()>>, next: Next, name: &str) -> Vec<String> {
    let request = Request::get("/").header(name, "9").header(name, "9");
    let mut request = request.body(()).unwrap();
    hook.prepare(&mut request, next);
    let values = request.headers().get_all(name).into_iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_number_of_the_attempt_replaces_what_the_caller_sent() {
    let hook = AttemptHeader::default();
    for attempt in [2, 3, 100] {
        let next = Next::retry(attempt, Kind::Transient);
        let seen = prepared(&hook, next, "x-retry-attempt");
        assert_eq!(seen, [attempt.to_string()]);
    }
    let hook = AttemptHeader::new(HeaderName::from_static("x-try"));
    let next = Next::retry(2, Kind::Timeout);
    assert_eq!(prepared(&hook, next, "x-try"), ["2"]);
}

#[test]
fn grpc_is_told_the_number_of_retries_before() {
    let next = Next::retry(3, Kind::Throttled);
    let name = "grpc-previous-rpc-attempts";
    assert_eq!(prepared(&GrpcPreviousAttempts, next, name), ["2"]);
}

#[test]
fn the_attempts_of_a_caller_that_retries_too_are_counted() {
    for (theirs, told) in [
        ("1", "3"),
        ("0", "2"),
        ("4294967295", "4294967295"),
        ("4294967296", "2"),
        ("-1", "2"),
        ("often", "2"),
        ("", "2"),
    ] {
        let request = Request::get("/").header("grpc-previous-rpc-attempts", theirs);
        let mut request = request.body(()).unwrap();
        let next = Next::retry(3, Kind::Transient);
        GrpcPreviousAttempts.prepare(&mut request, next);
        let values = request.headers().get_all("grpc-previous-rpc-attempts");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), [told], "{theirs}");
    }
}

#[test]
fn a_first_attempt_that_was_not_processed_is_still_the_first() {
    let next = Next::resend(1);
    let name = "grpc-previous-rpc-attempts";
    assert_eq!(prepared(&GrpcPreviousAttempts, next, name), ["9", "9"]);
    let hook = AttemptHeader::default();
    assert_eq!(prepared(&hook, next, "x-retry-attempt"), ["9", "9"]);
}

#[test]
fn a_caller_with_as_many_headers_as_can_be_does_no_harm() {
    let mut request = Request::new(());
    let name = |number: u32| HeaderName::try_from(format!("x-{number}")).unwrap();
    let headers = request.headers_mut();
    let sent = (0..)
        .take_while(|&number| {
            headers
                .try_insert(name(number), HeaderValue::from_static("1"))
                .is_ok()
        })
        .count();
    let next = Next::retry(2, Kind::Transient);
    AttemptHeader::default().prepare(&mut request, next);
    GrpcPreviousAttempts.prepare(&mut request, next);
    assert_eq!(request.headers().len(), sent);
}
