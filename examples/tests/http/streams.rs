//! HTTP/2 connections to an endpoint: more of them when their streams run out, and when they age.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use examples::{
    BoxError,
    config::{ClusterProtocol, ReconnectConfig},
    endpoint::{NoFreeConnection, TooManyPending},
};
use http::{Request, Response, Version};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tower::ServiceExt;

use crate::{
    endpoint::{Service, plain, service},
    front::{Front, bounded, get},
    raw::RawUpstream,
    support::{client::text, eventually},
};

#[tokio::test]
async fn a_request_that_finds_no_stream_gets_another_connection() {
    let endpoint = Limited::start(2);
    let service = endpoint.service(ReconnectConfig::default());
    let mut requests = endpoint.requests(&service, 7);
    eventually("all are in flight", || endpoint.in_flight() == 7).await;
    assert_eq!(endpoint.upstream.connections(), 4);
    endpoint.answer(7);
    all_whole(&mut requests).await;
    let mut requests = endpoint.requests(&service, 3);
    eventually("all are in flight", || endpoint.in_flight() == 3).await;
    assert_eq!(endpoint.upstream.connections(), 4, "there are enough");
    endpoint.answer(3);
    all_whole(&mut requests).await;
}

#[tokio::test]
async fn one_connection_is_enough_while_it_has_streams() {
    let endpoint = Limited::start(20);
    let service = endpoint.service(ReconnectConfig::default());
    for _ in 0..3 {
        let mut requests = endpoint.requests(&service, 20);
        eventually("all are in flight", || endpoint.in_flight() == 20).await;
        endpoint.answer(20);
        all_whole(&mut requests).await;
    }
    assert_eq!(endpoint.upstream.connections(), 1);
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed_and_the_others_wait() {
    let endpoint = Limited::start(2);
    let service = endpoint.service(ReconnectConfig {
        max_connections: 2,
        connect_timeout: Duration::from_secs(20),
        ..ReconnectConfig::default()
    });
    let mut requests = endpoint.requests(&service, 10);
    eventually("as many as may be", || endpoint.in_flight() == 4).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(endpoint.in_flight(), 4);
    endpoint.answer(10);
    all_whole(&mut requests).await;
    assert_eq!(endpoint.upstream.connections(), 2);
}

#[tokio::test]
async fn a_stream_is_waited_for_in_a_queue_with_bounds() {
    let endpoint = Limited::start(1);
    let service = endpoint.service(ReconnectConfig {
        max_connections: 1,
        max_pending: 1,
        connect_timeout: Duration::from_millis(300),
        ..ReconnectConfig::default()
    });
    let _first = endpoint.requests(&service, 1);
    eventually("the first is in flight", || endpoint.in_flight() == 1).await;
    let mut others = endpoint.requests(&service, 2);
    let refused = bounded(others.join_next()).await.unwrap().unwrap();
    assert!(refused.unwrap_err().is::<TooManyPending>());
    let late = bounded(others.join_next()).await.unwrap().unwrap();
    assert!(late.unwrap_err().is::<NoFreeConnection>());
}

#[tokio::test]
async fn one_who_leaves_frees_a_stream() {
    let endpoint = Limited::start(1);
    let service = endpoint.service(ReconnectConfig {
        max_connections: 1,
        connect_timeout: Duration::from_secs(20),
        ..ReconnectConfig::default()
    });
    let mut leaver = endpoint.requests(&service, 1);
    eventually("it is in flight", || endpoint.in_flight() == 1).await;
    let mut waiting = endpoint.requests(&service, 1);
    leaver.abort_all();
    while leaver.join_next().await.is_some() {}
    eventually("the other one came", || endpoint.arrived.load(SeqCst) == 2).await;
    endpoint.answer(2);
    all_whole(&mut waiting).await;
}

#[tokio::test]
async fn further_connections_are_closed_when_they_are_not_needed() {
    let endpoint = Limited::start(1);
    let service = endpoint.service(ReconnectConfig {
        idle: Duration::from_millis(200),
        ..ReconnectConfig::default()
    });
    let mut requests = endpoint.requests(&service, 3);
    eventually("all are in flight", || endpoint.in_flight() == 3).await;
    endpoint.answer(3);
    all_whole(&mut requests).await;
    assert_eq!(endpoint.open(), 3);
    eventually("one is left", || endpoint.open() == 1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(endpoint.open(), 1);
    assert_eq!(endpoint.upstream.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_fails_to_come_leaves_the_others_alone() {
    let endpoint = Limited::start(1);
    let only = Once::start(endpoint.upstream.address).await;
    let mut reconnect = ReconnectConfig {
        connect_timeout: Duration::from_millis(500),
        ..ReconnectConfig::default()
    };
    reconnect.backoff.max = Duration::from_millis(200);
    let service = service(only, ClusterProtocol::Http2, reconnect);
    for _ in 0..3 {
        let mut first = endpoint.requests(&service, 1);
        eventually("the first is in flight", || endpoint.in_flight() == 1).await;
        let late = bounded(service.clone().oneshot(plain())).await.unwrap_err();
        assert!(late.is::<NoFreeConnection>(), "{late}");
        endpoint.answer(1);
        all_whole(&mut first).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_replaced_before_anybody_notices() {
    let endpoint = Limited::start(100);
    let reconnect = "[cluster.reconnect]\nmax_age = \"400ms\"";
    let front = Front::start("http2", endpoint.upstream.address, reconnect);
    let mut long = front.client(Version::HTTP_2).await;
    let long = tokio::spawn(async move { text(long.send(get("/hold")).await.unwrap()).await });
    eventually("the long one is in flight", || endpoint.in_flight() == 1).await;
    let mut client = front.client(Version::HTTP_2).await;
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(text(response).await, "ok");
    }
    let connections = endpoint.upstream.connections();
    assert!((4..=7).contains(&connections), "{connections}");
    eventually("the first and the last are left", || endpoint.open() <= 2).await;
    assert!(!long.is_finished(), "its stream goes on");
    endpoint.answer(1);
    assert_eq!(bounded(long).await.unwrap(), "ok");
    assert_eq!(front.endpoint().failures, 0);
    let status = front.endpoint().connection;
    assert_eq!(status.dials, endpoint.upstream.connections() as u64);
    assert_eq!(status.dial_failures, 0);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed() {
    let endpoint = Limited::start(100);
    let (silence, relay) = silent_on_demand(endpoint.upstream.address).await;
    let service = service(
        relay,
        ClusterProtocol::Http2,
        ReconnectConfig {
            keepalive: KEEPALIVE,
            ..ReconnectConfig::default()
        },
    );
    let mut requests = endpoint.requests(&service, 1);
    eventually("it is in flight", || endpoint.in_flight() == 1).await;
    // A peer that answers PINGs may take its time with the rest.
    tokio::time::sleep(KEEPALIVE * 5 / 2).await;
    assert!(requests.try_join_next().is_none());
    silence.send(true).unwrap();
    let begun = Instant::now();
    let outcome = bounded(requests.join_next()).await.unwrap().unwrap();
    assert!(outcome.is_err());
    let noticed = Instant::now() - begun;
    assert!(noticed < KEEPALIVE * 5 / 2, "{noticed:?}");
    silence.send(false).unwrap();
    let mut requests = endpoint.requests(&service, 1);
    endpoint.answer(2);
    all_whole(&mut requests).await;
}

async fn all_whole(requests: &mut JoinSet<Result<(), BoxError>>) {
    while let Some(outcome) = bounded(requests.join_next()).await {
        assert!(outcome.as_ref().unwrap().is_ok(), "{outcome:?}");
    }
}

/// An HTTP/2 endpoint that bears so many streams on a connection, and answers POST and `/hold` as
/// the test says.
struct Limited {
    upstream: RawUpstream,
    open: Arc<AtomicUsize>,
    arrived: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Limited {
    fn start(streams: u32) -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let [open, arrived, answered] = std::array::from_fn(|_| Arc::<AtomicUsize>::default());
        let shared = (
            permits.clone(),
            open.clone(),
            arrived.clone(),
            answered.clone(),
        );
        let upstream = RawUpstream::start(move |stream, _| {
            let (permits, open, arrived, answered) = shared.clone();
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (permits, answered) = (permits.clone(), answered.clone());
                    let holds = request.method() == "POST" || request.uri().path() == "/hold";
                    if holds {
                        arrived.fetch_add(1, SeqCst);
                    }
                    async move {
                        if holds {
                            permits.acquire().await.unwrap().forget();
                            answered.fetch_add(1, SeqCst);
                        }
                        Ok::<_, std::convert::Infallible>(Response::new("ok".to_owned()))
                    }
                });
                open.fetch_add(1, SeqCst);
                let _ = http2::Builder::new(TokioExecutor::new())
                    .max_concurrent_streams(streams)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                open.fetch_sub(1, SeqCst);
            }
        });
        Self {
            upstream,
            open,
            arrived,
            answered,
            permits,
        }
    }

    fn service(&self, reconnect: ReconnectConfig) -> Service {
        service(self.upstream.address, ClusterProtocol::Http2, reconnect)
    }

    fn requests(&self, service: &Service, count: usize) -> JoinSet<Result<(), BoxError>> {
        let requests = (0..count).map(|_| {
            let service = service.clone();
            async move {
                let response = service.oneshot(plain()).await?;
                assert_eq!(response.status(), 200);
                Ok(())
            }
        });
        requests.collect()
    }

    fn answer(&self, count: usize) {
        self.permits.add_permits(count);
    }

    fn in_flight(&self) -> usize {
        self.arrived.load(SeqCst) - self.answered.load(SeqCst)
    }

    fn open(&self) -> usize {
        self.open.load(SeqCst)
    }
}

/// Passes the first connection on, and refuses those after it.
struct Once;

impl Once {
    async fn start(target: std::net::SocketAddr) -> std::net::SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut client, _) = socket.accept().await.unwrap();
            drop(socket);
            let mut server = TcpStream::connect(target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
        address
    }
}

/// A relay that keeps everything to itself while it is told to.
async fn silent_on_demand(
    target: std::net::SocketAddr,
) -> (watch::Sender<bool>, std::net::SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (silence, silent) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = socket.accept().await {
            let server = TcpStream::connect(target).await.unwrap();
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            for (mut from, mut to) in [(client_read, server_write), (server_read, client_write)] {
                let silent = silent.clone();
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    while let Ok(length @ 1..) = from.read(&mut piece).await {
                        let passes = !*silent.borrow();
                        if passes && to.write_all(&piece[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (silence, address)
}

const KEEPALIVE: Duration = Duration::from_secs(1);
