//! What the admin listener answers.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use http::{Method, Request, Response, StatusCode, Version};
use serde_json::Value;

use crate::{
    front::{Front, bounded, get, noting},
    raw::{RawUpstream, exchange},
    support::{
        body::{TestBody, empty, full},
        client::{Client, read, text},
        eventually,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn the_process_is_alive_whatever_its_endpoints_do() {
    let front = in_front_of_nothing().await;
    let answer = fetch(&front, "GET", "/live").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "live\n")
    );
}

#[tokio::test]
async fn readiness_needs_an_endpoint() {
    let front = in_front_of_nothing().await;
    let answer = fetch(&front, "GET", "/ready").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body, "cluster backend has no ready endpoint\n");

    let address = front.endpoint().address;
    let _upstream = Upstream::start_at(address, None, |_| async { Response::new(empty()) }).await;
    eventually("the endpoint is ready", || {
        front.proxy.status()[0].ready == 1
    })
    .await;
    let answer = fetch(&front, "GET", "/ready").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "ready\n")
    );
}

/// Nobody sends a request meanwhile.
#[tokio::test]
async fn readiness_follows_an_endpoint_that_ends_and_comes_back() {
    for protocol in ["http1", "http2"] {
        let upstream = Upstream::start(|_| async { Response::new(empty()) }).await;
        let front = Front::start(
            protocol,
            upstream.address,
            "[cluster.reconnect]\nbackoff = { base = \"10ms\", max = \"50ms\" }",
        );
        until_ready_is(&front, StatusCode::OK).await;
        let address = upstream.kill().await;
        until_ready_is(&front, StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(front.proxy.status()[0].ready, 0, "{protocol}");
        let _upstream =
            Upstream::start_at(address, None, |_| async { Response::new(empty()) }).await;
        until_ready_is(&front, StatusCode::OK).await;
    }
}

/// Servers close connections for many reasons: that is no outage.
#[tokio::test]
async fn readiness_survives_a_connection_that_ended_after_its_work() {
    let upstream = RawUpstream::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let front = Front::start("http1", upstream.address, "");
    until_ready_is(&front, StatusCode::OK).await;
    for round in 1..=10 {
        let response = front.client(Version::HTTP_11).await.send(get("/")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
        for _ in 0..5 {
            let answer = fetch(&front, "GET", "/ready").await;
            assert_eq!(answer.status, StatusCode::OK, "round {round}");
        }
    }
    assert!(upstream.connections() > 10, "each was closed");
}

#[tokio::test]
async fn readiness_ends_with_the_last_endpoint() {
    let upstream = Upstream::start(|_| async { Response::new(empty()) }).await;
    let front = Front::start(
        "http2",
        upstream.address,
        "[cluster.balance]\nwait = \"100ms\"",
    );
    eventually("the endpoint is ready", || {
        front.proxy.status()[0].ready == 1
    })
    .await;
    upstream.kill().await;
    let mut client = front.client(Version::HTTP_11).await;
    assert!(
        client
            .send(get("/"))
            .await
            .unwrap()
            .status()
            .is_server_error()
    );
    eventually("the endpoint is not ready", || {
        front.proxy.status()[0].ready == 0
    })
    .await;
    let answer = fetch(&front, "GET", "/ready").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let upstream = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap();
        Response::builder()
            .status(status)
            .body(full("body"))
            .unwrap()
    })
    .await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[cluster.timeout]\nfixed = \"20s\"\n[cluster.retry]\nattempts = 2",
    );
    let before = metrics(&front).await;
    assert_eq!(
        before.get(r#"proxy_requests_total{listener="web"}"#),
        Some(&0.0)
    );
    let mut client = front.client(Version::HTTP_11).await;
    for path in ["/200", "/200", "/200", "/404", "/500"] {
        read(client.send(get(path)).await.unwrap()).await;
    }
    let refused = Request::get("/200")
        .header("host", "user@a.test")
        .body(empty())
        .unwrap();
    read(
        front
            .client(Version::HTTP_11)
            .await
            .send(refused)
            .await
            .unwrap(),
    )
    .await;
    let upstream = format!("cluster=\"backend\",endpoint=\"{}\"", upstream.address);
    let listener = "listener=\"web\"";
    let cluster = "cluster=\"backend\"";
    let samples = metrics(&front).await;
    for (name, labels, expected) in [
        ("listener_cleartext", listener, 1.0),
        ("cluster_cleartext", cluster, 1.0),
        ("connections_total", listener, 2.0),
        ("requests_total", listener, 6.0),
        ("responses_total", "listener=\"web\",status=\"200\"", 3.0),
        ("responses_total", "listener=\"web\",status=\"400\"", 1.0),
        ("responses_total", "listener=\"web\",status=\"404\"", 1.0),
        ("responses_total", "listener=\"web\",status=\"500\"", 1.0),
        (
            "exchanges_ended_total",
            "listener=\"web\",ending=\"whole\"",
            6.0,
        ),
        (
            "exchanges_ended_total",
            "listener=\"web\",ending=\"broken_off\"",
            0.0,
        ),
        (
            "exchanges_ended_total",
            "listener=\"web\",ending=\"cancelled\"",
            0.0,
        ),
        ("response_latency_seconds_count", listener, 6.0),
        (
            "response_latency_seconds_bucket",
            "le=\"+Inf\",listener=\"web\"",
            6.0,
        ),
        ("endpoints_ready", cluster, 1.0),
        ("attempts_total", cluster, 5.0),
        ("timeout_seconds", cluster, 20.0),
        ("endpoint_requests_total", &upstream, 5.0),
        ("endpoint_dials_total", &upstream, 1.0),
        ("endpoint_dial_failures_total", &upstream, 0.0),
        ("endpoint_ready", &upstream, 1.0),
        ("endpoint_in_flight", &upstream, 0.0),
    ] {
        let key = format!("proxy_{name}{{{labels}}}");
        assert_eq!(samples.get(&key), Some(&expected), "{key} in {samples:#?}");
    }
    for name in [
        "endpoint_latency_seconds",
        "endpoint_success_ratio",
        "endpoint_cost",
    ] {
        let key = format!("proxy_{name}{{{upstream}}}");
        assert!(samples[&key] > 0.0, "{key}");
    }
    assert!(samples[&format!("proxy_response_latency_seconds_sum{{{listener}}}")] > 0.0);
}

