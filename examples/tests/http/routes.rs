//! Which route takes a request, and what is told where none does.

use http::{Request, Response, StatusCode, Version};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    front::bounded,
    raw::exchange,
    routed::{BOTH, Routed, ask},
    support::{admin::metric, body::empty, client::text},
};

#[tokio::test]
async fn the_first_route_that_takes_a_request_has_it() {
    let routed = Routed::start(
        Some("b"),
        r#"
[[route]]
listener = "web"
path_prefix = "/v1/special"
cluster = "b"
[[route]]
listener = "web"
path_prefix = "/v1"
cluster = "a"
"#,
    )
    .await;
    for (path, answer) in [
        ("/v1/special/x", "b /v1/special/x"),
        ("/v1/specials", "a /v1/specials"),
        ("/v1", "a /v1"),
        ("/v1/", "a /v1/"),
        ("/v1/x/y", "a /v1/x/y"),
        ("/v1?q=1", "a /v1?q=1"),
        ("/v10", "b /v10"),
        ("/V1", "b /V1"),
        ("/%761", "b /%761"),
        ("//v1", "b //v1"),
        ("/", "b /"),
    ] {
        assert_eq!(routed.get("any.test", path).await.body(), answer);
    }
}

#[tokio::test]
async fn a_host_is_compared_without_case_port_and_last_dot() {
    let routed = Routed::start(
        Some("b"),
        "[[route]]\nlistener = \"web\"\nhost = \"API.example.com\"\ncluster = \"a\"\n",
    )
    .await;
    for (host, server) in [
        ("api.example.com", "a"),
        ("Api.Example.COM", "a"),
        ("api.example.com:8080", "a"),
        ("api.example.com.", "a"),
        ("api.example.com.:80", "a"),
        ("api.example.com..", "b"),
        ("x.api.example.com", "b"),
        ("example.com", "b"),
        ("api.example.com.evil.test", "b"),
    ] {
        let answer = routed.get(host, "/").await;
        assert_eq!(answer.body(), &format!("{server} /"), "{host}");
        assert_eq!(answer.headers()["seen-host"], host);
    }
}

#[tokio::test]
async fn a_wildcard_takes_every_name_below_it_and_not_its_own() {
    let routed = Routed::start(
        Some("b"),
        "[[route]]\nlistener = \"web\"\nhost = \"*.example.com\"\ncluster = \"a\"\n",
    )
    .await;
    for (host, server) in [
        ("a.example.com", "a"),
        ("A.B.Example.com.:80", "a"),
        ("example.com", "b"),
        ("aexample.com", "b"),
        ("a.example.com.test", "b"),
        ("127.0.0.1", "b"),
        ("[::1]:80", "b"),
    ] {
        let answer = routed.get(host, "/").await;
        assert_eq!(answer.body(), &format!("{server} /"), "{host}");
    }
}

#[tokio::test]
async fn a_route_may_be_for_some_methods() {
    let routed = Routed::start(
        Some("b"),
        "[[route]]\nlistener = \"web\"\nmethods = [\"GET\", \"PURGE\"]\ncluster = \"a\"\n",
    )
    .await;
    for version in BOTH {
        let mut client = routed.client(version).await;
        for (method, server) in [("GET", "a"), ("PURGE", "a"), ("POST", "b"), ("DELETE", "b")] {
            let request = Request::builder().method(method).uri("/").body(empty());
            let answer = ask(&mut client, "any.test", request.unwrap()).await;
            assert_eq!(text(answer).await, format!("{server} /"), "{method}");
        }
    }
}

#[tokio::test]
async fn what_no_route_takes_is_not_found() {
    let routed = Routed::start(None, ONE_HOST_ONE_PATH).await;
    assert_eq!(routed.get("api.test", "/v1/x").await.body(), "a /v1/x");
    let answer = routed.get("api.test", "/v2").await;
    assert_refused(&answer, StatusCode::NOT_FOUND, "no route");
    let (mut client, head) = (
        routed.client(Version::HTTP_2).await,
        Request::head("/v2").body(empty()).unwrap(),
    );
    let answer = ask(&mut client, "api.test", head).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(text(answer).await, "", "a HEAD has no body");
}

