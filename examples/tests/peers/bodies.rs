//! Long bodies pass through the built proxy, and leave nothing behind.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};

use crate::{
    front::{Hops, get, protocol},
    support::{
        body::{TestBody, full, long},
        cleartext,
        client::{Client, text},
        memory::peak,
        process::ProxyProcess,
        upstream::Upstream,
    },
};

through_all_hops!(
    an_upload_passes_in_flat_memory,
    a_download_passes_in_flat_memory,
    a_slow_reader_costs_no_memory,
);

async fn an_upload_passes_in_flat_memory(hops: Hops) {
    let mut world = World::start(hops).await;
    let (_, body) = long(LENGTH);
    let request = Request::put("/").body(body).unwrap();
    let response = world.client.send(request).await.unwrap();
    assert_eq!(text(response).await, LENGTH.to_string());
    world.assert_flat();
}

async fn a_download_passes_in_flat_memory(hops: Hops) {
    let mut world = World::start(hops).await;
    let response = world.client.send(get("/long")).await.unwrap();
    assert_eq!(count(response.into_body(), |_| None).await, LENGTH);
    world.assert_flat();
}

async fn a_slow_reader_costs_no_memory(hops: Hops) {
    let mut world = World::start(hops).await;
    let response = world.client.send(get("/long")).await.unwrap();
    let begun = Instant::now();
    // A megabyte a second for two seconds, then as fast as it comes.
    let pause = |received: usize| {
        let due = Duration::from_secs_f64(received as f64 / 1e6);
        let lived = Instant::now() - begun;
        (lived < Duration::from_secs(2)).then(|| due.saturating_sub(lived))
    };
    assert_eq!(count(response.into_body(), pause).await, LENGTH);
    world.assert_flat();
}

struct World {
    proxy: ProxyProcess,
    client: Client<TestBody>,
    before: usize,
    _upstream: Upstream,
}

impl World {
    async fn start(hops: Hops) -> Self {
        let upstream = Upstream::start(answer).await;
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("proxy.toml");
        let (protocol, address) = (protocol(hops.upstream), upstream.address);
        let cluster = format!(
            "protocol = \"{protocol}\"\nendpoints = [\"{address}\"]\nbalance = {{ wait = \"10s\" }}"
        );
        std::fs::write(&config, cleartext(&cluster)).unwrap();
        let proxy = ProxyProcess::start(&config, &["web"]).await;
        let mut client = Client::connect(proxy.address("web"), hops.client).await;
        // What is made once, with the first request, is not meant.
        assert_eq!(text(client.send(get("/")).await.unwrap()).await, "0");
        Self {
            before: peak(&proxy),
            proxy,
            client,
            _upstream: upstream,
        }
    }

    fn assert_flat(&self) {
        let growth = peak(&self.proxy) - self.before;
        eprintln!("{} KiB, and {} more", self.before / 1024, growth / 1024);
        assert!(growth < BOUND, "{growth} bytes more than {}", self.before);
    }
}

/// A long body where it is asked for; else how many bytes came.
async fn answer(request: Request<Incoming>) -> Response<TestBody> {
    if request.uri().path() == "/long" {
        return Response::new(long(LENGTH).1);
    }
    let received = count(request.into_body(), |_| None).await;
    Response::new(full(received.to_string()))
}

/// Reads a body to its end, piece by piece, with a pause where there shall be one.
async fn count(mut body: Incoming, pause: impl Fn(usize) -> Option<Duration>) -> usize {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().data_ref().map_or(0, Bytes::len);
        if let Some(pause) = pause(received) {
            sleep(pause).await;
        }
    }
    received
}

const LENGTH: usize = 100 << 20;

/// Windows of a mebibyte a connection of HTTP/2, and what the allocator makes of them.
const BOUND: usize = 6 << 20;
