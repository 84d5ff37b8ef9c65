//! Second attempts of requests with bodies.
#![cfg(feature = "http")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, channel::Channel};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_retry_budget::{
    Budget,
    hedge::{HedgeLayer, HedgeStats},
    http::{BodyMemory, BodyReplay, ReplayBody, StatusPolicy},
};

const MS: Duration = Duration::from_millis(1);

/// A body of two parts with this time between them.
fn upload(pause: Duration) -> Channel<Bytes, Infallible> {
    let (mut caller, body) = Channel::new(2);
    tokio::spawn(async move {
        for part in ["one ", "body"] {
            // Fails where nobody reads any more.
            let _ = caller.send_data(Bytes::from_static(part.as_bytes())).await;
            sleep(pause).await;
        }
    });
    body
}

/// What the last of 200 `PUT`s is answered with: the number of the attempt that answers, and what
/// that has read. Each attempt takes 10 ms from the end of its body, and the first one of the last
/// request 200 ms.
async fn answered(pause: Duration) -> ((usize, Bytes), HedgeStats) {
    let policy = StatusPolicy::new().methods([Method::PUT]);
    let layer = HedgeLayer::builder(Budget::new(), policy).replay(BodyReplay::default());
    let layer = layer.build().expect("valid");
    let calls = Arc::new(AtomicUsize::new(0));
    let mut service = layer.layer(service_fn(move |request: Request<ReplayBody<_>>| {
        let call = calls.fetch_add(1, Relaxed) + 1;
        async move {
            let body: ReplayBody<Channel<_, _>> = request.into_body();
            let body = body.collect().await.expect("sent").to_bytes();
            sleep(if call == 200 { 200 * MS } else { 10 * MS }).await;
            Ok::<_, Infallible>(Response::new((call, body)))
        }
    }));
    let mut last = None;
    for number in 1..=200 {
        let pause = if number == 200 { pause } else { Duration::ZERO };
        let request = Request::put("/").body(upload(pause)).expect("valid");
        let answer = service.ready().await.expect("ready").call(request).await;
        last = Some(answer.expect("answered").into_body());
    }
    (last.expect("sent"), layer.stats())
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_has_all_of_the_body() {
    let (answer, stats) = answered(Duration::ZERO).await;
    assert_eq!(answer, (201, Bytes::from_static(b"one body")));
    assert_eq!((stats.hedged, stats.won_second), (1, 1));
}

/// It is its caller that is slow.
#[tokio::test(start_paused = true)]
async fn what_is_still_being_sent_is_not_hedged() {
    let (answer, stats) = answered(50 * MS).await;
    assert_eq!(answer, (200, Bytes::from_static(b"one body")));
    assert_eq!((stats.hedged, stats.not_replayable), (0, 1));
}

/// A service that reads what there is of each body and then hangs, for a `PUT` of which a frame is
/// there and no end.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_hedged_any_more_is_kept_for_nothing() {
    let memory = BodyMemory::new(1_000);
    let policy = StatusPolicy::new().methods([Method::PUT]);
    let layer = HedgeLayer::builder(Budget::new(), policy).min_samples(1);
    let layer = layer.replay(BodyReplay::default().memory(memory.clone()));
    let layer = layer.build().expect("valid");
    let mut service = layer.layer(service_fn(|request: Request<ReplayBody<_>>| async {
        let mut body: ReplayBody<Channel<Bytes, Infallible>> = request.into_body();
        while body.frame().await.is_some() {}
        sleep(10 * MS).await;
        Ok::<_, Infallible>(Response::new(()))
    }));
    for _ in 0..200 {
        let request = Request::put("/")
            .body(upload(Duration::ZERO))
            .expect("valid");
        service
            .ready()
            .await
            .expect("ready")
            .call(request)
            .await
            .expect("answered");
        tokio::time::advance(Duration::from_micros(50_003)).await;
    }
    let request = Request::put("/").body(upload(1_000 * MS)).expect("valid");
    let answer = service.ready().await.expect("ready").call(request);
    let mut answer = std::pin::pin!(answer);
    assert!(timeout(MS, answer.as_mut()).await.is_err());
    assert_eq!(memory.used(), 64, "it may be hedged");
    assert!(timeout(200 * MS, answer.as_mut()).await.is_err());
    assert_eq!(layer.stats().not_replayable, 1);
    assert_eq!(memory.used(), 0);
}
