//! A retry goes elsewhere, by what the copies of a request share.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures::stream;
use http::{Request, Response, StatusCode};
use tower::ServiceExt as _;
use tower_balance_p2c::{
    AtResponse, Balance, BalanceLayer, Change, Ejection,
    http::{ByTrail, HttpClassify, ServedBy, Trail},
};
use tower_service::Service;

type Pool = Balance<u8, Server, Request<()>, HttpClassify, AtResponse, ByTrail>;

/// Answers as the request says.
#[derive(Clone)]
struct Server;

impl Service<Request<()>> for Server {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        if request.uri().path() == "/fail" {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        ready(Ok(response))
    }
}

async fn pool(servers: u8) -> Pool {
    let layer = BalanceLayer::builder()
        .seed(1)
        .classify(HttpClassify)
        .ejection(Ejection::off())
        .steer(ByTrail)
        .build()
        .unwrap();
    let inserts = (1..=servers).map(|key| Ok::<_, Infallible>(Change::Insert(key, Server)));
    let (balance, driver) = layer.pair(stream::iter(inserts));
    tokio::spawn(driver);
    while balance.stats().ready < servers.into() {
        tokio::task::yield_now().await;
    }
    balance
}

async fn served_by(pool: &Pool, request: Request<()>) -> u8 {
    let response = pool.clone().oneshot(request).await.unwrap();
    response.extensions().get::<ServedBy<u8>>().unwrap().0
}

#[tokio::test(start_paused = true)]
async fn copies_of_a_request_go_to_other_endpoints_until_all_were_tried() {
    let pool = pool(5).await;
    for path in ["/", "/fail"] {
        for _ in 0..50 {
            let trail = Trail::new();
            let request = Request::get(path)
                .extension(trail.clone())
                .body(())
                .unwrap();
            let mut tried = Vec::new();
            for _ in 0..5 {
                let server = served_by(&pool, request.clone()).await;
                assert!(!tried.contains(&server), "{server} again after {tried:?}");
                tried.push(server);
            }
            assert_eq!(trail.endpoints(), tried);
            // All have failed it: any will do.
            let server = served_by(&pool, request).await;
            assert_eq!(trail.endpoints().last(), Some(&server));
            assert_eq!(trail.endpoints().len(), 6);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trails_of_different_requests_are_their_own() {
    let pool = pool(3).await;
    let request = |trail: &Trail<u8>| {
        let request = Request::get("/").extension(trail.clone());
        request.body(()).unwrap()
    };
    let avoiding: Trail<u8> = Trail::new();
    avoiding.add(1);
    avoiding.add(2);
    let mut others = Vec::new();
    for _ in 0..100 {
        let copy = Trail::new();
        avoiding
            .endpoints()
            .into_iter()
            .for_each(|key| copy.add(key));
        assert_eq!(served_by(&pool, request(&copy)).await, 3);
        assert_eq!(copy.endpoints(), [1, 2, 3]);
        others.push(served_by(&pool, Request::new(())).await);
    }
    assert!((1..=3).all(|key| others.contains(&key)));
}

#[tokio::test(start_paused = true)]
async fn a_trail_of_another_type_of_key_is_not_its_business() {
    let pool = pool(2).await;
    let trail: Trail<String> = Trail::default();
    let request = Request::get("/").extension(trail.clone()).body(()).unwrap();
    served_by(&pool, request).await;
    assert_eq!(trail.endpoints(), Vec::<String>::new());
}