#[tokio::test]
async fn clusters_tell_all_of_each_endpoint() {
    let upstream = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        if request.uri().path() == "/wait" {
            std::future::pending::<()>().await;
        }
        Response::new("body".to_owned())
    })
    .await;
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for _ in 0..3 {
        assert_eq!(text(client.send(get("/")).await.unwrap()).await, "body");
    }
    let mut waiting = front.client(Version::HTTP_11).await;
    let waiting = tokio::spawn(async move { waiting.send(get("/wait")).await.map(drop) });
    eventually("one is in flight", || front.endpoint().in_flight == 1).await;

    let answer = fetch(&front, "GET", "/clusters").await;
    assert_eq!(answer.content_type, "application/json");
    let clusters: Value = serde_json::from_str(&answer.body).unwrap();
    let cluster = &clusters[0];
    assert_eq!(cluster["name"], "backend");
    assert_eq!(cluster["ready"], 1);
    let endpoint = &cluster["endpoints"][0];
    assert_eq!(endpoint["address"], upstream.address.to_string());
    assert_eq!(endpoint["state"], "ready");
    assert_eq!(endpoint["connection"], "connected");
    assert_eq!(endpoint["weight"], 1.0);
    assert_eq!(endpoint["in_flight"], 1);
    assert_eq!(endpoint["requests"], 3);
    assert_eq!(endpoint["failures"], 0);
    assert_eq!(endpoint["success_ratio"], 1.0);
    assert!(endpoint["latency_ms"].as_f64().unwrap() > 0.0);
    assert!(endpoint["cost"].as_f64().unwrap() > 0.0);
    waiting.abort();
}

