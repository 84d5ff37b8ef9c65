//! A proxy that may hold 40 MiB sheds what it cannot carry, and lives.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use futures::future::join_all;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    front::{bounded, get},
    support::{
        admin::{self, metric, metric_becomes},
        body::{TestBody, empty, full, long, noise},
        client::{Client, text},
        memory::{Ceiling, peak, resident},
        process::ProxyProcess,
        tools::allow_open_files,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn requests_that_pile_up_are_shed() {
    let mut world = World::start(Version::HTTP_11, 1000, 100).await;
    for _round in 0..5 {
        world.crowd.ask(|| get("/")).await;
    }
    world.assert_alive();
    world.crowd.assert_served_and_shed();
    assert_eq!(world.crowd.broken, 0, "nobody is cut off");
    let answers = world.crowd.answers.clone();
    for (status, count) in answers {
        let series = format!("proxy_responses_total{{listener=\"web\",status=\"{status}\"}}");
        metric_becomes(world.admin(), &series, count as f64).await;
    }
    world.lives_on().await;
}

#[tokio::test]
async fn large_heads_fit() {
    let mut world = World::start(Version::HTTP_11, 1000, 100).await;
    let fields = "x".repeat(5 << 10);
    for _round in 0..5 {
        let large = || {
            let request = Request::get("/").header("x-fields", &fields);
            request.body(empty()).unwrap()
        };
        world.crowd.ask(large).await;
    }
    world.assert_alive();
    world.crowd.assert_served_and_shed();
    world.lives_on().await;
}

#[tokio::test]
async fn uploads_that_wait_fit() {
    let mut world = World::start(Version::HTTP_11, 1000, 100).await;
    let body = noise(256 << 10);
    for _round in 0..3 {
        let upload = || Request::put("/").body(full(body.clone())).unwrap();
        world.crowd.ask(upload).await;
    }
    world.assert_alive();
    world.crowd.assert_served_and_shed();
    world.lives_on().await;
}

#[tokio::test]
async fn downloads_that_nobody_reads_fit() {
    let mut world = World::start(Version::HTTP_11, 1000, 100).await;
    let pause = Duration::from_millis(500);
    world.crowd.ask_and_read_after(pause, || get("/long")).await;
    world.assert_alive();
    world.crowd.assert_served_and_shed();
    world.lives_on().await;
}

/// Each stream of HTTP/2 may hold a window of 256 KiB, so fewer requests are taken on.
#[tokio::test]
async fn uploads_over_http2_that_wait_fit() {
    let mut world = World::start(Version::HTTP_2, 300, 50).await;
    let body = noise(1 << 20);
    for _round in 0..3 {
        let upload = || Request::put("/").body(full(body.clone())).unwrap();
        world.crowd.ask(upload).await;
    }
    world.assert_alive();
    world.crowd.assert_served_and_shed();
    world.lives_on().await;
}

struct World {
    proxy: ProxyProcess,
    crowd: Crowd,
    _upstream: Upstream,
    ceiling: Ceiling,
}

/// Clients that stay.
struct Crowd {
    proxy: SocketAddr,
    version: Version,
    clients: Vec<Client<TestBody>>,
    answers: BTreeMap<u16, usize>,
    /// Those whose connection ended before an answer.
    broken: usize,
}

impl World {
    async fn start(version: Version, connections: usize, requests: usize) -> Self {
        allow_open_files(4000);
        let upstream = Upstream::start(answer).await;
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("proxy.toml");
        std::fs::write(&config, config_for(&upstream, requests)).unwrap();
        let ceiling = Ceiling::new(CEILING);
        let command = ceiling.proxy("run");
        let proxy = ProxyProcess::start_as(command, &config, &["web", "admin"]).await;
        let web = proxy.address("web");
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(Client::connect(web, version).await);
        }
        let world = Self {
            proxy,
            crowd: Crowd {
                proxy: web,
                version,
                clients,
                answers: BTreeMap::new(),
                broken: 0,
            },
            _upstream: upstream,
            ceiling,
        };
        let open = "proxy_connections_open{listener=\"web\"}";
        metric_becomes(world.admin(), open, connections as f64).await;
        world
    }

    fn admin(&self) -> SocketAddr {
        self.proxy.address("admin")
    }

    fn assert_alive(&mut self) {
        let exited = self.proxy.child.try_wait().unwrap();
        assert!(exited.is_none(), "{exited:?}: {}", self.proxy.log());
    }

    /// Alive with all its clients, and as good as new without them.
    async fn lives_on(mut self) {
        let crowd = &self.crowd;
        eprintln!(
            "{:?}, {} broken, {} KiB now, {} KiB at most, {:?} bytes by the kernel",
            crowd.answers,
            crowd.broken,
            resident(&self.proxy) >> 10,
            peak(&self.proxy) >> 10,
            self.ceiling.peak(),
        );
        self.assert_alive();
        let (live, _) = admin::get(self.admin(), "/live").await;
        assert_eq!(live, StatusCode::OK);
        let open = metric(self.admin(), "proxy_connections_open{listener=\"web\"}").await;
        assert!(open > Some(0.0), "its clients are still there");

        self.crowd.clients.clear();
        for _ in 0..5 {
            let mut client = Client::connect(self.crowd.proxy, Version::HTTP_11).await;
            let response = client.send(get("/")).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(text(response).await, "0");
        }
    }
}

