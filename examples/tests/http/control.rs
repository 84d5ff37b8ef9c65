//! What the admin listener does and shows on demand, and whom it refuses.

use std::time::Duration;

use http::{Request, StatusCode, Version, header};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    admin::{Answer, answer, fetch, in_front_of_nothing},
    front::Front,
    raw::{self, exchange, until_closed},
    support::{
        body::{TestBody, empty, full},
        client::{Client, read},
    },
};

#[tokio::test]
async fn the_configuration_that_runs_is_shown_with_its_defaults() {
    let front = in_front_of_nothing().await;
    let shown = send(&front, get("/config")).await;
    assert_eq!(
        (shown.status, shown.content_type.as_str()),
        (StatusCode::OK, "application/json")
    );
    let config: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(config["limits"]["header_bytes"], "64KiB");
    assert_eq!(config["limits"]["upgrade_idle"], "1h");
    assert_eq!(config["shutdown"]["delay"], "0s");
    assert_eq!(config["listener"][0]["tls"], "off");
    assert_eq!(config["cluster"][0]["balance"]["wait"], "10s");
    assert!(shown.body.contains("\n  \"limits\": {\n"), "pretty");
}

#[tokio::test]
async fn each_path_lists_its_own_methods() {
    let front = in_front_of_nothing().await;
    for (path, allowed) in [
        ("/live", "GET, HEAD"),
        ("/ready", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/clusters", "GET, HEAD"),
        ("/config", "GET, HEAD"),
        ("/log-level", "GET, HEAD, PUT"),
        ("/drain", "POST"),
        ("/reload", "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let answer = fetch(&front, method, path).await;
            assert_eq!(
                (answer.status, answer.allow.as_deref()),
                (StatusCode::METHOD_NOT_ALLOWED, Some(allowed)),
                "{method} {path}"
            );
        }
        let nowhere = fetch(&front, "GET", "/nowhere").await;
        assert!(nowhere.body.contains(path), "{}", nowhere.body);
    }
    assert_eq!(fetch(&front, "GET", "/ready").await.body.lines().count(), 1);
}

#[tokio::test]
async fn a_reload_says_what_to_do_instead() {
    let front = in_front_of_nothing().await;
    let answer = send(&front, post("/reload")).await;
    assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED);
    assert!(answer.body.contains("restart"), "{}", answer.body);
}

#[tokio::test]
async fn a_drain_is_asked_for_once() {
    let front = in_front_of_nothing().await;
    let answer = send(&front, post("/drain")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::ACCEPTED, "draining\n")
    );
    let asked = timeout(Duration::from_secs(10), front.proxy.drain_asked()).await;
    assert!(asked.is_ok(), "whoever runs the proxy is told");
    let again = send(&front, post("/drain")).await;
    assert_eq!(
        (again.status, again.body.as_str()),
        (StatusCode::ACCEPTED, "already draining\n")
    );
}

#[tokio::test]
async fn a_client_that_keeps_its_connection_does_not_keep_the_drain_waiting() {
    let front = in_front_of_nothing().await;
    let mut client = Client::connect(front.admin(), Version::HTTP_11).await;
    let response = client.send(post("/drain")).await.unwrap();
    assert_eq!(response.headers()[header::CONNECTION], "close");
    read(response).await;
    let asked = timeout(Duration::from_secs(10), front.proxy.drain_asked()).await;
    assert!(asked.is_ok());
    drop(client);
}

#[tokio::test]
async fn no_web_page_can_do_anything() {
    let front = in_front_of_nothing().await;
    for (name, value) in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.test"),
        ("host", "localhost.evil.test:9990"),
    ] {
        for (method, path) in [
            ("POST", "/drain"),
            ("POST", "/reload"),
            ("PUT", "/log-level"),
        ] {
            let mut request = request(method, path, "off");
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = send(&front, request).await;
            assert_eq!(
                answer.status,
                StatusCode::FORBIDDEN,
                "{method} {name}: {value}"
            );
        }
        let mut config = get("/config");
        config.headers_mut().insert(name, value.parse().unwrap());
        let expected = if name == "host" { 403 } else { 200 };
        assert_eq!(
            send(&front, config).await.status,
            expected,
            "{name}: {value}"
        );
        let mut live = get("/live");
        live.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(send(&front, live).await.status, 200, "{name}: {value}");
    }
    let asked = timeout(Duration::from_millis(1), front.proxy.drain_asked()).await;
    assert!(asked.is_err(), "nothing was asked for");
}

