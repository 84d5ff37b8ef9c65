//! Operating a process that runs: drain and log level through the admin listener.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tempfile::TempDir;

use crate::support::{
    admin::{ask, get},
    body::{TestBody, channel, full},
    cleartext,
    client::Client,
    eventually,
    load::Load,
    process::ProxyProcess,
    upstream::Upstream,
};

#[tokio::test]
async fn a_drain_by_post_costs_no_request() {
    let mut stage = Stage::start("1s", "10s").await;
    let load = Load::start(stage.web(), Version::HTTP_11, 4);
    eventually("the load is steady", || load.whole() > 100).await;
    assert_eq!(
        stage.drain().await,
        (StatusCode::ACCEPTED, "draining\n".to_owned())
    );
    stage.until_draining().await;
    let (live, _) = get(stage.admin(), "/live").await;
    let (metrics, _) = get(stage.admin(), "/metrics").await;
    assert_eq!((live, metrics), (StatusCode::OK, StatusCode::OK));
    assert_eq!(
        stage.drain().await,
        (StatusCode::ACCEPTED, "already draining\n".to_owned())
    );
    let tally = load.refused().await;
    assert_eq!(tally.failures, Vec::<String>::new());
    stage.ends().await;
    eventually("it says so", || stage.proxy.log().contains(" drained")).await;
}

#[tokio::test]
async fn who_asks_for_the_end_is_told_before_it_comes() {
    for _ in 0..5 {
        let mut stage = Stage::start("0s", "5s").await;
        assert_eq!(
            stage.drain().await,
            (StatusCode::ACCEPTED, "draining\n".to_owned())
        );
        stage.ends().await;
    }
}

/// As a platform does that runs a hook before it sends its signal.
#[tokio::test]
async fn a_signal_after_the_post_lets_the_drain_go_on_and_a_second_one_ends_it() {
    let mut stage = Stage::start("0s", "60s").await;
    let hanging = stage.hanging().await;
    stage.drain().await;
    stage.until_draining().await;
    stage.proxy.signal("TERM");
    eventually("the signal is seen", || {
        stage.proxy.log().contains("a second one ends at once")
    })
    .await;
    assert!(
        stage.proxy.child.try_wait().unwrap().is_none(),
        "it goes on"
    );
    stage.proxy.signal("TERM");
    stage.ends().await;
    eventually("it says so", || stage.proxy.log().contains("second signal")).await;
    drop(hanging);
}

#[tokio::test]
async fn a_post_after_the_signal_changes_nothing() {
    let mut stage = Stage::start("0s", "60s").await;
    let hanging = stage.hanging().await;
    stage.proxy.signal("TERM");
    stage.until_draining().await;
    for _ in 0..2 {
        assert_eq!(
            stage.drain().await,
            (StatusCode::ACCEPTED, "already draining\n".to_owned())
        );
    }
    assert!(
        stage.proxy.child.try_wait().unwrap().is_none(),
        "it goes on"
    );
    drop(hanging);
    stage.ends().await;
}

#[tokio::test]
async fn the_logs_filter_changes_while_it_runs() {
    let stage = Stage::start("0s", "5s").await;
    let (status, before) = stage.log_level("GET", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        sorted(&before),
        [
            "access=off",
            "h2=error",
            "info",
            "tower_mtls::connections=info",
            "tower_mtls::source=info",
            "tower_mtls=error"
        ]
    );
    stage.request("/unseen").await;

    let (status, after) = stage.log_level("PUT", "info, access=INFO\n").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(sorted(&after), ["access=info", "info"]);
    assert_eq!(stage.log_level("GET", "").await.1, after);
    stage.request("/seen").await;
    eventually("it is logged", || stage.proxy.log().contains("/seen")).await;

    for bad in ["", "\n", "debgu", "info,access=loud", "[span]=info"] {
        let (status, line) = stage.log_level("PUT", bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad:?}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("for example: info,access=off"), "{line}");
    }
    assert_eq!(stage.log_level("GET", "").await.1, after);

    stage.log_level("PUT", "info,access=off").await;
    stage.request("/unseen").await;
    stage.log_level("PUT", "info,access=info").await;
    stage.request("/last").await;
    eventually("it is logged", || stage.proxy.log().contains("/last")).await;
    let log = stage.proxy.log();
    assert!(!log.contains("/unseen"), "{log}");
}

#[tokio::test]
async fn an_admin_listener_for_all_is_warned_of() {
    let stage = Stage::start("0s", "5s").await;
    assert!(!stage.proxy.log().contains("not on loopback"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proxy.toml");
    let config = cleartext("endpoints = [\"127.0.0.1:9\"]");
    let open = config.replacen("127.0.0.1:0", "0.0.0.0:0", 1);
    std::fs::write(&path, open).unwrap();
    let proxy = ProxyProcess::start(&path, &["web", "admin"]).await;
    eventually("it says so", || {
        let log = proxy.log();
        log.lines().any(|line| {
            line.contains("WARN") && line.contains("the admin listener is not on loopback")
        })
    })
    .await;
}

/// The binary in front of one endpoint.
struct Stage {
    proxy: ProxyProcess,
    _upstream: Upstream,
    _directory: TempDir,
}

impl Stage {
    async fn start(delay: &str, grace: &str) -> Self {
        let upstream = Upstream::start(answer).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proxy.toml");
        let config = cleartext(&format!("endpoints = [\"{}\"]", upstream.address))
            .replace("delay = \"0s\"", &format!("delay = \"{delay}\""))
            .replace("grace = \"5s\"", &format!("grace = \"{grace}\""));
        std::fs::write(&path, config).unwrap();
        let proxy = ProxyProcess::start(&path, &["web", "admin"]).await;
        Self {
            proxy,
            _upstream: upstream,
            _directory: directory,
        }
    }

    fn web(&self) -> SocketAddr {
        self.proxy.address("web")
    }

    fn admin(&self) -> SocketAddr {
        self.proxy.address("admin")
    }

    async fn drain(&self) -> (StatusCode, String) {
        ask(self.admin(), "POST", "/drain", "").await
    }

    async fn log_level(&self, method: &str, filter: &'static str) -> (StatusCode, String) {
        ask(self.admin(), method, "/log-level", filter).await
    }

    async fn request(&self, path: &str) {
        let mut client = Client::connect(self.web(), Version::HTTP_11).await;
        let response = client.send(request(path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
    }

    /// A response that has begun and ends when its client does.
    async fn hanging(&self) -> Incoming {
        let mut client = Client::connect(self.web(), Version::HTTP_11).await;
        let mut body = client.send(request("/hang")).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        body
    }

    async fn until_draining(&self) {
        let draining = (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
        let asking = async {
            while get(self.admin(), "/ready").await != draining {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let asked = tokio::time::timeout(Duration::from_secs(10), asking).await;
        asked.expect("it drains");
    }

    async fn ends(&mut self) {
        let status = self.proxy.ended(Duration::from_secs(20)).await;
        assert_eq!(status.code(), Some(0), "{}", self.proxy.log());
    }
}

async fn answer(request: Request<Incoming>) -> Response<TestBody> {
    if request.uri().path() != "/hang" {
        return Response::new(full("body"));
    }
    let (pieces, body) = channel();
    tokio::spawn(async move {
        pieces.send("the beginning").await;
        std::future::pending::<()>().await;
    });
    Response::new(body)
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path)
        .header(header::HOST, "proxy.test")
        .body(Empty::new())
        .unwrap()
}

fn sorted(filter: &str) -> Vec<&str> {
    let mut directives: Vec<_> = filter.trim().split(',').collect();
    directives.sort_unstable();
    directives
}
