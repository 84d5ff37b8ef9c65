//! Which requests may be sent twice.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_retry_budget::{
    Policy, RetryLayer, RetryStats,
    http::{BodyReplay, Gate, GrpcPolicy, KnownErrors, StatusPolicy},
};

mod support;

use support::{at_once, tokens};

const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::TRACE,
    Method::PUT,
    Method::DELETE,
    Method::POST,
    Method::PATCH,
    Method::CONNECT,
];

fn request(method: &Method, key: Option<&str>) -> Request<()> {
    let builder = Request::builder().method(method).uri("/search");
    match key {
        Some(key) => builder.header("idempotency-key", key),
        None => builder,
    }
    .body(())
    .unwrap()
}

fn allows<P>(policy: &P, request: &Request<()>) -> bool
where
    P: Policy<Request<()>, Response<()>, ()>,
{
    policy.retryable(request)
}

/// The methods that may be sent twice.
fn allowed<P>(policy: &P, key: Option<&str>) -> Vec<Method>
where
    P: Policy<Request<()>, Response<()>, ()>,
{
    let methods = METHODS.into_iter();
    methods
        .filter(|method| allows(policy, &request(method, key)))
        .collect()
}

#[test]
fn safe_methods_may_be_sent_twice_and_no_others() {
    assert_eq!(allowed(&StatusPolicy::default(), None), METHODS[..4]);
    let told = StatusPolicy::new().methods([Method::DELETE]);
    assert_eq!(allowed(&told, None), [Method::DELETE]);
}

#[test]
fn with_an_idempotency_key_every_method_may_unless_told_otherwise() {
    for key in ["\"8e03978e\"", "bare"] {
        assert_eq!(allowed(&StatusPolicy::new(), Some(key)), METHODS);
    }
    for empty in ["", " "] {
        assert_eq!(allowed(&StatusPolicy::new(), Some(empty)), METHODS[..4]);
    }
    let deaf = StatusPolicy::new().idempotency_key(false);
    assert_eq!(allowed(&deaf, Some("key")), METHODS[..4]);
}

#[test]
fn a_gate_lets_more_through_and_holds_nothing_back() {
    let by_path = |request: &Request<()>| {
        request.method() == Method::POST && request.uri().path() == "/search"
    };
    let policy = StatusPolicy::new().gate(by_path);
    let mut expected = METHODS[..4].to_vec();
    expected.push(Method::POST);
    assert_eq!(allowed(&policy, None), expected);
    // The settings that came before it are still there.
    let policy = StatusPolicy::new()
        .methods([])
        .idempotency_key(false)
        .gate(by_path);
    assert_eq!(allowed(&policy, Some("key")), [Method::POST]);
}

#[test]
fn a_grpc_call_may_be_sent_twice_only_if_told() {
    let policy = GrpcPolicy::new();
    assert!(allowed(&policy, None).is_empty());
    assert!(allows(&policy, &request(&Method::POST, Some("key"))));
    let deaf = GrpcPolicy::new().idempotency_key(false);
    assert!(!allows(&deaf, &request(&Method::POST, Some("key"))));
    let policy = deaf.gate(|call: &Request<()>| call.uri().path() == "/search");
    assert!(allows(&policy, &request(&Method::POST, None)));
    assert!(!allows(&policy, &Request::post("/other").body(()).unwrap()));
}

#[test]
fn a_gate_of_ones_own_is_a_type_too() {
    struct Reads;
    impl<B> Gate<B> for Reads {
        fn allows(&self, request: &Request<B>) -> bool {
            request.method().as_str() == "REPORT"
        }
    }
    let report = Method::from_bytes(b"REPORT").unwrap();
    let policy = StatusPolicy::new().gate(Reads);
    assert!(allows(&policy, &request(&report, None)));
}

/// Sends to a server that cannot be connected to at first, and then answers 200.
async fn send(method: Method, error: io::ErrorKind) -> (Result<StatusCode, String>, RetryStats) {
    let layer = RetryLayer::builder(tokens(20))
        .backoff(at_once())
        .resends(1)
        .policy(KnownErrors::new(StatusPolicy::new()))
        .replay(BodyReplay::default())
        .build()
        .unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|_: Request<_>| {
        let is_first = calls.fetch_add(1, Relaxed) == 0;
        async move {
            if is_first {
                return Err(BoxError::from(io::Error::other(io::Error::from(error))));
            }
            Ok(Response::new(()))
        }
    });
    let request = Request::builder().method(method).uri("/");
    let request = request.body(Full::new(Bytes::from("body"))).unwrap();
    let response = layer.layer(service).oneshot(request).await;
    let status = response.map(|response| response.status());
    (status.map_err(|error| error.to_string()), layer.stats())
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_a_connection_is_sent_again_whatever_its_method() {
    for method in [Method::GET, Method::POST, Method::PATCH] {
        let (status, stats) = send(method, io::ErrorKind::ConnectionRefused).await;
        assert_eq!(status, Ok(StatusCode::OK));
        assert_eq!((stats.resent, stats.retries), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_sent_again_only_if_it_may_be_sent_twice() {
    let (status, stats) = send(Method::GET, io::ErrorKind::ConnectionReset).await;
    assert_eq!(status, Ok(StatusCode::OK));
    assert_eq!((stats.resent, stats.retries), (0, 1));
    let (status, stats) = send(Method::POST, io::ErrorKind::ConnectionReset).await;
    assert!(status.is_err());
    assert_eq!((stats.resent, stats.not_retryable), (0, 1));
}
