//! What becomes of an endpoint whose answers break off, or fail at their end.

use std::net::SocketAddr;

use examples::{cluster::EndpointStatus, proxy::Proxy};
use http::{HeaderMap, Request, Version};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    frames::{DATA, END_STREAM, Frames, HEADERS, RST_STREAM},
    front::{Front, bounded, get, protocol},
    raw::{RawUpstream, exchange, head, status},
    support::{
        self,
        body::{channel, full, with_trailers},
        client::{Client, read},
        eventually,
        upstream::Upstream,
    },
};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
const HALF_CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";

#[tokio::test]
async fn it_is_a_failure_of_the_endpoint() {
    for half in [HALF, HALF_CHUNKED] {
        let upstream = RawUpstream::answering(half);
        let front = Front::start("http1", upstream.address, "");
        for (count, version) in (1..).zip(VERSIONS) {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(bounded(response.into_body().collect()).await.is_err());
            eventually("it is over", || front.endpoint().in_flight == 0).await;
            assert_eq!(counts(&front), (count, count));
        }
        assert!(front.endpoint().success_ratio < 0.78);
    }
}

/// hyper takes a reset without an error for an end.
#[tokio::test]
async fn a_stream_that_is_reset_without_an_error_has_broken_off() {
    let upstream = RawUpstream::start(|stream, _| async move {
        let Some(mut frames) = Frames::accept(stream, 100).await else {
            return;
        };
        while let Some(stream) = frames.requests(1).await {
            frames.headers(stream, &[(":status", "200")], false).await;
            frames.data(stream, b"only a part", false).await;
            frames.reset(stream, 0).await;
        }
    });
    let front = Front::start("http2", upstream.address, "");
    for (count, version) in (1..).zip(VERSIONS) {
        let mut client = front.client(version).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert!(bounded(response.into_body().collect()).await.is_err());
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(counts(&front), (count, count));
    }
}

#[tokio::test]
async fn a_client_sees_that_it_is_broken() {
    let upstream = RawUpstream::answering(HALF);
    let front = Front::start("http1", upstream.address, "");
    let answer = exchange(front.web(), b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(status(&answer), Some(200));
    let answer = answer.to_ascii_lowercase();
    assert!(answer.contains("\r\ncontent-length: 10\r\n"), "{answer:?}");
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer:?}");

    let mut frames = Frames::connect(front.web()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    frames.headers(1, &fields, true).await;
    let kinds = [HEADERS, DATA, RST_STREAM];
    loop {
        let frame = bounded(frames.next_of(&kinds)).await.unwrap();
        assert_eq!(frame.stream, 1);
        if frame.kind == RST_STREAM {
            break;
        }
        assert!(frame.flags & END_STREAM == 0, "{frame:?}");
    }
    assert_eq!(counts(&front), (2, 2));
}

#[tokio::test]
async fn traffic_moves_to_the_endpoint_that_ends_what_it_begins() {
    // The broken one answers at once; quick heads must not attract requests.
    let broken = RawUpstream::answering(HALF);
    let whole = RawUpstream::start(|mut stream, _| async move {
        while head(&mut stream).await.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    });
    let (_directory, proxy) = before(&[broken.address, whole.address]);
    let mut ok = 0;
    for _ in 0..200 {
        let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        let body = bounded(response.into_body().collect()).await;
        ok += u32::from(body.is_ok());
    }
    let endpoint = |address| of(&proxy, address);
    let (broken, whole) = (endpoint(broken.address), endpoint(whole.address));
    assert!(broken.failures >= 1, "{broken:?}");
    assert_eq!(broken.requests, broken.failures);
    assert_eq!((u64::from(ok), whole.failures), (whole.requests, 0));
    assert!(ok >= 160, "{ok} of 200");
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure_of_the_endpoint() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        stream.write_all(HALF).await.unwrap();
        // Until the proxy hangs up.
        let _ = stream.read(&mut [0]).await;
    });
    let front = Front::start("http1", upstream.address, "");
    for version in VERSIONS {
        let mut client = front.client(version).await;
        let mut response = bounded(client.send(get("/"))).await.unwrap();
        bounded(response.body_mut().frame()).await.unwrap().unwrap();
        drop((response, client));
        eventually("it is over", || front.endpoint().in_flight == 0).await;
    }
    assert_eq!(counts(&front), (2, 0));
}

#[tokio::test]
async fn an_upload_that_stalls_under_its_answer_is_no_failure_of_the_endpoint() {
    for upstream in VERSIONS {
        let server = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
            // An answer that lasts as long as the request.
            http::Response::new(request.into_body())
        })
        .await;
        let front = Front::start(
            protocol(upstream),
            server.address,
            "[limits]\nbody_idle = \"200ms\"",
        );
        for (count, version) in (1..).zip(VERSIONS) {
            let mut client = front.client(version).await;
            let (pieces, body) = channel();
            let sending = client.send(Request::post("/").body(body).unwrap());
            let (response, ()) = tokio::join!(bounded(sending), pieces.send("begun"));
            let body = bounded(response.unwrap().into_body().collect()).await;
            assert!(body.is_err(), "{upstream:?} {version:?}");
            eventually("it is over", || front.endpoint().in_flight == 0).await;
            assert_eq!(counts(&front), (count, 0), "{upstream:?} {version:?}");
            drop(pieces);
        }
    }
}

#[tokio::test]
async fn a_grpc_failure_in_the_trailers_is_a_failure_of_the_endpoint() {
    let server = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        let mut trailers = HeaderMap::new();
        let code = request.uri().path().trim_start_matches('/');
        trailers.insert("grpc-status", code.parse().unwrap());
        http::Response::new(with_trailers("message", trailers))
    })
    .await;
    let front = Front::start("http2", server.address, "");
    let mut client = front.client(Version::HTTP_2).await;
    let expected = [(0, 0), (5, 0), (14, 1), (12, 1), (13, 2)];
    for (count, (code, failures)) in (1..).zip(expected) {
        let request = Request::post(format!("/{code}")).body(full("message"));
        let response = bounded(client.send(request.unwrap())).await.unwrap();
        let trailers = read(response).await.trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], code.to_string());
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(counts(&front), (count, failures), "{code}");
    }
}

/// Requests and failures of the one endpoint.
fn counts(front: &Front) -> (u64, u64) {
    let endpoint = front.endpoint();
    (endpoint.requests, endpoint.failures)
}

/// A proxy before several endpoints.
fn before(endpoints: &[SocketAddr]) -> (tempfile::TempDir, Proxy) {
    let directory = tempfile::tempdir().unwrap();
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    let cluster = format!("protocol = \"http1\"\nendpoints = {endpoints:?}\n");
    let proxy = support::start(&directory, &support::cleartext(&cluster));
    (directory, proxy)
}

fn of(proxy: &Proxy, address: SocketAddr) -> EndpointStatus {
    let endpoints = proxy.status().remove(0).endpoints;
    let mut found = endpoints.into_iter().filter(|it| it.address == address);
    found.next().unwrap()
}