#[tokio::test]
async fn clusters_tell_why_an_endpoint_is_down() {
    let front = in_front_of_nothing().await;
    eventually("it backs off", || {
        front.endpoint().connection.state == "backing off"
    })
    .await;
    let answer = fetch(&front, "GET", "/clusters").await;
    let clusters: Value = serde_json::from_str(&answer.body).unwrap();
    let endpoint = &clusters[0]["endpoints"][0];
    assert_eq!(
        (&endpoint["connection"], &endpoint["state"]),
        (&"backing off".into(), &"not ready".into())
    );
    assert!(
        endpoint["cause"].as_str().unwrap().contains("refused"),
        "{endpoint}"
    );
    assert!(endpoint["dial_failures"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let front = in_front_of_nothing().await;
    for path in ["/nothing", "/metrics/", "/METRICS", "/live/..", "//live"] {
        assert_eq!(
            fetch(&front, "GET", path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in ["/live", "/ready", "/metrics", "/clusters"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let answer = fetch(&front, method, path).await;
            assert_eq!(
                answer.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            assert_eq!(answer.allow.as_deref(), Some("GET, HEAD"));
        }
        let head = fetch(&front, "HEAD", path).await;
        assert_eq!(head.body, "");
        assert_eq!(head.status, fetch(&front, "GET", path).await.status);
    }
    assert_eq!(
        fetch(&front, "GET", "/live?verbose=1").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn garbage_does_not_stop_the_admin_listener() {
    let front = in_front_of_nothing().await;
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        exchange(front.admin(), garbage).await;
    }
    assert_eq!(fetch(&front, "GET", "/live").await.status, StatusCode::OK);
}

/// What the admin listener said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) allow: Option<String>,
    pub(crate) body: String,
}

pub(crate) async fn fetch(front: &Front, method: &str, path: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(empty())
        .unwrap();
    answer(front.admin(), request).await
}

/// One request, on a connection of its own.
pub(crate) async fn answer(admin: SocketAddr, request: Request<TestBody>) -> Answer {
    let mut client = Client::connect(admin, Version::HTTP_11).await;
    let response = bounded(client.send(request)).await.unwrap();
    let field = |name| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
    Answer {
        status: response.status(),
        content_type: field("content-type").unwrap(),
        allow: field("allow"),
        body: text(response).await,
    }
}

/// Every sample of `/metrics`, each of which must parse; the text must be OpenMetrics.
pub(crate) async fn metrics(front: &Front) -> HashMap<String, f64> {
    let answer = fetch(front, "GET", "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(answer.body.ends_with("\n# EOF\n"), "{}", answer.body);
    let mut family = ("", "");
    let mut samples = HashMap::new();
    for line in answer.body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some((name, kind)) = comment
                .strip_prefix("TYPE ")
                .and_then(|rest| rest.split_once(' '))
            {
                family = (name, kind);
            }
            continue;
        }
        let (sample, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
        let suffix = name
            .strip_prefix(family.0)
            .unwrap_or_else(|| panic!("{name} is not of {family:?}"));
        let suffixes: &[_] = match family.1 {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("{other}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        assert_labels(labels, line);
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(
            samples.insert(sample.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    samples
}

fn assert_labels(labels: &str, line: &str) {
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{line}"
        );
        assert!(
            value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
            "{line}"
        );
    }
}

pub(crate) async fn in_front_of_nothing() -> Front {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let address = upstream.kill().await;
    let front = Front::start("http1", address, "");
    front.listed().await;
    front
}

async fn until_ready_is(front: &Front, status: StatusCode) {
    let asking = async {
        while fetch(front, "GET", "/ready").await.status != status {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(10), asking).await;
    assert!(asked.is_ok(), "/ready never says {status}");
}
