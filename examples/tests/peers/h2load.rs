//! Load by h2load: no request is lost, and the proxy counts what h2load counts.

use std::{net::SocketAddr, time::Duration};

use http::Version;
use tokio::{process::Command, time::timeout};

use crate::support::{
    admin::metric_becomes, cleartext, nginx::Nginx, process::ProxyProcess, tools::program,
};

#[tokio::test]
async fn http1_to_http1() {
    every_request_is_answered_and_counted(Version::HTTP_11, "http1").await;
}

#[tokio::test]
async fn http1_to_http2() {
    every_request_is_answered_and_counted(Version::HTTP_11, "http2").await;
}

#[tokio::test]
async fn http2_to_http1() {
    every_request_is_answered_and_counted(Version::HTTP_2, "http1").await;
}

#[tokio::test]
async fn http2_to_http2() {
    every_request_is_answered_and_counted(Version::HTTP_2, "http2").await;
}

async fn every_request_is_answered_and_counted(client: Version, upstream: &str) {
    let listen = if upstream == "http2" { " http2" } else { "" };
    let server = format!(
        "keepalive_requests 1000000; server {{ listen LISTEN{listen}; return 200 hello; }}"
    );
    let nginx = Nginx::start(&server).await;
    let address = nginx.address;
    // A thousand requests at once wait for 512 connections, longer than a second where the machine is busy.
    let cluster = format!(
        "protocol = \"{upstream}\"\nendpoints = [\"{address}\"]\nbalance = {{ wait = \"10s\" }}\n\
         reconnect = {{ connect_timeout = \"10s\" }}"
    );
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("proxy.toml");
    std::fs::write(&config, cleartext(&cluster)).unwrap();
    let proxy = ProxyProcess::start(&config, &["web", "admin"]).await;

    let report = load(proxy.address("web"), client).await;
    for line in [
        "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout",
        "20000 2xx, 0 3xx, 0 4xx, 0 5xx",
    ] {
        assert!(report.contains(line), "{report}");
    }
    let endpoint = format!("cluster=\"backend\",endpoint=\"{address}\"");
    for (series, labels, expected) in [
        ("connections_total", "", CLIENTS.into()),
        ("requests_total", "", 20_000.0),
        ("responses_total", ",status=\"200\"", 20_000.0),
        ("exchanges_ended_total", ",ending=\"whole\"", 20_000.0),
        ("exchanges_ended_total", ",ending=\"broken_off\"", 0.0),
        ("exchanges_ended_total", ",ending=\"cancelled\"", 0.0),
        ("response_latency_seconds_count", "", 20_000.0),
    ] {
        let series = format!("proxy_{series}{{listener=\"web\"{labels}}}");
        metric_becomes(proxy.address("admin"), &series, expected).await;
    }
    for (series, expected) in [
        ("requests_total", 20_000.0),
        ("failures_total", 0.0),
        ("in_flight", 0.0),
    ] {
        let series = format!("proxy_endpoint_{series}{{{endpoint}}}");
        metric_becomes(proxy.address("admin"), &series, expected).await;
    }
}

/// 20,000 requests from 50 clients, over HTTP/2 with 20 streams each; what h2load says of them.
async fn load(proxy: SocketAddr, version: Version) -> String {
    let mut h2load = Command::new(program("h2load", "nghttp2-client"));
    h2load.args(["-n", "20000", "-c", &CLIENTS.to_string()]);
    match version {
        Version::HTTP_2 => h2load.args(["-m", "20"]),
        _ => h2load.arg("--h1"),
    };
    h2load.arg(format!("http://{proxy}/"));
    let output = timeout(LIMIT, h2load.kill_on_drop(true).output()).await;
    let output = output.expect("a minute is enough").unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const CLIENTS: u8 = 50;

const LIMIT: Duration = Duration::from_secs(60);
