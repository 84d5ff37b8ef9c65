//! What is malformed or can be read in two ways is refused, never repaired.

use std::sync::mpsc::Receiver;

use http::{Method, Request, Response, StatusCode, Version, request::Parts};
use hyper::body::Incoming;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    frames::{DATA, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM},
    front::{Front, Hops, bounded, get, noting},
    raw::{exchange, status, until_closed},
    support::{
        body::{TestBody, empty},
        client::{read, text},
        upstream::Upstream,
    },
};

#[tokio::test]
async fn a_request_of_no_single_host_is_refused_and_its_connection_closed() {
    let (front, heads, _upstream) = front("http1").await;
    for fields in [
        "",
        "Host: a.test\r\nHost: b.test\r\n",
        "Host: a.test\r\nHost: a.test\r\n",
        "Host:\r\n",
        "Host: user@a.test\r\n",
        "Host: user:secret@a.test\r\n",
        "Host: a.test:\r\n",
        "Host: a.test:http\r\n",
        "Host: a.test:99999\r\n",
        "Host: a.test:+80\r\n",
        "Host: a.test/path\r\n",
        "Host: a.test, b.test\r\n",
        "Host: a.test b.test\r\n",
        "Host: [::1\r\n",
        "Host: \u{e9}.test\r\n",
    ] {
        let answer = exchange(
            front.web(),
            format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(),
        )
        .await;
        assert_eq!(status(&answer), Some(400), "{fields:?}: {answer}");
        let (head, line) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains("proxy-status: proxy; error=http_request_error; details="),
            "{answer}"
        );
        assert_eq!(line.lines().count(), 1, "{answer}");
    }
    assert!(heads.try_recv().is_err(), "the endpoint heard of it");
}

#[tokio::test]
async fn a_plain_host_is_served_in_each_of_its_forms() {
    let (front, heads, _upstream) = front("http1").await;
    for host in [
        "a.test",
        "a.test:80",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:443",
        "localhost",
        "A.Test",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = exchange(front.web(), request.as_bytes()).await;
        assert_eq!(status(&answer), Some(200), "{host}: {answer}");
        assert_eq!(heads.try_recv().unwrap().headers["host"], host);
    }
}

#[tokio::test]
async fn a_host_that_differs_from_the_authority_is_refused() {
    let (front, heads, _upstream) = front("http1").await;
    let mut client = front.client(Version::HTTP_2).await;
    for (host, expected) in [
        ("other.test", 400),
        ("proxy.test:80", 400),
        ("Proxy.Test", 200),
        ("proxy.test", 200),
    ] {
        let request = Request::get("/")
            .header("host", host)
            .body(empty())
            .unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), expected, "{host}");
        assert_eq!(
            response.headers().contains_key("proxy-status"),
            expected == 400
        );
    }
    assert_eq!(heads.try_iter().count(), 2);
}

#[tokio::test]
async fn an_authority_with_a_user_or_a_bad_port_is_refused_over_http2() {
    let (front, heads, _upstream) = front("http1").await;
    for authority in ["user@a.test", "a.test:", "a.test:99999", ""] {
        let mut frames = Frames::connect(front.web()).await;
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", authority),
        ];
        frames.headers(1, &fields, true).await;
        let frame = bounded(frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]))
            .await
            .unwrap();
        // 400 is the eighth entry of the static table; h2 itself may refuse what is no authority.
        assert!(
            frame.kind != HEADERS || frame.payload[0] == 0x8c,
            "{authority}: {frame:?}"
        );
    }
    assert!(heads.try_recv().is_err(), "the endpoint heard of it");
}

#[tokio::test]
async fn connect_is_not_carried() {
    let (front, heads, _upstream) = front("http1").await;
    let answer = exchange(
        front.web(),
        b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(status(&answer), Some(501), "{answer}");
    assert!(answer.contains("proxy-status: proxy; error="), "{answer}");

    let mut frames = Frames::connect(front.web()).await;
    frames
        .headers(
            1,
            &[(":method", "CONNECT"), (":authority", "a.test:443")],
            false,
        )
        .await;
    let head = bounded(frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]))
        .await
        .unwrap();
    assert_eq!(head.kind, HEADERS, "{head:?}");
    assert!(head.payload.windows(3).any(|bytes| bytes == b"501") || head.payload.len() > 1);
    assert!(heads.try_recv().is_err(), "the endpoint heard of it");
}

