//! How the built binary ends: no client loses a request that it could have had.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::support::{
    admin, cleartext, client::Client, eventually, load::Load, process::ProxyProcess,
    upstream::Upstream,
};

#[tokio::test]
async fn sigterm_under_http1_load_costs_no_request() {
    no_request_is_lost(Version::HTTP_11, "TERM").await;
}

#[tokio::test]
async fn sigterm_under_http2_load_costs_no_request() {
    no_request_is_lost(Version::HTTP_2, "TERM").await;
}

#[tokio::test]
async fn sigint_drains_as_well() {
    no_request_is_lost(Version::HTTP_11, "INT").await;
}

#[tokio::test]
async fn answers_while_draining_ask_http1_clients_to_leave() {
    let stage = Stage::start("10s", "5s").await;
    let mut client = Client::connect(stage.web(), Version::HTTP_11).await;
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(response.headers().get(header::CONNECTION), None);
    response.into_body().collect().await.unwrap();

    stage.proxy.signal("TERM");
    stage.until_not_ready().await;
    let (live, _) = admin::get(stage.admin(), "/live").await;
    assert_eq!(live, StatusCode::OK);
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()[header::CONNECTION]),
        (StatusCode::OK, &"close".parse().unwrap())
    );
    response.into_body().collect().await.unwrap();
    eventually("the proxy closes the connection", || client.is_closed()).await;

    let mut late = Client::connect(stage.web(), Version::HTTP_11).await;
    let response = late.send(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "it still accepts");
    assert_eq!(response.headers()[header::CONNECTION], "close");
}

/// By GOAWAY: the client's connection ends by itself, after its answers.
#[tokio::test]
async fn answers_while_draining_ask_http2_clients_to_leave() {
    let stage = Stage::start("10s", "5s").await;
    let mut client = h2c(stage.web()).await;
    let slow = client.send_request(get_http2("/long"));
    let mut slow = slow.await.unwrap().into_body();
    slow.frame().await.unwrap().unwrap();

    stage.proxy.signal("TERM");
    stage.until_not_ready().await;
    eventually("the client is told to go away", || client.is_closed()).await;
    let rest = slow.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"the end"), "{rest:?}");

    let mut late = h2c(stage.web()).await;
    let response = late.send_request(get_http2("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "it still accepts");
    response.into_body().collect().await.unwrap();
    eventually("the late client is told to go away", || late.is_closed()).await;
}

#[tokio::test]
async fn a_long_response_in_flight_completes_and_the_process_ends_after_it() {
    let mut stage = Stage::start("100ms", "20s").await;
    let mut client = Client::connect(stage.web(), Version::HTTP_11).await;
    let mut body = client.send(get("/long")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    stage.proxy.signal("TERM");
    stage.until_refused().await;
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"the end"), "{rest:?}");
    stage.ends_with_code_0(Duration::from_secs(10)).await;
    eventually("it says so", || stage.proxy.log().contains("drained")).await;
}

