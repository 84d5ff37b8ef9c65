//! A second attempt beside a slow first one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use examples::{cluster::ClusterStatus, proxy::Proxy};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::time::sleep;

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
                    let attempt = request.headers().get("x-retry-attempt").cloned();
                    let body = full(number.to_string());
                    let mut response = Response::new(body);
                    if let Some(attempt) = attempt {
                        response.headers_mut().insert("seen-attempt", attempt);
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

    /// Lets the proxy learn how long answers take. A hedge on the way costs an HTTP/1 connection,
    /// that of the loser, so both have to be there again.
    async fn learn(&self) {
        let mut client = self.client().await;
        for _ in 0..60 {
            let request = Request::get("/").body(empty()).unwrap();
            let answer = bounded(client.send(request)).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            text(answer).await;
        }
        let both_ready = || self.status().ready == 2;
        eventually("both endpoints are ready again", both_ready).await;
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

const HEDGE: &str = "retry = { attempts = 2, attempt_header = \"x-retry-attempt\", hedge = { quantile = 0.99, min_samples = 20 } }";

#[tokio::test]
async fn a_slow_request_is_hedged_at_the_other_endpoint_and_the_winner_is_counted() {
    let pair = Pair::start(HEDGE).await;
    pair.learn().await;
    assert!(pair.status().hedges.unwrap().delay_ms.is_some());
    let before = pair.status().hedges.unwrap();
    let mut client = pair.client().await;
    let began = Instant::now();
    let request = Request::put("/slow").body(full("whole")).unwrap();
    let answer = bounded(client.send(request)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["seen-attempt"], "2");
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
    assert_eq!(hedges.won_second, before.won_second + 1, "{hedges:?}");
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
    assert_eq!(attempts, Some((61 + hedges.sent) as f64));
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
    pair.learn().await;
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
    let upstream = Upstream::start(|_| async {
        sleep(Duration::from_millis(2)).await;
        Response::new(empty())
    });
    let upstream = upstream.await;
    let cluster = format!(
        "endpoints = [\"{}\"]\nretry = {{ hedge = {{ min_samples = 20 }} }}\n\
         [[route]]\nlistener = \"web\"\npath_prefix = \"/off\"\ncluster = \"backend\"\nretry = {{ hedge = \"off\" }}\n\
         [[route]]\nlistener = \"web\"\npath_prefix = \"/as-the-cluster\"\ncluster = \"backend\"\n",
        upstream.address
    );
    let proxy = support::start(&directory, &support::cleartext(&cluster));
    let mut client = Client::connect(proxy.address("web").unwrap(), Version::HTTP_11).await;
    for (path, learns) in [("/off", false), ("/as-the-cluster", true)] {
        for _ in 0..40 {
            let request = Request::get(path).body(empty()).unwrap();
            text(bounded(client.send(request)).await.unwrap()).await;
        }
        let hedges = proxy.status()[0].hedges.clone().unwrap();
        assert_eq!(hedges.delay_ms.is_some(), learns, "{path}");
    }
}
