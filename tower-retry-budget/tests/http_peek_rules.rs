//! What the rules and the retries make of trailers that were peeked.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tower::{Layer, ServiceExt, service_fn};
use tower_retry_budget::{
    Kind, Policy, RetryLayer, Verdict,
    http::{BodyReplay, GrpcCode, GrpcPolicy, PeekTrailersLayer},
};

#[path = "support/script.rs"]
mod script;
mod support;

use script::{
    Script,
    Step::{Data, Trailers},
    UNAVAILABLE, grpc,
};
use support::{at_once, tokens};

#[tokio::test(start_paused = true)]
async fn the_rules_judge_by_the_trailers_that_were_peeked() {
    for (status, expected) in [
        ("14", Verdict::retry().after(Duration::from_millis(7))),
        ("8", Verdict::retry().kind(Kind::Throttled).unwanted()),
        ("13", Verdict::Failure),
        ("5", Verdict::Success),
    ] {
        let fields = vec![("grpc-status", status), ("grpc-retry-pushback-ms", "7")];
        let body = Script::new([Data(5), Trailers(Box::leak(fields.into_boxed_slice()))]);
        let mut answer = Some(grpc(body));
        let server = service_fn(move |()| {
            let answer = answer.take().expect("one call");
            async { Ok::<_, Infallible>(answer) }
        });
        let service = PeekTrailersLayer::new().layer(server);
        let response = service.oneshot(()).await.unwrap();
        let policy = GrpcPolicy::new();
        let verdict = Policy::<Request<()>, _, ()>::classify(&policy, Ok(&response));
        assert_eq!(verdict, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_in_its_trailers_is_sent_again() {
    let policy = GrpcPolicy::new()
        .codes([GrpcCode::UNAVAILABLE])
        .gate(|_: &Request<Empty<Bytes>>| true);
    let retry = RetryLayer::builder(tokens(20))
        .backoff(at_once())
        .policy(policy)
        .replay(BodyReplay::default())
        .build()
        .unwrap();
    let calls = AtomicUsize::new(0);
    let server = service_fn(|_: Request<_>| {
        let last = match calls.fetch_add(1, Relaxed) {
            0 => UNAVAILABLE,
            _ => Trailers(&[("grpc-status", "0")]),
        };
        async { Ok::<_, Infallible>(grpc(Script::new([Data(5), last]))) }
    });
    let service = retry.layer(PeekTrailersLayer::new().layer(server));
    let call = Request::post("/").body(Empty::<Bytes>::new()).unwrap();
    let response = service.oneshot(call).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(retry.stats().recovered, 1);
}
