//! A second attempt beside a slow first one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use examples::{
    cluster::{
        ClusterStatus,
        layers::{HedgePolicy, HttpPolicy, SentAgain},
    },
    proxy::Proxy,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tower_retry_budget::{Kind, Next, Policy, Prepare, http::StatusPolicy};

use crate::{
    front::bounded,
    support::{
        self, admin,
        body::{TestBody, empty, full},
        client::{Client, text},
        eventually,
        upstream::Upstream,
    },
};

/// Two endpoints, of which whichever is asked first for `/slow…` takes a minute for it.
struct Pair {
    proxy: Proxy,
    asked: Arc<Mutex<Vec<(usize, String)>>>,
    _directory: TempDir,
    _upstreams: [Upstream; 2],
}

impl Pair {
    /// `more` is the rest of the cluster's table.
    async fn start(more: &str) -> Self {
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let slow = Arc::<AtomicUsize>::default();
        let upstreams = [0, 1].map(|number| {
            let (asked, slow) = (asked.clone(), slow.clone());
            Upstream::start(move |request: Request<Incoming>| {
                let path = request.uri().path().to_owned();
                let is_slow = path.starts_with("/slow") && slow.fetch_add(1, Relaxed) == 0;
                asked.lock().unwrap().push((number, path));
                async move {
                    if is_slow {
                        sleep(Duration::from_secs(60)).await;
                    }
                    // Nothing answers at once, so that all of them are learnt from.
                    sleep(Duration::from_millis(2)).await;
                    let mut response = Response::new(full(number.to_string()));
                    for (told, seen) in [
                        ("x-retry-attempt", "seen-attempt"),
                        ("grpc-previous-rpc-attempts", "seen-previous"),
                    ] {
                        if let Some(told) = request.headers().get(told) {
                            response.headers_mut().insert(seen, told.clone());
                        }
                    }
                    response
                }
            })
        });
        let [first, second] = upstreams;
        let upstreams = [first.await, second.await];
        let [first, second] = [&upstreams[0], &upstreams[1]].map(|upstream| upstream.address);
        let directory = tempfile::tempdir().unwrap();
        let cluster = format!("endpoints = [\"{first}\", \"{second}\"]\n{more}");
        let proxy = support::start(&directory, &support::cleartext(&cluster));
        let both_ready = || proxy.status()[0].ready == 2;
        eventually("both endpoints are ready", both_ready).await;
        Self {
            proxy,
            asked,
            _directory: directory,
            _upstreams: upstreams,
        }
    }

    async fn ask(&self, requests: usize) {
        let mut client = self.client().await;
        for _ in 0..requests {
            get(&mut client, "/").await;
        }
    }

    /// Lets the proxy learn how long answers take. Tells how many it took.
    async fn learn(&self) -> u64 {
        let mut asked = 0;
        while self.status().hedges.unwrap().delay_ms.is_none() {
            assert!(asked < 2_000, "it does not learn");
            self.ask(20).await;
            asked += 20;
        }
        asked
    }

    async fn client(&self) -> Client<TestBody> {
        Client::connect(self.proxy.address("web").unwrap(), Version::HTTP_11).await
    }

    fn status(&self) -> ClusterStatus {
        self.proxy.status().remove(0)
    }

    /// Which endpoints were asked for `path`.
    fn asked(&self, path: &str) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        let asked = asked.iter().filter(|(_, asked)| asked == path);
        asked.map(|(endpoint, _)| *endpoint).collect()
    }
}

/// Nothing but `/slow` takes so long: a hedge on the way would cost the loser's connection.
const HEDGE: &str = "retry = { attempts = 2, attempt_header = \"x-retry-attempt\", hedge = { min_samples = 20, min_delay = \"300ms\" } }";

