//! What each kind of connection is told when the proxy drains, frame by frame.

use std::time::Duration;

use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    frames::{DATA, Frame, Frames, GOAWAY, HEADERS, PING},
    front::{Front, bounded, noting},
    raw::until_closed,
    support::{body::full, eventually, upstream::Upstream},
};

/// RFC 9113, section 6.8: the warning names no stream, so that a request on its way is not lost;
/// the final one comes a round trip later, and names the last that is served.
#[tokio::test]
async fn an_http2_client_is_warned_before_the_door_closes() {
    let (open, wait) = watch::channel(false);
    let upstream = Upstream::start(move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|open| *open).await.unwrap();
            Response::new(full("served"))
        }
    })
    .await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = Frames::connect(front.web()).await;
    client.headers(1, &get(), true).await;
    eventually("it is in flight", || front.endpoint().in_flight == 1).await;

    let draining = tokio::spawn(front.proxy.drain());
    let warning = bounded(client.next_of(&[GOAWAY])).await.unwrap();
    assert_eq!(last_stream(&warning), i32::MAX as u32);
    // Sent before the client could know: it is served.
    client.headers(3, &get(), true).await;
    let ping = bounded(client.next_of(&[PING])).await.unwrap();
    client.pong(&ping).await;
    let last = bounded(client.next_of(&[GOAWAY])).await.unwrap();
    assert_eq!(last_stream(&last), 3);

    open.send(true).unwrap();
    let mut answered = Vec::new();
    while let Some(frame) = bounded(client.next_of(&[HEADERS, DATA])).await {
        if frame.kind == DATA && frame.payload == b"served" {
            answered.push(frame.stream);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    assert!(draining.await.unwrap(), "all has ended in time");
}

/// Idle connections are left for a moment more: their next request may be on its way.
#[tokio::test]
async fn an_idle_http1_connection_ends_after_a_further_quiet_moment() {
    let (upstream, _heads) = noting(|| Response::new(full("served"))).await;
    let front = Front::start("http1", upstream.address, "");
    let mut idle = TcpStream::connect(front.web()).await.unwrap();
    let mut late = TcpStream::connect(front.web()).await.unwrap();
    for stream in [&mut idle, &mut late] {
        stream.write_all(GET).await.unwrap();
        let mut piece = [0; 1024];
        assert!(stream.read(&mut piece).await.unwrap() > 0);
    }
    let began = Instant::now();
    let draining = tokio::spawn(front.proxy.drain());
    let quiet = timeout(Duration::from_millis(200), idle.read_u8()).await;
    assert!(quiet.is_err(), "it was closed at once");
    late.write_all(GET).await.unwrap();
    let answer = until_closed(&mut late).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(until_closed(&mut idle).await, "");
    let ended = Instant::now().saturating_duration_since(began);
    assert!(ended >= Duration::from_millis(450), "{ended:?}");
    assert!(draining.await.unwrap(), "all has ended in time");
}

fn last_stream(goaway: &Frame) -> u32 {
    u32::from_be_bytes(goaway.payload[..4].try_into().unwrap())
}

fn get() -> [(&'static str, &'static str); 4] {
    [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/"),
    ]
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
