//! A request for which no connection could be made goes to another endpoint, a `POST` as well.

use std::{convert::Infallible, future::Future, net::SocketAddr, time::Duration};

use examples::{cluster::ClusterStatus, listen::bind, proxy::Proxy};
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use crate::{
    front::bounded,
    support::{
        self,
        body::{TestBody, full, long},
        client::{Client, text},
        eventually,
        port::ReservedPort,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn posts_whose_connection_is_refused_are_sent_to_another_endpoint() {
    for table in [
        "",
        "retry = {}\n",
        "retry = { per_try = \"50s\", hedge = {} }\n",
    ] {
        // Longer than `body_limit`, and of either framing.
        posts_go_elsewhere(table, || full(vec![b'x'; LONG])).await;
        posts_go_elsewhere(table, || long(LONG).1).await;
    }
}

async fn posts_go_elsewhere(table: &str, body: impl Fn() -> TestBody) {
    let refusing = Once::start();
    let taking = Upstream::start(counting).await;
    let (proxy, _directory) = start(&[refusing.port.address, taking.address], table);
    eventually("both are listed", || status(&proxy).endpoints.len() == 2).await;
    refusing.refuses(&proxy).await;

    let began = Instant::now();
    let mut posts = JoinSet::new();
    for _ in 0..POSTS {
        let answer = post(&proxy, body()).await;
        posts.spawn(async {
            let answer = answer.await;
            (answer.status(), text(answer).await)
        });
    }
    while let Some(answer) = posts.join_next().await {
        assert_eq!(answer.unwrap(), (StatusCode::OK, LONG.to_string()));
    }
    let took = Instant::now().saturating_duration_since(began);
    assert!(took < CONNECT_TIMEOUT / 2, "nobody waits: {took:?}");

    let status = status(&proxy);
    let retries = status.retries;
    assert!(retries.resent > 0, "none was refused: {retries:?}");
    assert_eq!(retries.retries, 0, "nothing was paid for");
    assert_eq!(status.attempts, POSTS + retries.resent);
    let [one, other] = &status.endpoints[..] else {
        panic!("{status:?}");
    };
    assert_eq!(one.requests + other.requests, POSTS + retries.resent);
    assert_eq!(one.failures, retries.resent, "a refused connection is one");
    assert_eq!(other.failures, 0);
}

#[tokio::test]
async fn posts_wait_for_an_endpoint_that_has_no_other_beside_it() {
    let refusing = Once::start();
    let address = refusing.port.address;
    let (proxy, _directory) = start(&[address], "balance = { wait = \"20s\" }");
    eventually("it is listed", || status(&proxy).endpoints.len() == 1).await;
    refusing.refuses(&proxy).await;
    let mut posts = JoinSet::new();
    for _ in 0..4 {
        posts.spawn(post(&proxy, full("x")).await);
    }
    let failures = || status(&proxy).endpoints[0].failures;
    eventually("connections were refused", || failures() > 0).await;
    let _upstream = Upstream::start_at(address, None, counting).await;
    while let Some(answer) = posts.join_next().await {
        assert_eq!(answer.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(failures(), status(&proxy).retries.resent);
}

#[tokio::test]
async fn posts_for_which_there_is_no_connection_in_time_are_told_so() {
    let refusing = Once::start();
    let more = "balance = { wait = \"300ms\" }";
    let (proxy, _directory) = start(&[refusing.port.address], more);
    eventually("it is listed", || status(&proxy).endpoints.len() == 1).await;
    refusing.refuses(&proxy).await;
    let mut posts = JoinSet::new();
    for _ in 0..4 {
        posts.spawn(post(&proxy, full("x")).await);
    }
    let mut told = 0;
    while let Some(answer) = posts.join_next().await {
        let answer = answer.unwrap();
        // One had the connection.
        if answer.status() != StatusCode::OK {
            told += 1;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            let reason = answer.headers()["proxy-status"].to_str().unwrap();
            assert!(reason.contains("no endpoint was ready in time"), "{reason}");
        }
    }
    assert!(told > 0);
}

/// An endpoint that accepts one connection, and then listens no more.
struct Once {
    port: ReservedPort,
    accepting: JoinHandle<()>,
}

impl Once {
    fn start() -> Self {
        let port = ReservedPort::new();
        let listener = bind(port.address).unwrap();
        let accepting = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            drop(listener);
            let serving = http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                service_fn(|request| async { Ok::<_, Infallible>(counting(request).await) }),
            );
            tokio::spawn(serving);
        });
        Self { port, accepting }
    }

    /// Until the proxy has its one connection, and nobody listens any more.
    async fn refuses(&self, proxy: &Proxy) {
        let connected = || {
            let endpoints = status(proxy).endpoints;
            !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.ready)
        };
        eventually("all are connected", connected).await;
        eventually("nobody listens", || self.accepting.is_finished()).await;
    }
}

/// Tells how long the request's body is, after so long that the next one needs another connection.
async fn counting(request: Request<Incoming>) -> Response<TestBody> {
    let length = request
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .len();
    sleep(Duration::from_millis(300)).await;
    Response::new(full(length.to_string()))
}

/// `more` is the rest of the cluster's table.
fn start(endpoints: &[SocketAddr], more: &str) -> (Proxy, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let endpoints: Vec<_> = endpoints.iter().map(SocketAddr::to_string).collect();
    let cluster = format!(
        "endpoints = {endpoints:?}\nreconnect = {{ connect_timeout = {:?} }}\n{more}",
        format!("{}s", CONNECT_TIMEOUT.as_secs())
    );
    let proxy = support::start(&directory, &support::cleartext(&cluster));
    (proxy, directory)
}

async fn post(proxy: &Proxy, body: TestBody) -> impl Future<Output = Response<Incoming>> + 'static {
    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    let post = Request::post("/").body(body).unwrap();
    async move { bounded(client.send(post)).await.unwrap() }
}

fn status(proxy: &Proxy) -> ClusterStatus {
    proxy.status().remove(0)
}

const POSTS: u64 = 30;
/// More than `body_limit`.
const LONG: usize = 128 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(40);
