//! Connections to an HTTP/1.1 endpoint: as many as allowed, kept, and waited for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Request, Version};
use tokio::{io::AsyncWriteExt, sync::Semaphore, task::JoinSet};

use crate::{
    front::{Front, bounded, get},
    raw::{RawUpstream, head},
    support::{
        body::{empty, full},
        client::{read, text},
        eventually,
    },
};

#[tokio::test]
async fn a_connection_is_used_again() {
    let endpoint = Endpoint::start();
    let front = Front::start("http1", endpoint.upstream.address, "");
    endpoint.open.add_permits(100);
    for _ in 0..20 {
        let mut client = front.client(Version::HTTP_11).await;
        assert_eq!(text(client.send(get("/")).await.unwrap()).await, "ok");
    }
    for number in 0..20 {
        let mut client = front.client(Version::HTTP_2).await;
        let request = Request::post("/").body(full(number.to_string())).unwrap();
        assert_eq!(
            read(client.send(request).await.unwrap()).await.to_bytes(),
            "ok"
        );
    }
    assert_eq!(endpoint.upstream.connections(), 1);
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    let endpoint = Endpoint::start();
    let front = Front::start(
        "http1",
        endpoint.upstream.address,
        "[cluster.reconnect]\nmax_connections = 3",
    );
    let mut clients = JoinSet::new();
    for _ in 0..12 {
        let mut client = front.client(Version::HTTP_11).await;
        clients.spawn(async move { text(client.send(get("/")).await.unwrap()).await });
    }
    eventually("three requests have come", || {
        endpoint.heads.load(Ordering::Relaxed) == 3
    })
    .await;
    eventually("the others are waiting", || {
        front.endpoint().in_flight == 12
    })
    .await;
    assert_eq!(endpoint.upstream.connections(), 3);
    endpoint.open.add_permits(12);
    while let Some(answer) = bounded(clients.join_next()).await {
        assert_eq!(answer.unwrap(), "ok");
    }
    assert_eq!(endpoint.upstream.connections(), 3);
    assert_eq!(front.endpoint().failures, 0);
}

#[tokio::test]
async fn a_queue_that_is_full_is_told_at_once() {
    let endpoint = Endpoint::start();
    let front = Front::start(
        "http1",
        endpoint.upstream.address,
        "[cluster.reconnect]\nmax_connections = 1\nmax_pending = 2",
    );
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let mut client = front.client(Version::HTTP_11).await;
        waiting.spawn(async move { text(client.send(get("/")).await.unwrap()).await });
    }
    eventually("one is sent and two are waiting", || {
        front.endpoint().in_flight == 3 && endpoint.heads.load(Ordering::Relaxed) == 1
    })
    .await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = front.client(version).await;
        let refused = bounded(client.send(Request::get("/").body(empty()).unwrap()))
            .await
            .unwrap();
        assert_eq!(refused.status(), 503, "{:?}", refused.headers());
        assert!(
            refused.headers()["proxy-status"]
                .to_str()
                .unwrap()
                .contains("error=connection_limit_reached")
        );
        read(refused).await;
    }
    endpoint.open.add_permits(3);
    while let Some(answer) = bounded(waiting.join_next()).await {
        assert_eq!(answer.unwrap(), "ok");
    }
    assert_eq!(endpoint.upstream.connections(), 1);
}

#[tokio::test]
async fn one_who_leaves_the_queue_makes_room() {
    let endpoint = Endpoint::start();
    let front = Front::start(
        "http1",
        endpoint.upstream.address,
        "[cluster.reconnect]\nmax_connections = 1\nmax_pending = 1",
    );
    let mut first = front.client(Version::HTTP_11).await;
    let first = tokio::spawn(async move { text(first.send(get("/")).await.unwrap()).await });
    eventually("the first is sent", || {
        endpoint.heads.load(Ordering::Relaxed) == 1
    })
    .await;
    for _ in 0..3 {
        let mut leaver = front.client(Version::HTTP_2).await;
        let leaving = tokio::spawn(async move { leaver.send(get("/")).await.map(drop) });
        eventually("the second waits", || front.endpoint().in_flight == 2).await;
        leaving.abort();
        eventually("it has left", || front.endpoint().in_flight == 1).await;
    }
    let mut last = front.client(Version::HTTP_11).await;
    let last = tokio::spawn(async move { text(last.send(get("/")).await.unwrap()).await });
    eventually("the last waits", || front.endpoint().in_flight == 2).await;
    endpoint.open.add_permits(2);
    assert_eq!(bounded(first).await.unwrap(), "ok");
    assert_eq!(bounded(last).await.unwrap(), "ok");
    assert_eq!(endpoint.upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_whose_answer_nobody_wanted_is_not_used_again() {
    let endpoint = Endpoint::start();
    let front = Front::start("http1", endpoint.upstream.address, "");
    let mut leaver = front.client(Version::HTTP_2).await;
    let leaving = tokio::spawn(async move { leaver.send(get("/")).await.map(drop) });
    eventually("it is sent", || endpoint.heads.load(Ordering::Relaxed) == 1).await;
    leaving.abort();
    eventually("it is over", || front.endpoint().in_flight == 0).await;
    endpoint.open.add_permits(2);
    let mut client = front.client(Version::HTTP_11).await;
    assert_eq!(
        bounded(text(bounded(client.send(get("/"))).await.unwrap())).await,
        "ok"
    );
    assert_eq!(endpoint.upstream.connections(), 2);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let endpoint = Endpoint::start();
    endpoint.open.add_permits(1);
    let front = Front::start(
        "http1",
        endpoint.upstream.address,
        "[cluster.reconnect]\nidle = \"200ms\"",
    );
    let mut client = front.client(Version::HTTP_11).await;
    assert_eq!(text(client.send(get("/")).await.unwrap()).await, "ok");
    eventually("the proxy has closed it", || {
        endpoint.ended.load(Ordering::Relaxed) >= 1
    })
    .await;
}

/// Answers each request when it gets a permit.
struct Endpoint {
    upstream: RawUpstream,
    open: Arc<Semaphore>,
    heads: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Endpoint {
    fn start() -> Self {
        let open = Arc::new(Semaphore::new(0));
        let (heads, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shared = (open.clone(), heads.clone(), ended.clone());
        let upstream = RawUpstream::start(move |mut stream, _| {
            let (open, heads, ended) = shared.clone();
            async move {
                while let Some(head) = head(&mut stream).await {
                    heads.fetch_add(1, Ordering::Relaxed);
                    skip_body(&mut stream, &head).await;
                    open.acquire().await.unwrap().forget();
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            upstream,
            open,
            heads,
            ended,
        }
    }
}

async fn skip_body(stream: &mut tokio::net::TcpStream, head: &str) {
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    tokio::io::AsyncReadExt::read_exact(stream, &mut vec![0; length])
        .await
        .unwrap();
}
