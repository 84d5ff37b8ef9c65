//! Who does not read is not sent more than buffers hold, and nothing is lost when it reads again.

use http::{Request, Response, Version};
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
    let (buffers, total) = bound(hops.client);
    let (taken, body) = long(total);
    let asking = client.send(Request::post("/").body(body).unwrap());
    let (response, ()) = tokio::join!(asking, async {
        let pushed = taken.settled().await;
        assert!(pushed < buffers, "{pushed} bytes went into nowhere");
        reads.send(true).unwrap();
    });
    assert_eq!(text(response.unwrap()).await, total.to_string());
}

async fn an_endpoint_cannot_push_into_a_client_that_does_not_read(hops: Hops) {
    let (buffers, total) = bound(hops.upstream);
    let (taken_out, mut taken) = watch::channel(None);
    let upstream = Upstream::start(move |_| {
        let (taken, body) = long(total);
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
    assert!(pushed < buffers, "{pushed} bytes went into nowhere");
    assert_eq!(read(response).await.to_bytes().len(), total);
}

/// What may be under way from one who speaks `version`, and a body several times as long.
///
/// HTTP/2 has windows, which are the proxy's own to set. HTTP/1.1 has the kernel's socket buffers,
/// which grow to tens of mebibytes on loopback.
fn bound(version: Version) -> (usize, usize) {
    match version {
        Version::HTTP_2 => (8 << 20, 32 << 20),
        _ => (48 << 20, 128 << 20),
    }
}
