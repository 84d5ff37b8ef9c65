use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{Empty, Full};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Client, text};

/// One GET, on a connection of its own.
pub async fn get(admin: SocketAddr, path: &str) -> (StatusCode, String) {
    let mut client = Client::connect(admin, Version::HTTP_11).await;
    let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
    let response = client.send(request).await.unwrap();
    (response.status(), text(response).await)
}

/// What an operator's `curl` sends: the listener's address is the host.
pub async fn ask(
    admin: SocketAddr,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> (StatusCode, String) {
    let mut client = Client::connect(admin, Version::HTTP_11).await;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", admin.to_string())
        .body(Full::new(body.into()))
        .unwrap();
    let response = client.send(request).await.unwrap();
    (response.status(), text(response).await)
}

/// The only endpoint of a cluster, as `/clusters` shows it.
pub async fn endpoint(admin: SocketAddr, cluster: &str) -> Value {
    let (_, json) = get(admin, "/clusters").await;
    let clusters: Vec<Value> = serde_json::from_str(&json).unwrap();
    let found = clusters
        .iter()
        .find(|status| status["name"] == cluster)
        .unwrap();
    found["endpoints"][0].clone()
}

/// The value of the metric whose line begins with `series`.
pub async fn metric(admin: SocketAddr, series: &str) -> Option<f64> {
    let (_, metrics) = get(admin, "/metrics").await;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// Waits until a metric has this value, for at most ten seconds.
pub async fn metric_becomes(admin: SocketAddr, series: &str, expected: f64) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let value = metric(admin, series).await;
        if value == Some(expected) {
            return;
        }
        assert!(
            Instant::now() < end,
            "{series} is {value:?}, not {expected}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}
