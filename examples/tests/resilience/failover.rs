//! An endpoint that is killed and restarted under load, and what may and may not be sent twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use examples::proxy::Proxy;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::support::{
    admin, cleartext,
    client::{Client, text},
    eventually,
    load::{Load, Tally},
    port::ReservedPort,
    process::ProxyProcess,
    start,
    upstream::Upstream,
};

#[tokio::test]
async fn clients_do_not_see_an_http1_endpoint_die_and_come_back() {
    in_process("http1", Version::HTTP_11).await;
}

#[tokio::test]
async fn clients_do_not_see_an_http2_endpoint_die_and_come_back() {
    in_process("http2", Version::HTTP_2).await;
}

#[tokio::test]
async fn clients_of_the_built_binary_do_not_see_an_endpoint_die_and_come_back() {
    let mut cast = Cast::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    std::fs::write(&path, cleartext(&cast.cluster("http1"))).unwrap();
    let proxy = ProxyProcess::start(&path, &["web", "admin"]).await;
    let load = Load::start(proxy.address("web"), Version::HTTP_11, CLIENTS);

    cast.play(&load, || true).await;
    let recovered = admin::metric(
        proxy.address("admin"),
        "proxy_retries_recovered_total{cluster=\"backend\"}",
    )
    .await;
    nobody_noticed(&load.finish().await, recovered.unwrap());
}

#[tokio::test]
async fn a_post_that_an_http1_endpoint_has_read_is_not_sent_twice() {
    a_post_that_was_read_is_not_sent_twice("http1").await;
}

#[tokio::test]
async fn a_post_that_an_http2_endpoint_has_read_is_not_sent_twice() {
    a_post_that_was_read_is_not_sent_twice("http2").await;
}