#[tokio::test]
async fn a_refused_head_request_has_no_body() {
    let (front, _heads, _upstream) = front("http1").await;
    let mut frames = Frames::connect(front.web()).await;
    let fields = [
        (":method", "HEAD"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "user@a.test"),
    ];
    frames.headers(1, &fields, true).await;
    let head = bounded(frames.next_of(&[HEADERS, DATA])).await.unwrap();
    assert_eq!(
        (head.kind, head.flags & END_STREAM),
        (HEADERS, END_STREAM),
        "{head:?}"
    );

    let answer = exchange(front.web(), b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), Some(400));
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_refused_upload_over_http2_is_answered_whole_and_then_stopped_without_an_error() {
    let (front, _heads, _upstream) = front("http1").await;
    let mut frames = Frames::connect(front.web()).await;
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "user@a.test"),
    ];
    frames.headers(1, &fields, false).await;
    let mut answered = false;
    loop {
        let frame = bounded(frames.next_of(&[HEADERS, DATA, RST_STREAM]))
            .await
            .unwrap();
        if frame.kind == RST_STREAM {
            assert!(answered, "the answer comes first");
            assert_eq!(frame.payload, [0; 4], "NO_ERROR");
            break;
        }
        answered |= frame.flags & END_STREAM != 0;
    }
}

#[tokio::test]
async fn too_many_fields_are_refused_and_as_many_as_allowed_are_not() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    for limit in [10, 100, 150] {
        let front = Front::start(
            "http2",
            upstream.address,
            &format!("[limits]\nheader_count = {limit}"),
        );
        for version in [Version::HTTP_11, Version::HTTP_2] {
            // Over HTTP/2 the host is no field.
            let own = if version == Version::HTTP_2 { 0 } else { 1 };
            let mut client = front.client(version).await;
            let response = client.send(with_fields(limit - own)).await.unwrap();
            assert_eq!(
                response.status(),
                200,
                "{limit} {version:?} {:?}",
                response.headers()
            );
            let response = client.send(with_fields(limit - own + 1)).await.unwrap();
            assert_eq!(response.status(), 431, "{limit} {version:?}");
        }
        assert_eq!(heads.try_iter().count(), 2);
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_one_below_the_limit_is_not() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(
        "http2",
        upstream.address,
        "[limits]\nheader_bytes = \"16KiB\"",
    );
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = front.client(version).await;
        assert_eq!(
            client
                .send(with_long_field(12 << 10))
                .await
                .unwrap()
                .status(),
            200,
            "{version:?}"
        );
        heads.try_recv().unwrap();
        match client.send(with_long_field(40 << 10)).await {
            Ok(response) => assert_eq!(
                response.status(),
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "{version:?}"
            ),
            Err(error) => assert_eq!(version, Version::HTTP_2, "{error:?}"),
        }
        assert!(heads.try_recv().is_err(), "the endpoint heard of it");
    }
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_reaches_the_endpoint_once_or_never() {
    let (front, heads, _upstream) = front("http1").await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for (fields, body) in [
        (
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 6",
            "0\r\n\r\n",
        ),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
        ),
        ("Transfer-Encoding: identity\r\nContent-Length: 0", ""),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 0", ""),
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked\r\nContent-Length: 0", ""),
        (" Transfer-Encoding: chunked\r\nContent-Length: 0", ""),
        (
            "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 0",
            "",
        ),
        ("Transfer-Encoding:\x0bchunked\r\nContent-Length: 0", ""),
        ("Content-Length: 0\r\nContent-Length: 44", ""),
        ("Content-Length: 44\r\nContent-Length: 0", ""),
        ("Content-Length: 0, 44", ""),
        ("Content-Length: +0", ""),
        ("Content-Length: -1", ""),
        ("Content-Length: 0x0", ""),
        ("Content-Length: 18446744073709551616", ""),
        ("Content-Length:", ""),
        ("Transfer-Encoding: chunked", "+0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "ffffffffffffffffff\r\n\r\n"),
        ("Transfer-Encoding: chunked", "1\r\nab\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "g\r\n\r\n"),
        ("X: a\rContent-Length: 44", ""),
        ("X: a\0b", ""),
        ("X\0: b", ""),
        ("no colon at all", ""),
        (": no name", ""),
    ] {
        let request =
            format!("POST /once HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n{body}{smuggled}");
        let answer = exchange(front.web(), request.as_bytes()).await;
        let seen: Vec<_> = heads.try_iter().collect();
        let paths: Vec<_> = seen.iter().map(|head| head.uri.path()).collect();
        assert!(
            paths.is_empty() || paths == ["/once"],
            "{fields:?}: the endpoint saw {paths:?}"
        );
        for head in &seen {
            let lengths = head.headers.get_all("content-length").iter().count();
            let codings = head.headers.get_all("transfer-encoding").iter().count();
            assert!(lengths + codings <= 1, "{fields:?}: {head:?}");
        }
        assert!(
            answer.matches("HTTP/1.1 200").count() <= 1,
            "{fields:?}: {answer}"
        );
        assert!(
            !seen.is_empty() || status(&answer).is_none_or(|status| status >= 400),
            "{fields:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_request_get_nothing_but_a_refusal() {
    let (front, heads, _upstream) = front("http1").await;
    for bytes in [
        "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a.test\r\n\r\n",
        "GET /\r\nHost: a.test\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(
            status(&answer).is_none_or(|status| status >= 400),
            "{bytes:?}: {answer}"
        );
        assert!(
            heads.try_recv().is_err(),
            "{bytes:?}: the endpoint heard of it"
        );
    }
}

#[tokio::test]
async fn a_body_cut_short_never_reaches_the_endpoint_as_a_whole() {
    for protocol in ["http1", "http2"] {
        let (ended, endings) = std::sync::mpsc::channel();
        let upstream = Upstream::start(move |request: Request<Incoming>| {
            let ended = ended.clone();
            async move {
                let body = http_body_util::BodyExt::collect(request.into_body()).await;
                ended.send(body.is_ok()).unwrap();
                Response::new(empty())
            }
        })
        .await;
        let front = Front::start(protocol, upstream.address, "");
        for request in [
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf",
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        ] {
            let mut stream = TcpStream::connect(front.web()).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let answer = until_closed(&mut stream).await;
            assert!(
                status(&answer).is_none_or(|status| status == 400),
                "{answer}"
            );
        }
        drop(front);
        let whole = endings.try_iter().filter(|whole| *whole).count();
        assert_eq!(whole, 0, "over {protocol}");
    }
}

#[tokio::test]
async fn http2_that_breaks_the_rules_of_a_message_reaches_no_endpoint() {
    let (front, heads, _upstream) = front("http1").await;
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    let bad: [&[(&str, &str)]; 8] = [
        &[("connection", "close")],
        &[("transfer-encoding", "chunked")],
        &[("keep-alive", "timeout=5")],
        &[("te", "gzip")],
        &[("Upper", "case")],
        &[("x", "a\r\nsmuggled: yes")],
        &[(":path", "/again")],
        &[("x", "1"), (":late", "pseudo")],
    ];
    for fields in bad {
        let mut frames = Frames::connect(front.web()).await;
        frames.headers(1, &[&good[..], fields].concat(), true).await;
        let frame = bounded(frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]))
            .await
            .unwrap();
        assert!(
            frame.kind != HEADERS || frame.payload[0] == 0x8c,
            "{fields:?}: {frame:?}"
        );
        assert!(
            heads.try_recv().is_err(),
            "{fields:?}: the endpoint heard of it"
        );
    }
}

