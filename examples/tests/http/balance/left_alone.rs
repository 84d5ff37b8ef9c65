//! Endpoints that ask to be left alone, and what a client is told where all are.

use std::time::Duration;

use examples::http::refusal::Refusal;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};
use tower_balance_p2c::{BalanceLayer, Change};

use super::{Field, addresses, answering, unavailable};
use crate::{
    front::{bounded, get},
    support::{
        BoxError,
        body::{TestBody, empty},
        client::read,
    },
};

#[tokio::test]
async fn an_endpoint_that_asks_to_be_left_alone_is_while_others_serve() {
    let asks: [fn() -> Response<TestBody>; 2] = [
        || {
            let mut response = unavailable();
            let fields = response.headers_mut();
            fields.insert("retry-after", "2".parse().unwrap());
            response
        },
        || {
            let response = Response::builder().header("content-type", "application/grpc");
            let response = response.header("grpc-status", "14");
            let response = response.header("grpc-retry-pushback-ms", "2000");
            response.body(empty()).unwrap()
        },
    ];
    for ask in asks {
        let (busy, seen) = answering(ask).await;
        let (free, _) = answering(|| Response::new(empty())).await;
        let mut field = Field::start(&addresses(&[busy.address, free.address]), "").await;
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            field.get("/").await;
            sleep(Duration::from_millis(5)).await;
        }
        let times: Vec<_> = seen.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert!((2..=3).contains(&times.len()), "{}", times.len());
        for pair in times.windows(2) {
            let pause = pair[1] - pair[0];
            // The proxy counts from when it has read the answer, and the next request may be 5 ms late.
            let about = Duration::from_millis(1950)..Duration::from_millis(2500);
            assert!(about.contains(&pause), "{pause:?}");
        }
        let (_, pushbacks) = field.status().ejections[2];
        assert!(pushbacks >= 2, "{:?}", field.status().ejections);
    }
}

#[tokio::test]
async fn a_single_endpoint_is_not_left_alone() {
    let (busy, seen) = answering(|| {
        let mut response = unavailable();
        let fields = response.headers_mut();
        fields.insert("retry-after", "60".parse().unwrap());
        response
    })
    .await;
    let mut field = Field::start(&addresses(&[busy.address]), "").await;
    for _ in 0..20 {
        assert_eq!(field.get("/").await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(seen.lock().unwrap().len(), 20);
    let status = field.status();
    // Told once in a while, and not for each request.
    assert_eq!((status.ejected, status.spared), (0, 1));
}

#[tokio::test]
async fn a_refusal_says_that_all_endpoints_are_ejected() {
    let (bad, seen) = answering(unavailable).await;
    let more =
        "balance = { wait = \"50ms\", eject = { max_ejected = 1, panic = 0, base = \"60s\" } }";
    let mut field = Field::start(&addresses(&[bad.address]), more).await;
    for _ in 0..3 {
        field.get("/").await;
    }
    let response = bounded(field.client.send(get("/"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let reason = response.headers()["proxy-status"].to_str().unwrap();
    assert_eq!(
        reason,
        format!("proxy; error=destination_unavailable; details=\"{EJECTED}\"")
    );
    assert_eq!(read(response).await.to_bytes(), format!("{EJECTED}\n"));
    let call = Request::post("/a.b/c").header("content-type", "application/grpc");
    let call = call.body(empty()).unwrap();
    let response = bounded(field.client.send(call)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["grpc-message"], EJECTED);
    assert_eq!(seen.lock().unwrap().len(), 3);
}

/// No configuration leads there: a cluster has an endpoint.
#[tokio::test]
async fn a_refusal_says_that_there_is_no_endpoint() {
    let layer = BalanceLayer::<()>::builder()
        .wait(Duration::ZERO)
        .build()
        .unwrap();
    let endpoint = service_fn(|()| async { Ok::<_, BoxError>(()) });
    let discovery = stream::iter([Ok::<_, BoxError>(Change::Insert(1, endpoint))]);
    let (balance, driver) = layer.pair(discovery.take(0));
    drop(driver);
    let error = balance.oneshot(()).await.unwrap_err();
    let refusal = Refusal::of(error.as_ref());
    assert_eq!(refusal, Refusal::NoEndpoint);
    assert_eq!(refusal.text(), "there is no endpoint for this request");
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
}

const EJECTED: &str = "every ready endpoint is ejected for its failures";