impl Crowd {
    /// All at once.
    async fn ask(&mut self, request: impl Fn() -> Request<TestBody>) {
        self.ask_and_read_after(Duration::ZERO, request).await;
    }

    /// All at once; they take their time between an answer's head and its body.
    async fn ask_and_read_after(
        &mut self,
        pause: Duration,
        request: impl Fn() -> Request<TestBody>,
    ) {
        let (proxy, version) = (self.proxy, self.version);
        let asking = self.clients.iter_mut().map(|client| {
            let request = request();
            async move {
                if client.is_closed() {
                    // Where nobody listens any more, the test says why.
                    drop(TcpStream::connect(proxy).await.ok()?);
                    *client = Client::connect(proxy, version).await;
                }
                let response = client.send(request).await.ok()?;
                let status = response.status().as_u16();
                sleep(pause).await;
                response.into_body().collect().await.ok()?;
                Some(status)
            }
        });
        for status in bounded(join_all(asking)).await {
            match status {
                Some(status) => *self.answers.entry(status).or_default() += 1,
                None => self.broken += 1,
            }
        }
    }

    fn assert_served_and_shed(&self) {
        let statuses: Vec<_> = self.answers.keys().copied().collect();
        assert_eq!(statuses, [200, 503], "{:?}", self.answers);
    }
}

/// Slow, so that requests pile up; says how many bytes came.
async fn answer(request: Request<Incoming>) -> Response<TestBody> {
    sleep(Duration::from_millis(50)).await;
    if request.uri().path() == "/long" {
        return Response::new(long(16 << 20).1);
    }
    let received = request.into_body().collect().await;
    let length = received.map_or(0, |body| body.to_bytes().len());
    Response::new(full(length.to_string()))
}

fn config_for(upstream: &Upstream, requests: usize) -> String {
    format!(
        r#"
threads = 1

[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "backend"

[[cluster]]
name = "backend"
protocol = "http1"
endpoints = ["{}"]
reconnect = {{ max_connections = 16, connect_timeout = "5s" }}
balance = {{ wait = "5s" }}

[limits]
connections = 1000
requests = {requests}
header_bytes = "8KiB"
"#,
        upstream.address
    )
}

// The tests take 28 to 33 MB in a build without optimisation: with 32 MiB one of them was killed in one of
// eight runs.
const CEILING: usize = 40 << 20;