#[tokio::test]
async fn an_authority_that_no_route_is_for_is_misdirected() {
    let routed = Routed::start(None, ONE_HOST_ONE_PATH).await;
    for host in ["other.test", "x.api.test", "127.0.0.1:1"] {
        let answer = routed.get(host, "/v1").await;
        assert_refused(&answer, StatusCode::MISDIRECTED_REQUEST, "authority");
    }
}

#[tokio::test]
async fn with_a_route_for_any_host_every_authority_is_ours() {
    let any_host = "[[route]]\nlistener = \"web\"\npath_prefix = \"/any\"\ncluster = \"b\"\n";
    let routed = Routed::start(None, &format!("{ONE_HOST_ONE_PATH}{any_host}")).await;
    assert_eq!(routed.get("other.test", "/any").await.body(), "b /any");
    let answer = routed.get("other.test", "/v1").await;
    assert_refused(&answer, StatusCode::NOT_FOUND, "no route");
}

#[tokio::test]
async fn grpc_clients_get_a_grpc_status() {
    let routed = Routed::start(None, ONE_HOST_ONE_PATH).await;
    for (host, message) in [("api.test", "no route"), ("other.test", "authority")] {
        let channel = Channel::from_shared(format!("http://{}", routed.web())).unwrap();
        let origin = format!("http://{host}").parse().unwrap();
        let channel = bounded(channel.origin(origin).connect()).await.unwrap();
        let service = String::new();
        let mut client = HealthClient::new(channel);
        let asking = client.check(HealthCheckRequest { service });
        let error = bounded(asking).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{error:?}");
        assert!(error.message().contains(message), "{error:?}");
        let why = error.metadata().get("proxy-status").unwrap();
        let why = why.to_str().unwrap();
        assert!(why.contains("error=destination_not_found"), "{why}");
    }
}

#[tokio::test]
async fn a_path_that_can_be_read_as_another_is_refused_where_paths_are_routed() {
    let routed = Routed::start(
        Some("b"),
        "[[route]]\nlistener = \"web\"\npath_prefix = \"/v1\"\ncluster = \"a\"\n",
    )
    .await;
    for path in [
        "/v1/../admin",
        "/v1/..",
        "/./v1",
        "/x/%2e%2E/v1",
        "/x/.%2e/v1?q",
        "/x%2f..%2Fv1",
        "/x/..%5cv1",
        "/x/..\\v1",
        "/x/..;a=b/v1",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let answer = exchange(routed.web(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(answer.contains("dot segments"), "{path}: {answer}");
    }
    for path in ["/v1/...", "/v1/.x", "/v1/x..", "/v1/?a=../..", "/v1/;.."] {
        let answer = routed.get("a.test", path).await;
        assert_eq!(answer.body(), &format!("a {path}"));
    }
}

#[tokio::test]
async fn where_no_path_is_routed_paths_are_not_looked_at() {
    let routed = Routed::start(
        None,
        "[[route]]\nlistener = \"web\"\nhost = \"a.test\"\ncluster = \"a\"\n",
    )
    .await;
    assert_eq!(routed.get("a.test", "/x/../y").await.body(), "a /x/../y");
}

#[tokio::test]
async fn each_route_counts_its_requests() {
    let named = ONE_HOST_ONE_PATH.replace("cluster", "name = \"v1\"\ncluster");
    let second = "[[route]]\nlistener = \"web\"\ncluster = \"b\"\n";
    let routed = Routed::start(None, &format!("{named}{second}")).await;
    for path in ["/v1", "/v1/x", "/v2"] {
        routed.get("api.test", path).await;
    }
    let count = async |route| {
        let series = format!("proxy_route_requests_total{{listener=\"web\",route=\"{route}\"}}");
        metric(routed.proxy.admin(), &series).await
    };
    // Each was asked for twice: over HTTP/1.1 and over HTTP/2.
    assert_eq!(
        (count("v1").await, count("2").await),
        (Some(4.0), Some(2.0))
    );
}

fn assert_refused(answer: &Response<String>, status: StatusCode, text: &str) {
    assert_eq!(answer.status(), status);
    let why = answer.headers()["proxy-status"].to_str().unwrap();
    assert!(
        why.starts_with("proxy; error=destination_not_found; details="),
        "{why}"
    );
    assert!(answer.body().contains(text), "{}", answer.body());
    assert_eq!(answer.body().lines().count(), 1);
}

const ONE_HOST_ONE_PATH: &str = r#"
[[route]]
listener = "web"
host = "api.test"
path_prefix = "/v1"
cluster = "a"
"#;
