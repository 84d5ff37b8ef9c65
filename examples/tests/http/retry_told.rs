//! What `/metrics` and `/clusters` tell of retries.

use http::{Response, StatusCode, Version};
use serde_json::Value;

use crate::{
    front::{Front, bounded, get, noting},
    support::{admin, body::empty, client::read},
};

#[tokio::test]
async fn each_decision_is_told_with_its_kind_and_its_reason() {
    let (upstream, _heads) = noting(|| {
        let response = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
        response.body(empty()).unwrap()
    })
    .await;
    // Twelve tokens, of which a retry takes five: there are two, and then none.
    let table = "retry = { attempts = 9, statuses = [429], budget = 0, min_per_second = 0, reserve = 12, \
                 backoff = { base = \"1ms\", max = \"2ms\" } }\n[cluster.balance]\neject = \"off\"\nwait = \"10s\"\n";
    let front = Front::start("http1", upstream.address, table);
    let mut client = front.client(Version::HTTP_11).await;
    let answer = bounded(client.send(get("/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    read(answer).await;

    for (series, value) in [
        ("proxy_attempts_total{cluster=\"backend\"}", 3.0),
        (
            "proxy_retries_total{cluster=\"backend\",kind=\"throttled\"}",
            2.0,
        ),
        (
            "proxy_retries_total{cluster=\"backend\",kind=\"transient\"}",
            0.0,
        ),
        (
            "proxy_retries_refused_total{cluster=\"backend\",reason=\"exhausted\"}",
            1.0,
        ),
        (
            "proxy_retries_refused_total{cluster=\"backend\",reason=\"unwanted\"}",
            0.0,
        ),
        ("proxy_retry_budget{cluster=\"backend\"}", 2.0),
        ("proxy_retry_budget_cap{cluster=\"backend\"}", 12.0),
        ("proxy_retry_budget_success_ratio{cluster=\"backend\"}", 0.0),
        (
            "proxy_retry_budget_price{cluster=\"backend\",kind=\"throttled\"}",
            5.0,
        ),
        (
            "proxy_retry_budget_grants_total{cluster=\"backend\",kind=\"throttled\"}",
            2.0,
        ),
        (
            "proxy_retry_budget_refusals_total{cluster=\"backend\",kind=\"throttled\",reason=\"empty\"}",
            1.0,
        ),
        ("proxy_retry_body_bytes{cluster=\"backend\"}", 0.0),
    ] {
        let told = admin::metric(front.admin(), series).await;
        assert_eq!(told, Some(value), "{series}");
    }

    let (_, json) = admin::get(front.admin(), "/clusters").await;
    let clusters: Value = serde_json::from_str(&json).unwrap();
    for (pointer, value) in [
        ("/0/attempts", 3.0),
        ("/0/retries/sent", 2.0),
        ("/0/retries/exhausted", 1.0),
        ("/0/retry_kinds/throttled", 2.0),
        ("/0/budget/balance", 2.0),
        ("/0/budget/spent", 10.0),
        ("/0/budget/kinds/1/granted", 2.0),
    ] {
        let told = clusters.pointer(pointer).and_then(Value::as_f64);
        assert_eq!(told, Some(value), "{pointer} in {json}");
    }
}
