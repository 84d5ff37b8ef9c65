//! The retries of linkerd2-proxy, as far as bodies and trailers are concerned.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, channel::Channel};
use tokio::time::Instant;
use tower::{BoxError, Layer, ServiceExt, load_shed::error::Overloaded, service_fn};
use tower_retry_budget::{
    RetryLayer,
    http::{BodyReplay, PeekTrailersLayer, ReplayBody, StatusPolicy},
};

use crate::support::{at_once, tokens};

fn layer() -> RetryLayer<StatusPolicy, BodyReplay> {
    let policy = StatusPolicy::new().methods([Method::GET, Method::PUT]);
    let builder = RetryLayer::builder(tokens(20)).policy(policy);
    let builder = builder.backoff(at_once()).replay(BodyReplay::default());
    builder.build().unwrap()
}

/// What came with each attempt.
type Bodies<B> = Arc<Mutex<Vec<ReplayBody<B>>>>;

/// Sends a body to a server that does not read it, and answers its first attempt with 503.
async fn unread<B>(body: B) -> Vec<ReplayBody<B>>
where
    B: http_body::Body<Data = Bytes>,
{
    let bodies = Bodies::default();
    let service = service_fn(|request: Request<_>| {
        let mut bodies = bodies.lock().unwrap();
        bodies.push(request.into_body());
        let status = if bodies.len() == 1 { 503 } else { 200 };
        std::future::ready(Response::builder().status(status).body(()))
    });
    let request = Request::put("/").body(body).unwrap();
    let response = layer().layer(service).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 2);
    std::mem::take(&mut *bodies)
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_is_retried() {
    let (mut client, body) = Channel::<Bytes>::new(8);
    client.send_data("ab".into()).await.unwrap();
    let [_old, new] = <[_; 2]>::try_from(unread(body).await).ok().unwrap();
    client.send_data("cd".into()).await.unwrap();
    drop(client);
    assert_eq!(new.collect().await.unwrap().to_bytes(), "abcd");
}

/// linkerd2 #15649.
#[tokio::test(start_paused = true)]
async fn the_first_frame_of_a_body_that_was_never_read_comes_once() {
    let body = Full::new(Bytes::from_static(b"once"));
    let [old, new] = <[_; 2]>::try_from(unread(body).await).ok().unwrap();
    drop(old);
    assert_eq!(new.collect().await.unwrap().to_bytes(), "once");
}

#[tokio::test(start_paused = true)]
async fn two_attempts_that_read_at_once_do_not_panic() {
    let (mut client, body) = Channel::<Bytes>::new(8);
    let [old, new] = <[_; 2]>::try_from(unread(body).await).ok().unwrap();
    let old = tokio::spawn(old.collect());
    let new = tokio::spawn(new.collect());
    for chunk in ["ab", "cd"] {
        client.send_data(chunk.into()).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(client);
    assert_eq!(new.await.unwrap().unwrap().to_bytes(), "abcd");
    old.abort();
    assert!(!old.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn looking_for_trailers_delays_no_headers() {
    let (mut server, body) = Channel::<Bytes>::new(8);
    server.send_data("first".into()).await.unwrap();
    let mut body = Some(body);
    let service = service_fn(move |()| {
        let response = Response::builder().header("content-type", "application/grpc");
        std::future::ready(response.body(body.take().unwrap()))
    });
    let begun = Instant::now();
    let answer = PeekTrailersLayer::new().layer(service).oneshot(());
    let answer = tokio::time::timeout(Duration::from_millis(1), answer).await;
    let mut body = answer.unwrap().unwrap().into_body();
    assert_eq!(Instant::now(), begun);
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
}

/// There, what was shed below and what is an error of the connection is not retried.
#[tokio::test(start_paused = true)]
async fn what_was_shed_and_what_broke_is_retried() {
    let errors: [fn() -> BoxError; 2] = [
        || Overloaded::new().into(),
        || io::Error::from(io::ErrorKind::ConnectionReset).into(),
    ];
    for error in errors {
        let first = Mutex::new(Some(error()));
        let service = service_fn(|_: Request<ReplayBody<Full<Bytes>>>| {
            let error = first.lock().unwrap().take();
            std::future::ready(error.map_or_else(|| Ok(Response::new(())), Err))
        });
        let request = Request::get("/").body(Full::default()).unwrap();
        let response = layer().layer(service).oneshot(request).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}
