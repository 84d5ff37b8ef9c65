//! Who does not read is not sent more than buffers hold, and nothing is lost when it reads again.

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::{
    front::{Hops, get},
    support::{
        body::long,
        client::{read, text},
        upstream::Upstream,
    },
};

through_all_hops!(
    a_client_cannot_push_into_an_endpoint_that_does_not_read,
    an_endpoint_cannot_push_into_a_client_that_does_not_read,
);

async fn a_client_cannot_push_into_an_endpoint_that_does_not_read(hops: Hops) {
    let (reads, wait) = watch::channel(false);
    let upstream = Upstream::start(move |request: Request<Incoming>| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|reads| *reads).await.unwrap();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(body.len().to_string())
        }
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let (taken, body) = long(LONG);
    let asking = client.send(Request::post("/").body(body).unwrap());
    let (response, ()) = tokio::join!(asking, async {
        let pushed = taken.settled().await;
        assert!(pushed < BUFFERS, "{pushed} bytes went into nowhere");
        reads.send(true).unwrap();
    });
    assert_eq!(text(response.unwrap()).await, LONG.to_string());
}

async fn an_endpoint_cannot_push_into_a_client_that_does_not_read(hops: Hops) {
    let (taken_out, mut taken) = watch::channel(None);
    let upstream = Upstream::start(move |_| {
        let (taken, body) = long(LONG);
        taken_out.send_replace(Some(taken));
        async move { Response::new(body) }
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let response = client.send(get("/")).await.unwrap();
    let taken = taken
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    let pushed = taken.settled().await;
    assert!(pushed < BUFFERS, "{pushed} bytes went into nowhere");
    assert_eq!(read(response).await.to_bytes().len(), LONG);
}

/// Longer than all that the kernel and both ends may keep.
const LONG: usize = 48 << 20;

/// Socket buffers of two connections on loopback, and what the proxy itself may hold.
const BUFFERS: usize = 12 << 20;
