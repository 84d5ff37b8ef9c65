//! Rules of one's own about what was not processed, around those by status.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_retry_budget::{
    Policy, RetryLayer, RetryStats, Verdict,
    http::{BodyReplay, StatusPolicy},
};

mod support;

use support::{at_once, tokens};

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

struct Rules(StatusPolicy);

impl<B, B2> Policy<Request<B>, Response<B2>, Refused> for Rules {
    fn retryable(&self, request: &Request<B>) -> bool {
        Policy::<_, Response<B2>, Refused>::retryable(&self.0, request)
    }

    fn resendable(&self, _request: &Request<B>) -> bool {
        true
    }

    fn classify(&self, result: Result<&Response<B2>, &Refused>) -> Verdict {
        match result {
            Err(Refused) => Verdict::Unprocessed,
            result => Policy::<Request<B>, _, _>::classify(&self.0, result),
        }
    }
}

/// Sends a body of 100 bytes to a server that refuses once, after it has read the body.
async fn send(method: Method, limit: usize) -> (Option<u16>, Vec<usize>, RetryStats) {
    let layer = RetryLayer::builder(tokens(20))
        .backoff(at_once())
        .attempts(1)
        .resends(2)
        .policy(Rules(StatusPolicy::new()))
        .replay(BodyReplay::new(limit))
        .build()
        .unwrap();
    let read = Arc::<Mutex<Vec<usize>>>::default();
    let service = service_fn(|request: Request<_>| {
        let read = read.clone();
        async move {
            let body = BodyExt::collect(request.into_body()).await.unwrap();
            let mut read = read.lock().unwrap();
            read.push(body.to_bytes().len());
            match read.len() {
                1 => Err(Refused),
                _ => Ok(Response::new(())),
            }
        }
    });
    let request = Request::builder().method(method).uri("/");
    let request = request.body(Full::new(Bytes::from(vec![b'x'; 100])));
    let response = layer.layer(service).oneshot(request.unwrap()).await;
    let status = response.ok().map(|response| response.status().as_u16());
    let read = read.lock().unwrap().clone();
    (status, read, layer.stats())
}

#[tokio::test]
async fn every_method_is_sent_again_with_its_whole_body() {
    for method in [Method::GET, Method::PUT, Method::POST, Method::PATCH] {
        let (status, read, stats) = send(method, 100).await;
        assert_eq!((status, read), (Some(200), vec![100, 100]));
        assert_eq!((stats.resent, stats.retries), (1, 0));
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_not_sent_again() {
    for method in [Method::GET, Method::POST] {
        let (status, read, stats) = send(method, 99).await;
        assert_eq!((status, read), (None, vec![100]));
        assert_eq!((stats.resent, stats.not_replayable), (0, 1));
    }
}

#[test]
fn the_rules_by_status_alone_resend_nothing() {
    let post = Request::post("/").body(()).unwrap();
    let rules = StatusPolicy::new();
    assert!(!Policy::<_, Response<()>, Refused>::resendable(
        &rules, &post
    ));
    let verdict = Policy::<Request<()>, Response<()>, _>::classify(&rules, Err(&Refused));
    assert_eq!(verdict, Verdict::retry());
}
