//! Trailers of requests and of responses.
//!
//! HTTP/1.1 passes them on only where they are announced (`trailer`) and asked for (`te`).

use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    front::{Hops, get},
    support::{
        body::{channel, empty, with_trailers},
        client::read,
        upstream::Upstream,
    },
};

through_all_hops!(
    trailers_of_a_response_pass,
    trailers_of_a_request_pass,
    trailers_come_after_a_body_that_flows,
);

async fn trailers_of_a_response_pass(hops: Hops) {
    let upstream = Upstream::start(move |request: Request<Incoming>| async move {
        assert_eq!(request.headers()[header::TE], "trailers");
        let mut response = Response::new(with_trailers("body", checksum()));
        announce(hops, response.headers_mut());
        response
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = get("/");
    request
        .headers_mut()
        .insert(header::TE, HeaderValue::from_static("trailers"));
    let body = read(client.send(request).await.unwrap()).await;
    assert_eq!(body.trailers(), Some(&checksum()));
    assert_eq!(body.to_bytes(), "body");
}

async fn trailers_of_a_request_pass(hops: Hops) {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), Some(&checksum()));
        Response::new(with_trailers(body.to_bytes(), HeaderMap::new()))
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = Request::post("/")
        .body(with_trailers("body", checksum()))
        .unwrap();
    announce(hops, request.headers_mut());
    assert_eq!(
        read(client.send(request).await.unwrap()).await.to_bytes(),
        "body"
    );
}

async fn trailers_come_after_a_body_that_flows(hops: Hops) {
    let upstream = Upstream::start(move |request: Request<Incoming>| async move {
        let mut response = Response::new(request.into_body());
        announce(hops, response.headers_mut());
        response
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let (pieces, body) = channel();
    let mut request = Request::post("/")
        .header(header::TE, "trailers")
        .body(body)
        .unwrap();
    announce(hops, request.headers_mut());
    let mut echo = client.send(request).await.unwrap().into_body();
    pieces.send("one").await;
    assert_eq!(
        echo.frame().await.unwrap().unwrap().into_data().unwrap(),
        "one"
    );
    pieces.trailers(checksum()).await;
    drop(pieces);
    let trailers = echo
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers, checksum());
    assert!(echo.frame().await.is_none());
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_trailers_gets_a_whole_body_without() {
    let upstream = Upstream::start(|_| async {
        let mut response = Response::new(with_trailers("body", checksum()));
        announce(Hops::ALL[0], response.headers_mut());
        response
    })
    .await;
    let (_front, mut client) = Hops::ALL[1].through(&upstream).await;
    let body = read(
        client
            .send(Request::get("/").body(empty()).unwrap())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(body.trailers(), None);
    assert_eq!(body.to_bytes(), "body");
}

/// HTTP/2 needs no announcement, and between two HTTP/2 hops there is none.
fn announce(hops: Hops, headers: &mut HeaderMap) {
    if hops.touch_http1() {
        headers.insert(header::TRAILER, HeaderValue::from_static("x-checksum"));
    }
}

fn checksum() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("x-checksum"),
        HeaderValue::from_static("abc"),
    )])
}