#[tokio::test]
async fn a_client_that_has_just_connected_is_still_served_when_the_listener_closes() {
    let mut stage = Stage::start("300ms", "5s").await;
    stage.proxy.signal("TERM");
    stage.until_not_ready().await;
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect(stage.web()).await {
        waiting.push(stream);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The last of them connected just before the listener closed.
    let mut last = waiting.pop().unwrap();
    last.write_all(b"GET / HTTP/1.1\r\nhost: proxy.test\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert!(answer.contains("connection: close"), "{answer:?}");
    drop(waiting);
    stage.ends_with_code_0(Duration::from_secs(4)).await;
}

/// The process sleeps while they connect and the time comes: they are in the kernel's backlog.
#[tokio::test]
async fn clients_that_wait_in_the_backlog_when_the_listener_closes_are_served() {
    let mut stage = Stage::start("500ms", "5s").await;
    stage.proxy.signal("TERM");
    stage.until_not_ready().await;
    stage.proxy.signal("STOP");
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(stage.web()).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: proxy.test\r\n\r\n")
            .await
            .unwrap();
        waiting.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stage.proxy.signal("CONT");
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
    stage.ends_with_code_0(Duration::from_secs(4)).await;
}

#[tokio::test]
async fn a_response_that_hangs_is_cut_when_the_grace_is_over() {
    let mut stage = Stage::start("0s", "1s").await;
    let mut body = stage.hanging().await;
    let started = Instant::now();
    stage.proxy.signal("TERM");
    stage.ends_with_code_0(Duration::from_secs(10)).await;
    assert!(
        Instant::now() - started >= Duration::from_secs(1),
        "it did not wait for the grace"
    );
    assert!(
        body.frame().await.unwrap().is_err(),
        "the cut looks like an end"
    );
    eventually("it says so", || {
        stage.proxy.log().contains("the grace period is over")
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let mut stage = Stage::start("60s", "60s").await;
        let _body = stage.hanging().await;
        stage.proxy.signal(first);
        stage.until_not_ready().await;
        stage.proxy.signal(second);
        stage.ends_with_code_0(Duration::from_secs(10)).await;
        eventually("it says so", || stage.proxy.log().contains("second signal")).await;
    }
}

async fn no_request_is_lost(version: Version, signal: &str) {
    let mut stage = Stage::start("1s", "10s").await;
    let load = Load::start(stage.web(), version, 8);
    eventually("the load is steady", || load.whole() > 100).await;
    stage.proxy.signal(signal);
    stage.until_not_ready().await;
    let before = load.whole();
    eventually("it serves while it is not ready", || {
        load.whole() > before + 20
    })
    .await;
    let tally = load.refused().await;
    assert_eq!(
        tally.failures,
        Vec::<String>::new(),
        "{}",
        stage.proxy.log()
    );
    assert!(
        tally.never_accepted <= 1,
        "{} were left in the backlog",
        tally.never_accepted
    );
    assert!(
        tally.asked_to_leave >= 8,
        "{} of 8 clients were asked to leave",
        tally.asked_to_leave
    );
    stage.ends_with_code_0(Duration::from_secs(5)).await;
}

/// The built binary in front of one upstream.
struct Stage {
    proxy: ProxyProcess,
    _upstream: Upstream,
    _directory: TempDir,
}

impl Stage {
    async fn start(delay: &str, grace: &str) -> Self {
        let upstream = Upstream::start(answer).await;
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("proxy.toml");
        let config = cleartext(&format!("endpoints = [\"{}\"]", upstream.address))
            .replace("delay = \"0s\"", &format!("delay = \"{delay}\""))
            .replace("grace = \"5s\"", &format!("grace = \"{grace}\""));
        std::fs::write(&path, config).unwrap();
        let proxy = ProxyProcess::start(&path, &["web", "admin"]).await;
        let stage = Self {
            proxy,
            _upstream: upstream,
            _directory: directory,
        };
        stage.until_ready().await;
        stage
    }

    fn web(&self) -> SocketAddr {
        self.proxy.address("web")
    }

    fn admin(&self) -> SocketAddr {
        self.proxy.address("admin")
    }

    /// A response that has begun and never ends.
    async fn hanging(&self) -> Incoming {
        let mut client = Client::connect(self.web(), Version::HTTP_11).await;
        let mut body = client.send(get("/hang")).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        body
    }

    async fn until_ready(&self) {
        self.until((StatusCode::OK, "ready\n")).await;
    }

    async fn until_not_ready(&self) {
        self.until((StatusCode::SERVICE_UNAVAILABLE, "draining\n"))
            .await;
    }

    /// Waits for an answer of `/ready`.
    async fn until(&self, (status, reason): (StatusCode, &str)) {
        for _ in 0..1000 {
            if admin::get(self.admin(), "/ready").await == (status, reason.to_owned()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("/ready does not say {status} {reason}");
    }

    async fn until_refused(&self) {
        while TcpStream::connect(self.web()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ends_with_code_0(&mut self, limit: Duration) {
        assert_eq!(
            self.proxy.ended(limit).await.code(),
            Some(0),
            "{}",
            self.proxy.log()
        );
    }
}

/// `/` at once, `/long` over a second and a half, `/hang` never to its end.
async fn answer(
    request: Request<Incoming>,
) -> Response<UnsyncBoxBody<Bytes, std::convert::Infallible>> {
    let first = stream::once(async { Bytes::from_static(b"the beginning, ") });
    let rest: stream::BoxStream<'static, Bytes> = match request.uri().path() {
        "/long" => stream::iter(0..15)
            .then(|count| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Bytes::from_static(if count == 14 { b"the end" } else { b"and, " })
            })
            .boxed(),
        "/hang" => stream::pending().boxed(),
        _ => stream::empty().boxed(),
    };
    let frames = first.chain(rest).map(|bytes| Ok(Frame::data(bytes)));
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

fn get_http2(path: &str) -> Request<Empty<Bytes>> {
    get(&format!("http://proxy.test{path}"))
}

async fn h2c(proxy: SocketAddr) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(proxy).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}
