//! `[limits]`: how long a client may take, be silent, and stay.

use std::time::Duration;

use http::{Request, Response, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::{
    frames::{DATA, END_STREAM, Frames, GOAWAY, HEADERS},
    front::{Front, Hops, bounded, get, noting, protocol},
    raw::{status, until_closed},
    support::{
        body::{TestBody, channel, empty, full},
        client::{Client, read, text},
        eventually,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_client_that_is_slow_to_say_what_it_wants_is_cut() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nheader_timeout = \"500ms\"",
    );
    for said in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: a.test\r\n",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let began = Instant::now();
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        until_closed(&mut stream).await;
        let waited = Instant::now().saturating_duration_since(began);
        assert!(
            waited >= Duration::from_millis(450),
            "{said:?} after {waited:?}"
        );
        assert!(
            waited < Duration::from_secs(10),
            "{said:?} after {waited:?}"
        );
    }
    assert!(heads.try_recv().is_err(), "the endpoint heard of it");
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_all_the_same() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nheader_timeout = \"500ms\"",
    );
    let (mut reader, mut writer) = TcpStream::connect(front.web()).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = bounded(reader.read_to_end(&mut rest)).await;
    bounded(trickle).await.unwrap();
    assert!(heads.try_recv().is_err(), "the endpoint heard of it");
}

#[tokio::test]
async fn a_second_head_that_stops_half_way_is_cut() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nheader_timeout = \"500ms\"",
    );
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    bounded(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    // By now the proxy next looks at the connection when it has been idle for too long.
    tokio::time::sleep(Duration::from_millis(900)).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    // Far below the idle timeout of a minute.
    until_closed(&mut stream).await;
    assert_eq!(heads.try_iter().count(), 1);
}

#[tokio::test]
async fn a_body_or_an_answer_may_take_longer_than_a_head() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        tokio::time::sleep(Duration::from_millis(600)).await;
        Response::new(full(body))
    })
    .await;
    let limits = "[limits]\nheader_timeout = \"300ms\"\nidle_timeout = \"300ms\"";
    for hops in Hops::ALL {
        let front = Front::start(protocol(hops.upstream), upstream.address, limits);
        let mut client = front.client(hops.client).await;
        let (pieces, body) = channel();
        let asking = client.send(Request::post("/").body(body).unwrap());
        let (response, ()) = tokio::join!(asking, async {
            pieces.send("slow ").await;
            tokio::time::sleep(Duration::from_millis(600)).await;
            pieces.send("body").await;
            drop(pieces);
        });
        assert_eq!(text(response.unwrap()).await, "slow body");
    }
}

#[tokio::test]
async fn a_body_that_stops_is_refused_in_time_and_the_endpoint_not_blamed() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        Response::new(empty())
    })
    .await;
    for hops in Hops::ALL {
        let front = Front::start(
            protocol(hops.upstream),
            upstream.address,
            "[limits]\nbody_idle = \"400ms\"",
        );
        let mut client = front.client(hops.client).await;
        let (pieces, body) = channel();
        let asking = client.send(Request::post("/").body(body).unwrap());
        let (response, ()) = bounded(async { tokio::join!(asking, pieces.send("half")) }).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 408);
        assert!(
            response.headers()["proxy-status"]
                .to_str()
                .unwrap()
                .contains("error=http_request_error")
        );
        assert_eq!(
            text(response).await,
            "the request's body stopped for too long\n"
        );
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(front.endpoint().failures, 0);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_its_time_and_not_before() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "[limits]\nidle_timeout = \"1s\"");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = front.client(version).await;
        for _ in 0..3 {
            // Used within its time, a connection lives on.
            let response = client.send(get("/")).await.unwrap();
            assert_eq!(response.status(), 200);
            read(response).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        let idle = Instant::now();
        closed(&client).await;
        let waited = Instant::now().saturating_duration_since(idle);
        assert!(
            waited > Duration::from_millis(300),
            "{version:?} after {waited:?}"
        );
        assert!(
            waited < Duration::from_secs(10),
            "{version:?} after {waited:?}"
        );
    }
}

#[tokio::test]
async fn an_old_http1_connection_is_asked_to_leave_with_its_last_answer() {
    let upstream = slow().await;
    let front = Front::start(
        "http2",
        upstream.address,
        "[limits]\nconnection_age = \"500ms\"",
    );
    let mut client = front.client(Version::HTTP_11).await;
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(response.headers()[header::CONNECTION], "close");
    assert_eq!(text(response).await, "slow answer");
    closed(&client).await;
}

#[tokio::test]
async fn an_old_http2_connection_is_asked_to_leave_and_loses_nothing() {
    let upstream = slow().await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nconnection_age = \"500ms\"",
    );
    let mut frames = Frames::connect(front.web()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    frames.headers(1, &fields, true).await;
    let goaway = bounded(frames.next_of(&[GOAWAY, HEADERS])).await.unwrap();
    assert_eq!(goaway.kind, GOAWAY, "{goaway:?}");
    assert_eq!(goaway.payload[4..8], [0; 4], "no error");
    let mut body = Vec::new();
    loop {
        let frame = bounded(frames.next_of(&[HEADERS, DATA]))
            .await
            .expect("the answer comes first");
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
        }
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(body, b"slow answer");
}

#[tokio::test]
async fn connections_age_under_load_without_a_lost_request() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nconnection_age = \"300ms\"",
    );
    let until = Instant::now() + Duration::from_secs(2);
    let (mut connections, mut unsent) = (0, 0);
    let mut client = front.client(Version::HTTP_2).await;
    while Instant::now() < until {
        let Client::Http2(sender) = &mut client else {
            unreachable!("HTTP/2 was asked for");
        };
        if sender.ready().await.is_err() {
            connections += 1;
            client = front.client(Version::HTTP_2).await;
            continue;
        }
        let request = Request::get("http://a.test/").body(empty()).unwrap();
        match sender.try_send_request(request).await {
            Ok(response) => assert_eq!(response.status(), 200),
            // Not sent, because the proxy had said goodbye before.
            Err(mut error) => {
                let sent = error.take_message().is_none();
                assert!(!sent || is_refused(error.error()), "{:?}", error.error());
                unsent += 1;
            }
        }
    }
    assert!(
        connections >= 2,
        "{connections} connections ended, {unsent} requests were not sent"
    );
}

#[tokio::test]
async fn a_connection_says_how_it_wants_to_end() {
    let (upstream, _heads) = noting(|| Response::new(full("bye"))).await;
    let front = Front::start("http1", upstream.address, "");
    for request in [
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(answer.ends_with("bye"), "{answer}");
        assert!(
            status(&answer) == Some(200) || answer.starts_with("HTTP/1.0 200"),
            "{answer}"
        );
    }
}

/// Answers after a second, by when a connection of half a second's age must go.
async fn slow() -> Upstream {
    Upstream::start(|_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Response::new(full("slow answer"))
    })
    .await
}

/// Waits until the proxy has closed the connection.
async fn closed(client: &Client<TestBody>) {
    eventually("the connection has ended", || client.is_closed()).await;
}

/// Whether the proxy said that it has not begun with a request.
fn is_refused(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("REFUSED_STREAM") || text.contains("NO_ERROR")
}