#[tokio::test]
async fn a_slow_request_is_hedged_at_the_other_endpoint_and_the_winner_is_counted() {
    let pair = Pair::start(HEDGE).await;
    let learnt = pair.learn().await;
    let mut client = pair.client().await;
    let began = Instant::now();
    let request = Request::put("/slow").header("content-type", "application/grpc");
    let request = request.body(full("whole")).unwrap();
    let answer = bounded(client.send(request)).await.unwrap();
    assert!(Instant::now().saturating_duration_since(began) < Duration::from_secs(30));
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["seen-attempt"], "2");
    assert_eq!(answer.headers()["seen-previous"], "1");
    let asked = pair.asked("/slow");
    assert_eq!(asked.len(), 2);
    assert_ne!(
        asked[0],
        asked[1],
        "a hedge goes elsewhere: {:?}",
        pair.status()
    );
    assert_eq!(text(answer).await, asked[1].to_string());

    let status = pair.status();
    let hedges = status.hedges.unwrap();
    assert_eq!(hedges.won_second, 1, "{hedges:?}");
    assert_eq!(status.retries.retries, 0, "it is no retry");
    let kinds = status.budget.unwrap().kinds;
    let paid = kinds.iter().find(|kind| kind.kind == "hedge").unwrap();
    assert_eq!(paid.granted, hedges.sent);
    let admin = pair.proxy.admin();
    let won = "proxy_hedges_ended_total{cluster=\"backend\",winner=\"second\"}";
    let won = admin::metric(admin, won).await;
    assert_eq!(won, Some(hedges.won_second as f64));
    let sent = admin::metric(admin, "proxy_hedges_total{cluster=\"backend\"}").await;
    assert_eq!(sent, Some(hedges.sent as f64));
    let attempts = admin::metric(admin, "proxy_attempts_total{cluster=\"backend\"}").await;
    assert_eq!(attempts, Some((learnt + 1 + hedges.sent) as f64));
}

#[tokio::test]
async fn what_may_not_be_sent_twice_is_never_hedged() {
    let pair = Pair::start(HEDGE).await;
    pair.learn().await;
    let mut client = pair.client().await;
    let request = Request::builder().method(Method::POST).uri("/slow");
    let request = request.body(full("once")).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(1), client.send(request)).await;
    assert!(waited.is_err(), "the slow one is waited for");
    assert_eq!(pair.asked("/slow").len(), 1);
}

#[tokio::test]
async fn nothing_is_hedged_unless_the_table_says_so() {
    let pair = Pair::start("retry = { attempts = 2 }").await;
    pair.ask(40).await;
    let mut client = pair.client().await;
    let request = Request::get("/slow").body(empty()).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(1), client.send(request)).await;
    assert!(waited.is_err());
    assert_eq!(pair.asked("/slow").len(), 1);
    assert!(pair.status().hedges.is_none());
}

#[tokio::test]
async fn each_route_learns_for_itself_and_may_have_none() {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let is_other = request.uri().path() == "/other";
        sleep(Duration::from_millis(if is_other { 700 } else { 2 })).await;
        Response::new(empty())
    });
    let upstream = upstream.await;
    let cluster = format!(
        "endpoints = [\"{}\"]\nretry = {{ hedge = {{ min_samples = 20, min_delay = \"300ms\" }} }}\n\
         [[route]]\nlistener = \"web\"\npath_prefix = \"/off\"\ncluster = \"backend\"\nretry = {{ hedge = \"off\" }}\n\
         [[route]]\nlistener = \"web\"\npath_prefix = \"/as-the-cluster\"\ncluster = \"backend\"\n\
         [[route]]\nlistener = \"web\"\ncluster = \"backend\"\n",
        upstream.address
    );
    let proxy = support::start(&directory, &support::cleartext(&cluster));
    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    let delay = || proxy.status()[0].hedges.as_ref().unwrap().delay_ms;
    for _ in 0..300 {
        get(&mut client, "/off").await;
    }
    assert_eq!(delay(), None);
    let mut asked = 0;
    while delay().is_none() {
        get(&mut client, "/as-the-cluster").await;
        asked += 1;
        assert!(asked < 2_000, "it does not learn");
    }
    assert!(asked >= 20);
    let sent = || proxy.status()[0].hedges.as_ref().unwrap().sent;
    let before = sent();
    get(&mut client, "/other").await;
    assert_eq!(sent(), before, "that route has learnt nothing yet");
}

#[test]
fn what_is_sent_again_is_not_hedged() {
    let policy = HedgePolicy::new(HttpPolicy::new(StatusPolicy::new()));
    let retryable = |request: &Request<()>| {
        Policy::<_, Response<()>, support::BoxError>::retryable(&policy, request)
    };
    let mut request = Request::new(());
    assert!(retryable(&request));
    SentAgain::default().prepare(&mut request, Next::retry(2, Kind::Transient));
    assert!(!retryable(&request));
}

async fn get(client: &mut Client<TestBody>, path: &str) {
    let request = Request::get(path).body(empty()).unwrap();
    let answer = bounded(client.send(request)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    text(answer).await;
}