#[tokio::test]
async fn a_body_is_bounded_and_refused_before_anything_is_done() {
    let front = in_front_of_nothing().await;
    for path in ["/drain", "/reload"] {
        let answer = send(&front, request("POST", path, &"x".repeat(4097))).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let answer = send(&front, request("PUT", "/log-level", &"x".repeat(4097))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let unlimited =
        b"PUT /log-level HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\n\r\n";
    let mut stream = TcpStream::connect(front.admin()).await.unwrap();
    stream.write_all(unlimited).await.unwrap();
    while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    let answer = send(&front, request("POST", "/drain", &"x".repeat(4096))).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "the first drain");
}

#[tokio::test]
async fn what_does_not_come_is_not_waited_for() {
    let front = in_front_of_nothing().await;
    let mut silent = TcpStream::connect(front.admin()).await.unwrap();
    let request = b"POST /drain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf";
    let answer = exchange(front.admin(), request).await;
    assert_eq!(raw::status(&answer), Some(408), "{answer}");
    let closed = timeout(Duration::from_secs(5), until_closed(&mut silent)).await;
    assert_eq!(closed.expect("it has had its five seconds"), "");
    let broken =
        b"POST /drain HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nx\r\n";
    let answer = exchange(front.admin(), broken).await;
    assert_eq!(raw::status(&answer), Some(400), "{answer}");
    let answer = send(&front, post("/drain")).await;
    assert_eq!(answer.body, "draining\n", "nothing was begun");
}

#[tokio::test]
async fn a_log_of_somebody_else_is_not_filtered() {
    let front = in_front_of_nothing().await;
    for request in [get("/log-level"), request("PUT", "/log-level", "info")] {
        let answer = send(&front, request).await;
        assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED);
        assert!(answer.body.contains("a log of its own"), "{}", answer.body);
    }
}

#[tokio::test]
async fn silent_connections_lock_nobody_out() {
    let front = in_front_of_nothing().await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(front.admin()).await.unwrap();
        // Half of them have begun a head.
        if number % 2 == 0 {
            stream.write_all(b"GET /live HT").await.unwrap();
        }
        silent.push(stream);
    }
    // Sooner than the silent ones run into their timeout, which is 5 s.
    let answer = timeout(Duration::from_secs(3), fetch(&front, "GET", "/live")).await;
    assert_eq!(answer.expect("there is room").status, StatusCode::OK);
    // The first of them made room; the last still has its seat, and is served.
    let mut first = silent.remove(0);
    let closed = timeout(Duration::from_secs(3), until_closed(&mut first)).await;
    assert_eq!(closed.expect("it leaves at once"), "");
    let mut last = silent.pop().unwrap();
    let request = b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    last.write_all(request).await.unwrap();
    let answer = until_closed(&mut last).await;
    assert_eq!(raw::status(&answer), Some(200), "{answer}");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let front = in_front_of_nothing().await;
    let mut client = Client::connect(front.admin(), Version::HTTP_11).await;
    for _ in 0..3 {
        let response = client.send(get("/live")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        read(response).await;
    }
}

#[tokio::test]
async fn http2_is_not_spoken() {
    let front = in_front_of_nothing().await;
    let answer = exchange(front.admin(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
}

fn get(path: &str) -> Request<TestBody> {
    Request::get(path)
        .header(header::HOST, "localhost")
        .body(empty())
        .unwrap()
}

fn post(path: &str) -> Request<TestBody> {
    request("POST", path, "")
}

fn request(method: &str, path: &str, body: &str) -> Request<TestBody> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:9990")
        .body(full(body.to_owned()))
        .unwrap()
}

async fn send(front: &Front, request: Request<TestBody>) -> Answer {
    answer(front.admin(), request).await
}
