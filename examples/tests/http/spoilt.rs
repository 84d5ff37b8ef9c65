//! What a client spoils, and what an endpoint says too early: nobody else may suffer from it.

use std::time::Duration;

use http::{Request, Version};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    frames::{Frames, HEADERS},
    front::{Front, bounded, get, noting},
    raw::{RawUpstream, exchange, head, status, until_closed},
    support::{body::full, client::text, upstream::Upstream},
};

/// Else one client could take an endpoint from all others.
#[tokio::test]
async fn uploads_that_are_given_up_do_not_make_an_endpoint_back_off() {
    let upstream = Upstream::start(|request| async move {
        let _ = request.into_body().collect().await;
        http::Response::new(full("served"))
    })
    .await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    assert_eq!(text(client.send(get("/")).await.unwrap()).await, "served");
    for ways in [UPLOAD.to_vec(), [UPLOAD, b"no chunk\r\n"].concat()] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(front.web()).await.unwrap();
            stream.write_all(&ways).await.unwrap();
            sleep(Duration::from_millis(5)).await;
            drop(stream);
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(response.status(), 200);
            text(response).await;
        }
    }
    assert_eq!(front.endpoint().connection.dial_failures, 0);
}

/// Such an endpoint might take the rest of the request for the next one, and answer that to the
/// next client.
#[tokio::test]
async fn an_answer_before_the_whole_request_is_the_last_of_its_connection() {
    let (heard, mut hears) = mpsc::unbounded_channel();
    let upstream = RawUpstream::start(move |mut stream, number| {
        let heard = heard.clone();
        async move {
            while let Some(head) = head(&mut stream).await {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                heard.send((number, path)).unwrap();
                let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    let front = Front::start("http1", upstream.address, "");
    for expect in ["Expect: 100-continue\r\n", ""] {
        let mut attacker = TcpStream::connect(front.web()).await.unwrap();
        let head =
            format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{expect}Content-Length: 70\r\n\r\n");
        attacker.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        attacker.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
        let smuggled = b"GET /admin/delete-all HTTP/1.1\r\nX-Swallow: ";
        let _ = attacker.write_all(smuggled).await;
        sleep(Duration::from_millis(50)).await;
        let mut victim = front.client(Version::HTTP_11).await;
        bounded(victim.send(get("/victim"))).await.unwrap();
    }
    let mut asked = Vec::new();
    while let Ok(request) = hears.try_recv() {
        asked.push(request);
    }
    let paths: Vec<_> = asked.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["/x", "/victim", "/x", "/victim"]);
    assert_ne!(asked[0].0, asked[1].0, "another connection");
}

#[tokio::test]
async fn a_stream_that_is_given_up_within_its_body_never_arrives_as_a_whole() {
    for code in [0, 8] {
        for _ in 0..10 {
            let (told, tells) = std::sync::mpsc::channel();
            let upstream = RawUpstream::start(move |mut stream, _| {
                let told = told.clone();
                async move {
                    let all = timeout(Duration::from_secs(10), until_closed(&mut stream));
                    let _ = told.send(all.await.unwrap());
                }
            });
            let front = Front::start("http1", upstream.address, "");
            let mut client = Frames::connect(front.web()).await;
            let fields = [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "a.test"),
            ];
            client.headers(1, &fields, false).await;
            client.data(1, b"only a part", false).await;
            sleep(Duration::from_millis(30)).await;
            client.reset(1, code).await;
            let heard = tokio::task::spawn_blocking(move || tells.recv().unwrap());
            let heard = heard.await.unwrap();
            assert!(
                !heard.contains("\r\n0\r\n\r\n"),
                "reset by {code}: {heard:?}"
            );
        }
    }
}

/// A body that looks like what hyper says when it refuses.
#[tokio::test]
async fn bytes_of_an_answer_are_passed_on_whatever_they_look_like() {
    const BODY: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let upstream = RawUpstream::start(|mut stream, _| async move {
        while head(&mut stream).await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            sleep(Duration::from_millis(100)).await;
            stream.write_all(BODY).await.unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    for _ in 0..3 {
        let answer = exchange(front.web(), request).await;
        assert!(
            answer.ends_with("\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_endpoints_own_refusal_is_passed_on_even_without_a_trace_of_the_proxy() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n";
    let upstream = RawUpstream::answering(answer);
    let front = Front::start(
        "http1",
        upstream.address,
        "[[route]]\nlistener = \"web\"\ncluster = \"backend\"\nresponse_headers = { remove = [\"via\"] }",
    );
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let answer = exchange(front.web(), request).await;
    assert!(answer.contains("set-cookie: a=b"), "{answer}");
    // On the same connection hyper's own still gets its reason.
    let behind = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    stream.write_all(behind).await.unwrap();
    assert!(head(&mut stream).await.unwrap().contains("set-cookie"));
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let refused = until_closed(&mut stream).await;
    assert_eq!(status(&refused), Some(400));
    assert!(
        refused.ends_with("\r\n\r\nthis is not a request\n"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_tunnels_bytes_are_nobodys_refusal() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        if head(&mut stream).await.is_some() {
            let switch =
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n";
            stream.write_all(switch).await.unwrap();
            sleep(Duration::from_millis(50)).await;
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let asking = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: tcp\r\n\r\n";
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    stream.write_all(asking).await.unwrap();
    assert!(
        head(&mut stream)
            .await
            .unwrap()
            .starts_with("HTTP/1.1 101 ")
    );
    assert_eq!(
        until_closed(&mut stream).await,
        "HTTP/1.1 400 Bad Request\r\n\r\n"
    );
}

#[tokio::test]
async fn an_endpoint_switches_to_nothing_but_what_was_asked_for() {
    for upgrade in ["upgrade: h2c\r\n", "upgrade: a, b\r\n", ""] {
        let answer =
            format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{upgrade}\r\n");
        let upstream = RawUpstream::answering(answer.into_bytes().leak());
        let front = Front::start("http1", upstream.address, "");
        let asking = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: a\r\n\r\n";
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(asking).await.unwrap();
        let refused = bounded(head(&mut stream)).await.unwrap();
        assert_eq!(status(&refused), Some(502), "{upgrade:?}: {refused}");
    }
}

#[tokio::test]
async fn an_answer_in_another_coding_is_not_passed_on_as_if_it_had_none() {
    for coding in ["gzip", "gzip, chunked"] {
        let answer =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n4\r\nhalf\r\n0\r\n\r\n");
        let upstream = RawUpstream::answering(answer.into_bytes().leak());
        let front = Front::start("http1", upstream.address, "");
        let mut client = front.client(Version::HTTP_11).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 502, "{coding}");
    }
}

/// Who has said hello may be idle: browsers connect before they ask.
#[tokio::test]
async fn an_http2_client_that_asks_nothing_yet_is_no_slow_head() {
    let (upstream, _heads) = noting(|| http::Response::new(full(""))).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[limits]\nheader_timeout = \"100ms\"\nidle_timeout = \"5s\"",
    );
    let mut client = Frames::connect(front.web()).await;
    sleep(Duration::from_millis(400)).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    client.headers(1, &fields, true).await;
    assert!(bounded(client.next_of(&[HEADERS])).await.is_some());
}

/// A proxy that is its own endpoint.
#[tokio::test]
async fn a_request_that_goes_round_in_circles_is_stopped() {
    let port = crate::support::port::ReservedPort::new();
    let config = crate::support::cleartext(&format!("endpoints = [\"{}\"]", port.address));
    let config = config.replace(
        "name = \"web\"\nlisten = \"127.0.0.1:0\"",
        &format!("name = \"web\"\nlisten = \"{}\"", port.address),
    );
    let directory = tempfile::tempdir().unwrap();
    drop(port);
    let proxy = crate::support::start(&directory, &config);
    let web = proxy.address("web").unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let answer = exchange(web, request).await;
    assert_eq!(status(&answer), Some(508), "{answer}");
    assert!(
        answer.contains("proxy-status: proxy; error=proxy_loop_detected"),
        "{answer}"
    );
}

#[tokio::test]
async fn options_go_as_many_hops_as_they_may() {
    let (upstream, heads) = noting(|| http::Response::new(full(""))).await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for (may, status, left) in [
        ("2", 200, Some("1")),
        ("0", 501, None),
        ("x", 200, Some("x")),
    ] {
        let request = Request::options("/").header("max-forwards", may);
        let request = request.body(crate::support::body::empty()).unwrap();
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), status, "{may}");
        text(response).await;
        if status == 501 {
            client = front.client(Version::HTTP_11).await;
        }
        let passed_on = heads.try_recv().ok();
        let passed_on = passed_on.map(|head| head.headers["max-forwards"].clone());
        assert_eq!(passed_on.as_ref().map(|left| left.to_str().unwrap()), left);
    }
}

/// The answer decides how it ends, not what was asked.
#[tokio::test]
async fn what_is_no_grpc_breaks_off_visibly_though_grpc_was_asked_for() {
    let upstream = RawUpstream::answering(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 10\r\n\r\nhalf",
    );
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_2).await;
    let request = Request::get("/").header("content-type", "application/grpc");
    let request = request.body(crate::support::body::empty()).unwrap();
    let response = bounded(client.send(request)).await.unwrap();
    assert!(bounded(response.into_body().collect()).await.is_err());
}

const UPLOAD: &[u8] =
    b"POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
