//! Connections to an endpoint that become tunnels, seen by the endpoint's service itself.

use std::time::Duration;

use bytes::Bytes;
use examples::{
    config::{ClusterProtocol, ReconnectConfig},
    endpoint::NoFreeConnection,
};
use futures::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::{
    endpoint::{body, plain, service},
    front::bounded,
    raw::{RawUpstream, head},
};

#[tokio::test]
async fn a_protocol_that_was_asked_for_is_passed_on() {
    let upstream = echoing();
    let service = service(upstream.address, ClusterProtocol::Http1, connections(2));
    let mut response = bounded(service.oneshot(upgrade())).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "echo");
    assert_eq!(response.headers()["connection"], "upgrade");
    assert!(!response.headers().contains_key("keep-alive"));
    assert!(!response.body().is_end_stream());
    assert!(response.body_mut().frame().now_or_never().is_none());
    let tunnel = bounded(hyper::upgrade::on(&mut response)).await.unwrap();
    let mut tunnel = TokioIo::new(tunnel);
    let mut early = [0; 5];
    bounded(tunnel.read_exact(&mut early)).await.unwrap();
    assert_eq!(&early, b"first", "bytes that came with the answer");
    tunnel.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    bounded(tunnel.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"hello");
    assert!(response.body_mut().frame().now_or_never().is_none());
}

#[tokio::test]
async fn a_tunnel_keeps_its_place_in_the_pool_until_its_body_is_dropped() {
    let upstream = echoing();
    let service = service(upstream.address, ClusterProtocol::Http1, connections(1));
    let mut response = bounded(service.clone().oneshot(upgrade())).await.unwrap();
    let tunnel = bounded(hyper::upgrade::on(&mut response)).await.unwrap();
    // Long enough for whoever drives the connection to see that it is none any more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let refused = bounded(service.clone().oneshot(plain())).await.unwrap_err();
    assert!(refused.is::<NoFreeConnection>(), "{refused}");
    assert_eq!(upstream.connections(), 1);
    drop((response, tunnel));
    let response = bounded(service.oneshot(plain())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer_like_others() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        while head(&mut stream).await.is_some() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno";
            stream.write_all(answer).await.unwrap();
        }
    });
    let service = service(upstream.address, ClusterProtocol::Http1, connections(1));
    for _ in 0..3 {
        let response = bounded(service.clone().oneshot(upgrade())).await.unwrap();
        assert_eq!(body(response).await, "no");
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_an_error() {
    let upstream = RawUpstream::answering(SWITCHING);
    let service = service(upstream.address, ClusterProtocol::Http1, connections(1));
    let error = bounded(service.oneshot(plain())).await.unwrap_err();
    assert!(error.to_string().contains("nobody asked for"), "{error}");
}

#[tokio::test]
async fn over_http2_the_request_goes_without_its_upgrade() {
    let upstream = crate::support::upstream::Upstream::start(
        |request: Request<hyper::body::Incoming>| async move {
            let kept = ["connection", "upgrade"].map(|name| request.headers().contains_key(name));
            Response::new(format!("{kept:?}"))
        },
    )
    .await;
    let service = service(upstream.address, ClusterProtocol::Http2, connections(1));
    let response = bounded(service.oneshot(upgrade())).await.unwrap();
    assert_eq!(body(response).await, "[false, false]");
}

fn connections(max_connections: usize) -> ReconnectConfig {
    ReconnectConfig {
        max_connections,
        ..ReconnectConfig::default()
    }
}

fn upgrade() -> Request<Full<Bytes>> {
    let request = Request::get("/").header("host", "proxy.test");
    let request = request.header("connection", "upgrade");
    request
        .header("upgrade", "echo")
        .body(Full::default())
        .unwrap()
}

/// Switches where it is asked to, says `first`, and repeats then what it hears.
fn echoing() -> RawUpstream {
    RawUpstream::start(|mut stream, _| async move {
        let head = head(&mut stream).await.unwrap_or_default();
        if !head.contains("upgrade: echo") {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            return;
        }
        stream.write_all(SWITCHING).await.unwrap();
        let (mut hear, mut say) = stream.split();
        let _ = tokio::io::copy(&mut hear, &mut say).await;
    })
}

const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade, keep-alive\r\n\
                           keep-alive: timeout=5\r\nupgrade: echo\r\n\r\nfirst";
