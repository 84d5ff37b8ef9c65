//! Trailers of short answers, as they come over HTTP/2.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tower::{Layer, ServiceExt, service_fn};
use tower_retry_budget::http::{PeekTrailersLayer, Peeked, PeekedTrailers};

use crate::support::{
    body::{TestBody, channel, empty, with_trailers},
    client::Client,
    upstream::Upstream,
};

fn failure() -> HeaderMap {
    HeaderMap::from_iter([(
        "grpc-status".parse().unwrap(),
        HeaderValue::from_static("14"),
    )])
}

fn grpc(body: TestBody) -> Response<TestBody> {
    let builder = Response::builder().header("content-type", "application/grpc");
    builder.body(body).unwrap()
}

async fn call(client: &mut Client<TestBody>) -> Response<Peeked<Incoming>> {
    let call = Request::post("/package.Service/Method").body(empty());
    let mut sent = Some(client.send(call.unwrap()));
    let client = service_fn(move |()| sent.take().unwrap());
    let service = PeekTrailersLayer::new().layer(client);
    service.oneshot(()).await.unwrap()
}

#[tokio::test]
async fn what_the_server_writes_at_once_is_seen() {
    let upstream =
        Upstream::start(async |_| grpc(with_trailers(Bytes::from("message"), failure()))).await;
    let mut client = Client::connect(upstream.address, Version::HTTP_2).await;
    for _ in 0..100 {
        let answer = call(&mut client).await;
        let seen = answer.extensions().get::<PeekedTrailers>();
        assert_eq!(seen.unwrap().fields(), &failure());
        let body = answer.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&failure()));
        assert_eq!(body.to_bytes(), "message");
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_is_passed_on_before_it_has_sent_anything() {
    let (pieces, body) = channel();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let upstream = Upstream::start(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { grpc(body) }
    })
    .await;
    let mut client = Client::connect(upstream.address, Version::HTTP_2).await;
    let answer = call(&mut client).await;
    assert!(answer.extensions().get::<PeekedTrailers>().is_none());
    pieces.send("message").await;
    pieces.trailers(failure()).await;
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&failure()));
}