#[tokio::test]
async fn a_length_that_http2_data_belies_breaks_the_request() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await;
        Response::new(if body.is_ok() { "whole" } else { "broken" }.to_owned())
    })
    .await;
    for protocol in ["http1", "http2"] {
        let front = Front::start(protocol, upstream.address, "");
        for (length, data) in [("2", "four"), ("8", "four"), ("0", "four")] {
            let mut frames = Frames::connect(front.web()).await;
            let fields = [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "a.test"),
                ("content-length", length),
            ];
            frames.headers(1, &fields, false).await;
            frames.data(1, data.as_bytes(), true).await;
            let frame = bounded(frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]))
                .await
                .unwrap();
            // 0x88 is `:status: 200`.
            assert!(
                frame.kind != HEADERS || frame.payload[0] != 0x88,
                "{length}: {frame:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_leaves_an_http2_connection_usable() {
    let (upstream, _heads) = noting(|| Response::new("fine".to_owned())).await;
    let (_front, mut client) = Hops::ALL[2].through(&upstream).await;
    let refused = Request::builder()
        .method(Method::GET)
        .uri("/")
        .header("host", "other.test")
        .body(empty())
        .unwrap();
    assert_eq!(
        read(client.send(refused).await.unwrap()).await.to_bytes(),
        "Host and :authority differ\n"
    );
    assert_eq!(text(client.send(get("/")).await.unwrap()).await, "fine");
}

async fn front(protocol: &str) -> (Front, Receiver<Parts>, Upstream) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    (
        Front::start(protocol, upstream.address, ""),
        heads,
        upstream,
    )
}

fn with_fields(count: usize) -> Request<TestBody> {
    let mut request = get("/");
    for number in 0..count {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        request.headers_mut().insert(name, number.into());
    }
    request
}

fn with_long_field(length: usize) -> Request<TestBody> {
    let mut request = get("/");
    request
        .headers_mut()
        .insert("x-long", "x".repeat(length).parse().unwrap());
    request
}
