//! Every key of `[limits]`, reached in the built binary: what the client gets, what is counted, and
//! what the log says.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    raw::until_closed,
    support::{
        admin,
        body::{TestBody, channel, empty, full, noise},
        client::Client,
        eventually,
        process::ProxyProcess,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn connections_wait() {
    let stage = Stage::start("connections = 1").await;
    let _first = stage.connect().await;
    let mut second = stage.connect().await;
    second.write_all(GET).await.unwrap();
    stage.tells("connections").await;
    let early = timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "it was served");
}

#[tokio::test]
async fn requests_are_shed() {
    let stage = Stage::start("requests = 1").await;
    let mut first = stage.connect().await;
    first.write_all(GET_HANGING).await.unwrap();
    eventually("the first is in flight", || stage.upstream_hangs()).await;
    let answer = stage.exchange(GET_AND_CLOSE).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    stage.tells("requests").await;
}

#[tokio::test]
async fn heads_of_too_many_bytes_are_refused() {
    let stage = Stage::start("header_bytes = \"8KiB\"").await;
    let head = format!("GET / HTTP/1.1\r\nhost: a.test\r\nx: {}", "x".repeat(9000));
    let answer = stage.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains("\r\nproxy-status: proxy; "), "{answer}");
    stage.tells("header_bytes").await;
    let mut client = stage.http2().await;
    let request = Request::get("/").header("x", "x".repeat(9000));
    let response = client.send(request.body(empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 431);
    assert!(response.headers().contains_key("proxy-status"));
    stage.has_counted("header_bytes", 2.0).await;
}

#[tokio::test]
async fn heads_of_too_many_fields_are_refused() {
    let stage = Stage::start("header_count = 10").await;
    let fields = "x: y\r\n".repeat(11);
    let head = format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}connection: close\r\n\r\n");
    let answer = stage.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    stage.tells("header_count").await;
}

#[tokio::test]
async fn bodies_that_are_too_long_are_refused() {
    let stage = Stage::start("body_bytes = 1000").await;
    let mut client = stage.http2().await;
    let request = Request::post("/").body(full(noise(1001))).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    stage.tells("body_bytes").await;
}

#[tokio::test]
async fn heads_that_take_too_long_are_refused() {
    let stage = Stage::start("header_timeout = \"150ms\"").await;
    let answer = stage
        .exchange(b"GET / HTTP/1.1\r\nhost: a.test\r\nx: ")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\r\nproxy-status: proxy; "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\nthe head of the request took too long\n"),
        "{answer}"
    );
    stage.tells("header_timeout").await;
    let answered = admin::metric(
        stage.proxy.address("admin"),
        r#"proxy_responses_total{listener="web",status="408"}"#,
    );
    assert_eq!(answered.await, Some(1.0));
}

#[tokio::test]
async fn bodies_that_pause_are_refused() {
    let stage = Stage::start("body_idle = \"150ms\"").await;
    let mut client = stage.http2().await;
    let (pieces, body) = channel();
    let sending =
        tokio::spawn(async move { client.send(Request::post("/").body(body).unwrap()).await });
    pieces.send("a piece").await;
    let response = sending.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    stage.tells("body_idle").await;
}

#[tokio::test]
async fn idle_connections_end() {
    let stage = Stage::start("idle_timeout = \"150ms\"").await;
    let mut stream = stage.connect().await;
    stream.write_all(GET).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stage.tells("idle_timeout").await;
}

#[tokio::test]
async fn old_connections_end() {
    let stage = Stage::start("connection_age = \"150ms\"").await;
    let mut stream = stage.connect().await;
    stream.write_all(GET).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    stage.tells("connection_age").await;
}

#[tokio::test]
async fn streams_are_as_many_as_the_client_was_told() {
    let stage = Stage::start("http2_streams = 1").await;
    let mut client = stage.http2().await;
    let request = Request::get("/hang").body(empty()).unwrap();
    let _hanging = tokio::spawn(async move { client.send(request).await });
    stage.tells("http2_streams").await;
}

#[tokio::test]
async fn silent_tunnels_end() {
    let stage = Stage::start("upgrade_idle = \"300ms\"").await;
    let mut stream = stage.connect().await;
    stream
        .write_all(b"GET /upgrade HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stage.tells("upgrade_idle").await;
}

/// The built binary with one key of `[limits]`, and an endpoint.
struct Stage {
    proxy: ProxyProcess,
    hanging: Arc<AtomicBool>,
    _upstream: Upstream,
    _directory: TempDir,
}

impl Stage {
    async fn start(limit: &str) -> Self {
        let hanging = Arc::new(AtomicBool::new(false));
        let hangs = hanging.clone();
        let upstream = Upstream::start(move |request| {
            let hangs = hangs.clone();
            async move {
                match request.uri().path() {
                    "/hang" => {
                        hangs.store(true, Relaxed);
                        pending::<()>().await;
                    }
                    "/upgrade" => {
                        let upgrade = Response::builder()
                            .status(StatusCode::SWITCHING_PROTOCOLS)
                            .header("connection", "upgrade")
                            .header("upgrade", "echo");
                        tokio::spawn(async move {
                            let _silent = hyper::upgrade::on(request).await;
                            pending::<()>().await;
                        });
                        return upgrade.body(empty()).unwrap();
                    }
                    _ => {}
                }
                let _ = request.into_body().collect().await;
                Response::new(full("served"))
            }
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let cluster = format!("endpoints = [\"{}\"]\n[limits]\n{limit}", upstream.address);
        let config = directory.path().join("proxy.toml");
        std::fs::write(&config, crate::support::cleartext(&cluster)).unwrap();
        Self {
            proxy: ProxyProcess::start(&config, &["web", "admin"]).await,
            hanging,
            _upstream: upstream,
            _directory: directory,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address("web")).await.unwrap()
    }

    async fn http2(&self) -> Client<TestBody> {
        Client::connect(self.proxy.address("web"), Version::HTTP_2).await
    }

    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The proxy may refuse before it has read everything.
        let _ = stream.write_all(bytes).await;
        until_closed(&mut stream).await
    }

    fn upstream_hangs(&self) -> bool {
        self.hanging.load(Relaxed)
    }

    /// The log and the metrics name the limit.
    async fn tells(&self, limit: &str) {
        let line = format!("limit reached listener=web limit=\"{limit}\" times=1");
        eventually(&line, || self.proxy.log().contains(&line)).await;
        self.has_counted(limit, 1.0).await;
    }

    async fn has_counted(&self, limit: &str, times: f64) {
        let series = format!(r#"proxy_limits_reached_total{{listener="web",limit="{limit}"}}"#);
        let counted = admin::metric(self.proxy.address("admin"), &series).await;
        assert_eq!(counted, Some(times), "{series}");
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
const GET_HANGING: &[u8] = b"GET /hang HTTP/1.1\r\nhost: a.test\r\n\r\n";
