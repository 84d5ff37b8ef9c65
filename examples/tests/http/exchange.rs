//! Bodies of both directions, over each pair of hops.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{
    front::{Hops, get},
    support::{
        body::{channel, empty, full, noise},
        client::{read, text},
        upstream::Upstream,
    },
};

through_all_hops!(
    a_get_carries_its_body,
    a_get_carries_a_body_of_unknown_length,
    an_echo_flows_both_ways_at_once,
    ten_mebibytes_pass_intact_both_ways,
    many_requests_share_a_connection,
    a_head_keeps_the_length_and_has_no_body,
    empty_answers_stay_empty,
    a_method_of_no_standard_passes,
    the_whole_server_is_asked_with_an_asterisk,
);

async fn a_get_carries_its_body(hops: Hops) {
    let upstream = echo().await;
    let (_front, mut client) = hops.through(&upstream).await;
    let request = Request::get("/").body(full("question")).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.headers()["x-method"], "GET");
    assert_eq!(text(response).await, "question");
}

async fn a_get_carries_a_body_of_unknown_length(hops: Hops) {
    let upstream = echo().await;
    let (_front, mut client) = hops.through(&upstream).await;
    let (pieces, body) = channel();
    // hyper itself sends none with GET unless it is told to.
    let chunked = Request::get("/").header(header::TRANSFER_ENCODING, "chunked");
    let asking = client.send(chunked.body(body).unwrap());
    let (response, ()) = tokio::join!(asking, async {
        pieces.send("quest").await;
        pieces.send("ion").await;
        drop(pieces);
    });
    assert_eq!(text(response.unwrap()).await, "question");
}

async fn an_echo_flows_both_ways_at_once(hops: Hops) {
    let upstream = echo().await;
    let (_front, mut client) = hops.through(&upstream).await;
    let (pieces, body) = channel();
    let response = client
        .send(Request::post("/").body(body).unwrap())
        .await
        .unwrap();
    let mut body = response.into_body();
    for round in 0..20 {
        let piece = noise(1 + round * 100);
        pieces.send(piece.clone()).await;
        assert_eq!(take(&mut body, piece.len()).await, piece, "round {round}");
    }
    drop(pieces);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

async fn ten_mebibytes_pass_intact_both_ways(hops: Hops) {
    let upstream = echo().await;
    let (_front, mut client) = hops.through(&upstream).await;
    let sent = noise(10 << 20);
    let request = Request::post("/").body(full(sent.clone())).unwrap();
    let response = client.send(request).await.unwrap();
    let received = read(response).await.to_bytes();
    assert!(
        received == sent,
        "{} bytes of {} came back",
        received.len(),
        sent.len()
    );
}

async fn many_requests_share_a_connection(hops: Hops) {
    let upstream = echo().await;
    let (front, mut client) = hops.through(&upstream).await;
    for number in 0..50 {
        let number = number.to_string();
        let request = Request::post("/").body(full(number.clone())).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(text(response).await, number);
    }
    assert_eq!(front.endpoint().requests, 50);
    assert_eq!(front.endpoint().failures, 0);
    assert_eq!(front.endpoint().connection.dials, 1);
}

async fn a_head_keeps_the_length_and_has_no_body(hops: Hops) {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let body = if request.method() == Method::HEAD {
            empty()
        } else {
            full("after")
        };
        let length = if request.method() == Method::HEAD {
            "1234"
        } else {
            "5"
        };
        Response::builder()
            .header(header::CONTENT_LENGTH, length)
            .body(body)
            .unwrap()
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    for _ in 0..3 {
        let response = client
            .send(Request::head("/").body(empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "1234");
        assert_eq!(read(response).await.to_bytes().len(), 0);
        let response = client.send(get("/")).await.unwrap();
        assert_eq!(text(response).await, "after");
    }
}

async fn empty_answers_stay_empty(hops: Hops) {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Response::builder()
            .status(status)
            .header(header::ETAG, "\"e\"")
            .body(empty())
            .unwrap()
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    for status in [204, 304, 200, 204, 404, 500] {
        let response = client.send(get(&format!("/{status}"))).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::ETAG], "\"e\"");
        if status == 204 {
            assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        }
        assert!(!response.headers().contains_key(header::TRANSFER_ENCODING));
        assert!(!response.headers().contains_key("proxy-status"));
        assert_eq!(read(response).await.to_bytes().len(), 0);
    }
}

async fn a_method_of_no_standard_passes(hops: Hops) {
    let upstream = echo().await;
    let (_front, mut client) = hops.through(&upstream).await;
    let request = Request::builder()
        .method("BREW")
        .uri("/")
        .body(full("pot"))
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.headers()["x-method"], "BREW");
    assert_eq!(text(response).await, "pot");
}

async fn the_whole_server_is_asked_with_an_asterisk(hops: Hops) {
    let upstream = echo().await;
    let (front, mut client) = hops.through(&upstream).await;
    if hops.client == http::Version::HTTP_2 {
        // hyper's client cannot name `*` in HTTP/2.
        client = front.client(http::Version::HTTP_11).await;
    }
    let request = Request::options("*").body(empty()).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.headers()["x-path"], "*");
}

/// Answers at once, with the request's own body, as it comes.
async fn echo() -> Upstream {
    Upstream::start(|request: Request<Incoming>| async move {
        Response::builder()
            .header("x-method", request.method().as_str())
            .header("x-path", request.uri().path())
            .body(request.into_body())
            .unwrap()
    })
    .await
}

/// Reads frames until there are `length` bytes, and no more.
async fn take(body: &mut Incoming, length: usize) -> Bytes {
    let mut taken = Vec::new();
    while taken.len() < length {
        let frame = body.frame().await.expect("more is to come").unwrap();
        taken.extend_from_slice(&frame.into_data().unwrap());
    }
    taken.into()
}
