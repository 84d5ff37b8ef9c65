//! Connections that end after little work: no failure, so nobody waits for a backoff.

use std::time::Duration;

use http::Version;
use hyper::{Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::{
    front::{Front, bounded, get},
    raw::{RawUpstream, exchange, head, status, until_closed},
    support::{body::empty, client::text},
};

const LONGER_THAN_A_BACKOFF_WOULD_ALLOW: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_endpoint_that_closes_after_each_answer_serves_every_request() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
    });
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "hi");
    }
    assert!(Instant::now() - begun < LONGER_THAN_A_BACKOFF_WOULD_ALLOW);
}

#[tokio::test]
async fn callers_that_leave_do_not_switch_their_endpoint_off() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        let head = head(&mut stream).await.unwrap_or_default();
        if head.starts_with("POST") {
            until_closed(&mut stream).await;
            return;
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
        until_closed(&mut stream).await;
    });
    let front = Front::start("http1", upstream.address, "");
    for _ in 0..10 {
        let mut leaver = TcpStream::connect(front.web()).await.unwrap();
        let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
        leaver.write_all(request).await.unwrap();
        crate::support::eventually("the request is in flight", || {
            front.endpoint().in_flight > 0
        })
        .await;
        drop(leaver);
        crate::support::eventually("it is not", || front.endpoint().in_flight == 0).await;
        let mut client = front.client(Version::HTTP_11).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn an_http2_endpoint_that_says_goaway_after_some_answers_serves_every_request() {
    let upstream = RawUpstream::start(|stream, _| async move {
        let (served, mut enough) = tokio::sync::mpsc::unbounded_channel();
        let service = service_fn(move |_: hyper::Request<Incoming>| {
            let _ = served.send(());
            async { Ok::<_, std::convert::Infallible>(Response::new(empty())) }
        });
        let builder = http2::Builder::new(TokioExecutor::new());
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        for _ in 0..5 {
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = enough.recv() => {}
            }
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    });
    let front = Front::start("http2", upstream.address, "");
    let mut client = front.client(Version::HTTP_2).await;
    let begun = Instant::now();
    for number in 0..50 {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200, "request {number}");
    }
    assert!(Instant::now() - begun < LONGER_THAN_A_BACKOFF_WOULD_ALLOW);
}

#[tokio::test]
async fn a_transfer_coding_overrides_a_length_in_an_answer() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
                       6\r\nabcdef\r\n0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        until_closed(&mut stream).await;
    });
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let front = Front::start("http1", upstream.address, "");
        let mut client = front.client(version).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(text(response).await, "abcdef");
    }
}

#[tokio::test]
async fn an_early_answer_does_not_cut_the_rest_of_the_upload() {
    let (report, mut whole) = tokio::sync::mpsc::unbounded_channel();
    let upstream = RawUpstream::start(move |mut stream, _| {
        let report = report.clone();
        async move {
            head(&mut stream).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly";
            stream.write_all(answer).await.unwrap();
            let read = stream.read_exact(&mut [0; 8]).await;
            report.send(read.is_ok()).unwrap();
        }
    });
    let limits = "[limits]\nheader_timeout = \"300ms\"";
    let front = Front::start("http1", upstream.address, limits);
    let mut client = TcpStream::connect(front.web()).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut answer = vec![0; 512];
    let mut read = 0;
    while !String::from_utf8_lossy(&answer[..read]).ends_with("early") {
        read += bounded(client.read(&mut answer[read..])).await.unwrap();
    }
    // Longer than the header timeout, and its grace, in pieces.
    for _ in 0..8 {
        client.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(bounded(whole.recv()).await, Some(true));
}

#[tokio::test]
async fn clients_that_do_not_read_do_not_keep_their_connections() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        while stream.write_all(&[0; 65_536]).await.is_ok() {}
    });
    let limits = "[limits]\nbody_idle = \"300ms\"\nidle_timeout = \"300ms\"";
    let front = Front::start("http1", upstream.address, limits);
    let mut sleeper = TcpStream::connect(front.web()).await.unwrap();
    sleeper
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    crate::support::eventually("the response is in flight", || {
        front.endpoint().in_flight > 0
    })
    .await;
    crate::support::eventually("it was cut", || front.endpoint().in_flight == 0).await;
}

#[tokio::test]
async fn a_transfer_coding_that_is_not_understood_is_refused() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
    });
    let front = Front::start("http1", upstream.address, "");
    let request = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                    transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = exchange(front.web(), request).await;
    assert_eq!(status(&answer), Some(501), "{answer}");
}
