//! Endpoints that close idle connections by themselves: no request meets such a close.
//!
//! A relay makes each way take a while, as a network does: so a request may cross a close. The load
//! comes in bursts, with pauses that end when the endpoint closes. POST is not sent again, and
//! nothing is retried.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    front::{Front, bounded, get},
    raw::{RawUpstream, head},
    support::{
        body::full,
        client::{Client, read, text},
        eventually,
        nginx::Nginx,
    },
};

#[tokio::test]
async fn what_an_http1_server_closes_when_idle_is_learnt() {
    let upstream = closing_after(SECOND, "");
    let failures = bursts(upstream.address, &AROUND_A_SECOND).await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_keep_alive_field_tells_needs_no_learning() {
    let upstream = closing_after(SECOND, "keep-alive: timeout=1, max=1000\r\n");
    let failures = bursts(upstream.address, &told()).await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn what_nginx_closes_when_idle_is_learnt() {
    let nginx = nginx("keepalive_timeout 1s;").await;
    let failures = bursts(nginx.address, &AROUND_A_SECOND).await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn what_nginx_tells_of_its_timeout_holds_for_a_minute() {
    let nginx = nginx("keepalive_timeout 1s 1s;").await;
    let pauses: Vec<_> = told().into_iter().cycle().take(72).collect();
    let failures = bursts(nginx.address, &pauses).await;
    assert_eq!(failures, Vec::<String>::new());
}

#[tokio::test]
async fn a_keep_alive_field_is_read_and_not_passed_on() {
    let upstream = closing_after(SECOND * 60, "keep-alive: timeout=1\r\n");
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for (pause, connections) in [(0, 1), (500, 1), (950, 2), (0, 2)] {
        sleep(Duration::from_millis(pause)).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert!(!response.headers().contains_key("keep-alive"));
        assert_eq!(text(response).await, "ok");
        assert_eq!(upstream.connections(), connections, "after {pause} ms");
    }
}

#[tokio::test]
async fn a_connection_that_is_too_old_is_not_used_again() {
    let upstream = closing_after(SECOND * 60, "");
    let reconnect = "[cluster.reconnect]\nmax_age = \"500ms\"";
    let front = Front::start("http1", upstream.address, reconnect);
    let mut client = front.client(Version::HTTP_11).await;
    let end = Instant::now() + SECOND * 2;
    let mut requests = 0;
    while Instant::now() < end {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(text(response).await, "ok");
        requests += 1;
    }
    let connections = upstream.connections();
    assert!((4..=6).contains(&connections), "{connections}");
    assert!(requests > 20, "{requests}");
    assert_eq!(front.endpoint().failures, 0);
}

#[tokio::test]
async fn what_was_learnt_is_forgotten_when_it_does_not_hold_any_more() {
    let upstream = closing_after(SECOND, "");
    let front = Front::start(
        "http1",
        upstream.address,
        "[cluster.reconnect]\nidle = \"3s\"",
    );
    let mut client = front.client(Version::HTTP_11).await;
    let mut connections = Vec::new();
    for round in 0..12 {
        if round == 3 {
            upstream.limit.send_replace(SECOND * 60);
        }
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(text(response).await, "ok");
        connections.push(upstream.connections());
        sleep(Duration::from_millis(1300)).await;
    }
    assert!(
        connections.windows(2).take(4).all(|pair| pair[0] < pair[1]),
        "{connections:?}"
    );
    assert!(
        connections.windows(2).any(|pair| pair[0] == pair[1]),
        "{connections:?}"
    );
}

#[tokio::test]
async fn connections_that_are_left_to_their_server_count_as_connections() {
    let upstream = closing_after(SECOND, "");
    let reconnect = "[cluster.reconnect]\nmax_connections = 2";
    let front = Front::start("http1", upstream.address, reconnect);
    for pause in [1500, 1500, 940, 0] {
        let mut clients = JoinSet::new();
        for _ in 0..2 {
            let client = front.client(Version::HTTP_11).await;
            clients.spawn(post(client));
        }
        while let Some(outcome) = bounded(clients.join_next()).await {
            assert_eq!(outcome.unwrap(), Ok(()));
        }
        assert!(upstream.open() <= 2, "{} open", upstream.open());
        sleep(Duration::from_millis(pause)).await;
    }
    eventually("those that were left are closed", || upstream.open() <= 2).await;
}

/// Answers every request with 200 and `ok`.
async fn nginx(settings: &str) -> Nginx {
    let server = "server { listen LISTEN; location / { return 200 ok; } }";
    Nginx::start(&format!("{settings} {server}")).await
}

/// Without the pauses that teach.
fn told() -> Vec<u64> {
    let mut pauses = AROUND_A_SECOND.to_vec();
    pauses.drain(1..4);
    pauses
}

/// Twenty-five POSTs at once, each time after one of these pauses. Returns what failed.
async fn bursts(endpoint: SocketAddr, pauses: &[u64]) -> Vec<String> {
    let front = Front::start("http1", slow_way(endpoint).await, "");
    let mut failures = Vec::new();
    let mut ended = Instant::now();
    for &pause in pauses {
        let mut clients = Vec::new();
        for _ in 0..25 {
            clients.push(front.client(Version::HTTP_2).await);
        }
        sleep_until(ended + Duration::from_millis(pause)).await;
        let mut burst: JoinSet<_> = clients.into_iter().map(post).collect();
        while let Some(outcome) = bounded(burst.join_next()).await {
            failures.extend(outcome.unwrap().err());
        }
        ended = Instant::now();
    }
    failures
}

async fn post(mut client: Client<crate::support::body::TestBody>) -> Result<(), String> {
    let request = Request::post("/").body(full("body")).unwrap();
    let response = client
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let body = read(response).await.to_bytes();
    match status.as_u16() {
        200 => Ok(()),
        _ => Err(format!("{status}: {body:?}")),
    }
}

/// A server that closes connections that were idle for `limit`, and adds `fields` to answers.
fn closing_after(limit: Duration, fields: &'static str) -> Closing {
    let (open, limit) = (Arc::new(AtomicUsize::new(0)), watch::channel(limit).0);
    let shared = (open.clone(), limit.clone());
    let upstream = RawUpstream::start(move |mut stream, _| {
        let (open, limit) = shared.clone();
        async move {
            open.fetch_add(1, Relaxed);
            loop {
                let patience = *limit.borrow();
                let Ok(Some(head)) = timeout(patience, head(&mut stream)).await else {
                    break;
                };
                let has_body = head.starts_with("POST");
                if has_body && stream.read_exact(&mut [0; 4]).await.is_err() {
                    break;
                }
                let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
            open.fetch_sub(1, Relaxed);
        }
    });
    Closing {
        upstream,
        open,
        limit,
    }
}

struct Closing {
    upstream: RawUpstream,
    open: Arc<AtomicUsize>,
    limit: watch::Sender<Duration>,
}

impl std::ops::Deref for Closing {
    type Target = RawUpstream;

    fn deref(&self) -> &RawUpstream {
        &self.upstream
    }
}

impl Closing {
    fn open(&self) -> usize {
        self.open.load(Relaxed)
    }
}

/// A relay on which everything, the end included, takes [`WAY`] to arrive.
async fn slow_way(target: SocketAddr) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = socket.accept().await {
            let Ok(server) = TcpStream::connect(target).await else {
                continue;
            };
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::spawn(delay(client_read, server_write));
            tokio::spawn(delay(server_read, client_write));
        }
    });
    address
}

async fn delay(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf) {
    let (sent, mut arriving) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    tokio::spawn(async move {
        let mut piece = [0; 4096];
        loop {
            let length = from.read(&mut piece).await.unwrap_or(0);
            let bytes = Bytes::copy_from_slice(&piece[..length]);
            if sent.send((Instant::now() + WAY, bytes)).is_err() || length == 0 {
                return;
            }
        }
    });
    while let Some((arrives, bytes)) = arriving.recv().await {
        sleep_until(arrives).await;
        if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

const WAY: Duration = Duration::from_millis(15);

/// In milliseconds. Three let the endpoint close, and teach; those after them end when it does.
const AROUND_A_SECOND: [u64; 8] = [0, 1300, 1300, 1300, 985, 975, 990, 980];
