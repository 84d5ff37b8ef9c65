//! Failures that come one by one are not the clients' business, and cost next to nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use examples::proxy::Proxy;
use http::{Request, Response, StatusCode, Version};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::support::{
    self,
    body::empty,
    client::{Client, read},
    eventually,
    upstream::Upstream,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_503_in_twenty_is_seen_by_no_client() {
    let counts = measure(Duration::from_secs(5)).await;
    // One request in 160,000 fails four times in a row, so that one of these is one run in sixty, and
    // two are one in eight thousand.
    assert!(counts.failed <= 1, "{counts:?}");
    assert!(counts.share_injected() > 0.03, "{counts:?}");
    // Three standard deviations above what the minute may have.
    assert!(counts.attempts_per_request() <= 1.074, "{counts:?}");
    assert!(counts.requests > 1_000, "{counts:?}");
}

/// `cargo test --release -p examples --test http -- --ignored --nocapture one_503`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn one_503_in_twenty_for_a_minute_is_seen_by_no_client() {
    let counts = measure(Duration::from_secs(60)).await;
    println!(
        "{} requests, {} failed, {} attempts ({:.4} a request), {:.4} injected",
        counts.requests,
        counts.failed,
        counts.attempts,
        counts.attempts_per_request(),
        counts.share_injected()
    );
    assert!(counts.requests > 25_000, "{counts:?}");
    let visible = counts.failed as f64 / counts.requests as f64;
    assert!(visible <= 1e-4, "{counts:?}");
    assert!(counts.attempts_per_request() <= 1.06, "{counts:?}");
}

#[derive(Debug)]
struct Counts {
    requests: u64,
    /// Of them, those whose client saw anything else than 200.
    failed: u64,
    attempts: u64,
    injected: u64,
}

impl Counts {
    fn attempts_per_request(&self) -> f64 {
        self.attempts as f64 / self.requests as f64
    }

    fn share_injected(&self) -> f64 {
        self.injected as f64 / self.attempts as f64
    }
}

/// 500 requests a second, at four endpoints that fail one in twenty each for itself, with the
/// default settings.
async fn measure(length: Duration) -> Counts {
    let (attempts, injected) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut upstreams = Vec::new();
    for _ in 0..ENDPOINTS {
        upstreams.push(failing(attempts.clone(), injected.clone()).await);
    }
    let (proxy, _directory) = start(&upstreams).await;
    let web = proxy.address("web").unwrap();
    let (requests, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (requests, failed) = (requests.clone(), failed.clone());
        clients.spawn(async move {
            let mut client = Client::connect(web, Version::HTTP_11).await;
            let every = Duration::from_secs(1) * CLIENTS / PER_SECOND;
            let mut ticks = interval(every);
            // 500 a second in all, whatever this machine does meanwhile.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for _ in 0..length.as_millis() / every.as_millis() {
                ticks.tick().await;
                let request = Request::get("/").body(empty()).unwrap();
                let answer = client.send(request).await.unwrap();
                requests.fetch_add(1, Relaxed);
                if answer.status() != StatusCode::OK {
                    failed.fetch_add(1, Relaxed);
                }
                read(answer).await;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    Counts {
        requests: requests.load(Relaxed),
        failed: failed.load(Relaxed),
        attempts: attempts.load(Relaxed),
        injected: injected.load(Relaxed),
    }
}

async fn start(upstreams: &[Upstream]) -> (Proxy, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let endpoints = upstreams
        .iter()
        .map(|upstream| upstream.address.to_string());
    let endpoints: Vec<_> = endpoints.collect();
    let cluster = format!("endpoints = {endpoints:?}\nretry = {{}}");
    let proxy = support::start(&directory, &support::cleartext(&cluster));
    let ready = || proxy.status()[0].ready == ENDPOINTS;
    eventually("all endpoints are ready", ready).await;
    (proxy, directory)
}

async fn failing(attempts: Arc<AtomicU64>, injected: Arc<AtomicU64>) -> Upstream {
    Upstream::start(move |_| {
        attempts.fetch_add(1, Relaxed);
        let fails = rand::random::<f64>() < INJECTED;
        if fails {
            injected.fetch_add(1, Relaxed);
        }
        async move {
            let mut response = Response::new(empty());
            if fails {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    })
    .await
}

const ENDPOINTS: usize = 4;
const CLIENTS: u32 = 20;
const PER_SECOND: u32 = 500;
const INJECTED: f64 = 0.05;