#[tokio::test]
async fn a_post_goes_to_those_who_are_alive() {
    let dead = ReservedPort::new();
    let served = Arc::<Served>::default();
    let alive = counting(&ReservedPort::new(), &served).await;
    let proxy = proxy_for("http1", &[dead.address, alive.address]);
    eventually("the dead one is known", || {
        state(&proxy, 0) == "backing off"
    })
    .await;
    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    for number in 0..50 {
        let response = client.send(post(number)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        text(response).await;
    }
    assert_eq!(served.count(), 50);
    assert_eq!(
        proxy.status()[0].retries.retries,
        0,
        "it was never offered to the dead one"
    );
}

/// The one that is killed keeps idle connections at the proxy: they must not cost a POST either.
#[tokio::test]
async fn a_post_after_an_endpoint_died_goes_to_those_who_are_alive() {
    let port = ReservedPort::new();
    let counts = [Arc::<Served>::default(), Arc::default()];
    let dying = counting(&port, &counts[0]).await;
    let staying = counting(&ReservedPort::new(), &counts[1]).await;
    let proxy = proxy_for("http1", &[dying.address, staying.address]);
    let load = Load::start(proxy.address("web").unwrap(), Version::HTTP_11, CLIENTS);
    eventually("both serve", || {
        counts.iter().all(|count| count.count() > 20)
    })
    .await;
    dying.kill().await;
    eventually("the death is known", || state(&proxy, 0) == "backing off").await;
    assert_eq!(load.finish().await.failures, Vec::<String>::new());

    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    for number in 0..50 {
        let response = client.send(post(number)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        text(response).await;
    }
}

async fn in_process(protocol: &str, client: Version) {
    let mut cast = Cast::start().await;
    let directory = tempfile::tempdir().unwrap();
    let proxy = start(&directory, &cleartext(&cast.cluster(protocol)));
    let load = Load::start(proxy.address("web").unwrap(), client, CLIENTS);
    cast.play(&load, || {
        proxy.status()[0].endpoints[0].connection.dial_failures > 0
    })
    .await;
    let recovered = proxy.status()[0].retries.recovered;
    nobody_noticed(&load.finish().await, recovered as f64);
}

fn nobody_noticed(tally: &Tally, recovered: f64) {
    assert_eq!(tally.failures, Vec::<String>::new());
    assert_eq!(tally.never_accepted, 0);
    assert!(
        tally.whole >= 300,
        "a load of {} requests shows nothing",
        tally.whole
    );
    assert_eq!(tally.reconnected, 0, "the proxy let a client go");
    assert!(
        recovered > 0.0,
        "no request met the dying endpoint: the test saw nothing"
    );
}

async fn a_post_that_was_read_is_not_sent_twice(protocol: &str) {
    let read = Arc::new(Notify::new());
    let count = Arc::<AtomicUsize>::default();
    let handler = |count: Arc<AtomicUsize>, read: Arc<Notify>| {
        move |request: Request<Incoming>| {
            let (count, read) = (count.clone(), read.clone());
            async move {
                request.into_body().collect().await.unwrap();
                count.fetch_add(1, Relaxed);
                read.notify_one();
                std::future::pending::<Response<Full<Bytes>>>().await
            }
        }
    };
    let upstreams = [
        Upstream::start(handler(count.clone(), read.clone())).await,
        Upstream::start(handler(count.clone(), read.clone())).await,
    ];
    let addresses = upstreams.each_ref().map(|upstream| upstream.address);
    let proxy = proxy_for(protocol, &addresses);
    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    let sending = tokio::spawn(async move { client.send(post(1)).await.unwrap() });
    read.notified().await;
    for upstream in upstreams {
        upstream.kill().await;
    }
    let response = sending.await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let reason = response.headers()["proxy-status"].to_str().unwrap();
    assert!(reason.contains("connection_terminated"), "{reason}");
    assert_eq!(count.load(Relaxed), 1);
    assert_eq!(proxy.status()[0].retries.retries, 0);
}

fn proxy_for(protocol: &str, endpoints: &[std::net::SocketAddr]) -> Proxy {
    let directory = tempfile::tempdir().unwrap();
    start(&directory, &cleartext(&cluster(protocol, endpoints)))
}

fn cluster(protocol: &str, endpoints: &[std::net::SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!(
        r#"protocol = "{protocol}"
endpoints = {endpoints:?}
retry = {{}}
reconnect = {{ backoff = {{ base = "50ms", max = "400ms" }} }}"#
    )
}

fn state(proxy: &Proxy, endpoint: usize) -> &'static str {
    proxy.status()[0]
        .endpoints
        .get(endpoint)
        .map_or("unknown", |endpoint| endpoint.connection.state)
}

fn post(number: u32) -> Request<Full<Bytes>> {
    Request::post("/order")
        .body(format!("order {number}").into())
        .unwrap()
}

/// Three upstreams, the first of which will die.
struct Cast {
    port: ReservedPort,
    served: [Arc<Served>; 3],
    dying: Option<Upstream>,
    others: [Upstream; 2],
}

impl Cast {
    async fn start() -> Self {
        let port = ReservedPort::new();
        let served: [Arc<Served>; 3] = Default::default();
        let dying = Some(counting(&port, &served[0]).await);
        let others = [
            counting(&ReservedPort::new(), &served[1]).await,
            counting(&ReservedPort::new(), &served[2]).await,
        ];
        Self {
            port,
            served,
            dying,
            others,
        }
    }

    fn cluster(&self, protocol: &str) -> String {
        cluster(
            protocol,
            &[
                self.port.address,
                self.others[0].address,
                self.others[1].address,
            ],
        )
    }

    /// All serve; the first dies; the others go on for a second; it comes back, not before the proxy
    /// has looked for it, and serves.
    async fn play(&mut self, load: &Load, is_dialled: impl FnMut() -> bool) {
        eventually("all serve", || {
            self.served.iter().all(|count| count.count() > 30)
        })
        .await;
        let dying = self.dying.take().unwrap();
        self.served[0].stuck.store(true, Relaxed);
        eventually("some are in flight", || self.served[0].in_progress() > 1).await;
        dying.kill().await;
        let before = load.whole();
        tokio::time::sleep(Duration::from_secs(1)).await;
        eventually("the others go on", || load.whole() > before + 100).await;
        // Ejected, it is dialled for the next probe and not before.
        eventually("the dead one is dialled", is_dialled).await;
        self.served[0] = Arc::default();
        self.dying = Some(counting(&self.port, &self.served[0]).await);
        eventually("traffic returns", || self.served[0].count() > 30).await;
    }
}

/// What one upstream has done and is doing.
#[derive(Default)]
struct Served {
    count: AtomicUsize,
    in_progress: AtomicUsize,
    /// Requests that come are begun, and not ended.
    stuck: AtomicBool,
}

/// A request that an upstream works on, until it is answered or the upstream dies.
struct InProgress(Arc<Served>);

impl Served {
    fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn in_progress(&self) -> usize {
        self.in_progress.load(Relaxed)
    }

    fn begin(self: &Arc<Self>) -> InProgress {
        self.count.fetch_add(1, Relaxed);
        self.in_progress.fetch_add(1, Relaxed);
        InProgress(self.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Relaxed);
    }
}

/// Counts requests, and takes 3 ms for each.
async fn counting(port: &ReservedPort, served: &Arc<Served>) -> Upstream {
    let served = served.clone();
    let handler = move |request: Request<Incoming>| {
        let served = served.clone();
        async move {
            request.into_body().collect().await.unwrap();
            let _in_progress = served.begin();
            tokio::time::sleep(Duration::from_millis(3)).await;
            if served.stuck.load(Relaxed) {
                std::future::pending::<()>().await;
            }
            Response::new(Full::new(Bytes::from_static(b"served")))
        }
    };
    Upstream::start_at(port.address, None, handler).await
}

const CLIENTS: usize = 12;
