//! When endpoints are dialled, and what is told of it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use http::Version;
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    admin::{fetch, in_front_of_nothing, metrics},
    front::{Front, bounded, get},
    raw::{RawUpstream, head, until_closed},
    support::{
        body::empty,
        client::{read, text},
        eventually,
        pki::Pki,
        upstream::Upstream,
    },
};

/// With many who ask, and nobody who answers.
#[tokio::test]
async fn an_endpoint_that_accepts_and_dies_is_dialled_by_its_backoff_alone() {
    for protocol in ["http1", "http2"] {
        let upstream = RawUpstream::start(|stream, _| async move { drop(stream) });
        let more = "[cluster.reconnect]\nbackoff = { base = \"100ms\", max = \"400ms\" }\n\
                    [cluster.balance]\nwait = \"50ms\"";
        let front = Front::start(protocol, upstream.address, more);
        let mut askers = JoinSet::new();
        let end = Instant::now() + Duration::from_secs(2);
        for _ in 0..20 {
            let mut client = front.client(Version::HTTP_11).await;
            askers.spawn(async move {
                while Instant::now() < end {
                    let answer = client.send(get("/")).await.unwrap();
                    // 502 where a request was on its way to a connection that died.
                    assert!(answer.status().is_server_error());
                    read(answer).await;
                }
            });
        }
        while let Some(asker) = bounded(askers.join_next()).await {
            asker.unwrap();
        }
        // Delays of 50, 100, 200 and then 400 ms at the least, an eighth less by chance.
        let dials = upstream.connections();
        assert!((3..=10).contains(&dials), "{protocol}: {dials}");
    }
}

/// As one that has as many as it bears would.
#[tokio::test]
async fn connections_are_used_on_while_an_endpoint_refuses_further_ones() {
    let open = Arc::new(Semaphore::new(0));
    let upstream = OneOnly::start(open.clone()).await;
    let front = Front::start("http1", upstream.address, "");
    front.listed().await;
    let mut clients = JoinSet::new();
    for _ in 0..5 {
        let mut client = front.client(Version::HTTP_11).await;
        clients.spawn(async move {
            let answer = bounded(client.send(get("/"))).await.unwrap();
            (answer.status(), text(answer).await)
        });
    }
    eventually("a dial is refused", || {
        front.endpoint().connection.dial_failures > 0
    })
    .await;
    open.add_permits(100);
    while let Some(answer) = bounded(clients.join_next()).await {
        assert_eq!(answer.unwrap(), (http::StatusCode::OK, "ok".to_owned()));
    }
    assert_eq!(front.endpoint().connection.open, 1);
}

/// One answer shows that it is back: no pause between dials, and no place in a line.
#[tokio::test]
async fn an_endpoint_that_has_answered_again_is_dialled_as_often_as_is_needed() {
    let front = in_front_of_nothing().await;
    eventually("some dials have failed", || {
        front.endpoint().connection.dial_failures >= 3
    })
    .await;
    let address = front.endpoint().address;
    let open = Arc::new(Semaphore::new(0));
    let held = open.clone();
    let answer = move |request: http::Request<hyper::body::Incoming>| {
        let held = held.clone();
        async move {
            if request.uri().path() == "/held" {
                held.acquire().await.unwrap().forget();
            }
            http::Response::new(empty())
        }
    };
    let _upstream = Upstream::start_at(address, None, answer).await;
    let mut client = front.client(Version::HTTP_11).await;
    let first = bounded(client.send(get("/"))).await.unwrap();
    assert_eq!(first.status(), 200);
    let mut clients = JoinSet::new();
    for _ in 0..30 {
        let mut client = front.client(Version::HTTP_11).await;
        clients.spawn(async move { client.send(get("/held")).await.unwrap().status() });
    }
    eventually("each has its own connection", || {
        front.endpoint().connection.open == 30
    })
    .await;
    open.add_permits(30);
    while let Some(status) = bounded(clients.join_next()).await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_take_its_dial_along() {
    let pki = Pki::new("example.org");
    let silent = RawUpstream::start(|mut stream, _| async move {
        until_closed(&mut stream).await;
    });
    let more = "[cluster.reconnect]\nconnect_timeout = \"60s\"";
    let front = Front::start_tls(pki, "http1", silent.address, more);
    eventually("it is dialled", || silent.connections() == 1).await;
    for _ in 0..5 {
        let mut client = front.client(Version::HTTP_2).await;
        let asked = timeout(Duration::from_millis(20), client.send(get("/"))).await;
        assert!(asked.is_err(), "nobody answers");
    }
    assert_eq!(silent.connections(), 1);
    assert_eq!(front.endpoint().connection.state, "connecting");
}

#[tokio::test]
async fn an_eager_cluster_keeps_a_connection_that_nobody_needs() {
    for (eager, again) in [(true, true), (false, false)] {
        let upstream = RawUpstream::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let more = format!("[cluster.reconnect]\nidle = \"100ms\"\neager = {eager}");
        let front = Front::start("http1", upstream.address, &more);
        let mut client = front.client(Version::HTTP_11).await;
        let answer = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(answer.status(), 200);
        read(answer).await;
        let dialled = async {
            while upstream.connections() < 2 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let dialled = timeout(Duration::from_secs(if again { 30 } else { 1 }), dialled).await;
        assert_eq!(dialled.is_ok(), again, "eager = {eager}");
    }
}

#[tokio::test]
async fn first_dials_are_put_off_by_chance_where_that_is_set() {
    for protocol in ["http1", "http2"] {
        let upstream = RawUpstream::start(|_, _| async {});
        let more = "[cluster.reconnect]\nfirst_dial_jitter = \"24h\"\n\
                    [cluster.balance]\nwait = \"300ms\"";
        let front = Front::start(protocol, upstream.address, more);
        let mut client = front.client(Version::HTTP_11).await;
        let answer = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(upstream.connections(), 0, "{protocol}");
    }
}

#[tokio::test]
async fn clusters_tell_when_the_next_dial_is_and_what_has_failed() {
    let front = in_front_of_nothing().await;
    eventually("it backs off for a while", || {
        let status = front.endpoint().connection;
        status.state == "backing off" && status.next_attempt_ms > Some(500.0)
    })
    .await;
    let endpoint = endpoint(&front).await;
    let number = |key: &str| endpoint[key].as_f64().unwrap_or(f64::NAN);
    assert!((1.0..=8_000.0).contains(&number("next_attempt_ms")));
    assert!(number("failed_in_a_row") >= 3.0, "{endpoint}");
    assert_eq!(number("connections"), 0.0);
    for key in ["cause", "last_failure"] {
        assert!(endpoint[key].as_str().unwrap().contains("refused"));
    }
    assert_eq!(endpoint["connection_age_ms"], Value::Null);

    let address = front.endpoint().address;
    let answer = |_| async { http::Response::new(empty()) };
    let _upstream = Upstream::start_at(address, None, answer).await;
    eventually("it is connected", || {
        front.endpoint().connection.state == "connected"
    })
    .await;
    let endpoint = self::endpoint(&front).await;
    assert_eq!(endpoint["cause"], Value::Null);
    assert_eq!(endpoint["next_attempt_ms"], Value::Null);
    assert!(
        endpoint["last_failure"]
            .as_str()
            .unwrap()
            .contains("refused")
    );
    assert!(endpoint["last_failure_ms_ago"].as_f64().unwrap() > 0.0);
    assert!(endpoint["connection_age_ms"].as_f64().unwrap() >= 0.0);
    assert_eq!(endpoint["connections"], 1);
}

#[tokio::test]
async fn dials_are_counted_by_what_became_of_them() {
    let silent = RawUpstream::start(|mut stream, _| async move {
        until_closed(&mut stream).await;
    });
    let no_tls = RawUpstream::start(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        until_closed(&mut stream).await;
    });
    let no_http2 = RawUpstream::answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let well = Upstream::start(|_| async { http::Response::new(empty()) }).await;
    let quick = "[cluster.reconnect]\nconnect_timeout = \"50ms\"";
    let tls = |address, more| Front::start_tls(Pki::new("example.org"), "http1", address, more);
    for (result, front) in [
        ("ok", Front::start("http1", well.address, "")),
        ("ok", Front::start("http2", well.address, "")),
        ("refused", in_front_of_nothing().await),
        ("timeout", tls(silent.address, quick)),
        ("tls", tls(no_tls.address, "")),
        ("http", Front::start("http2", no_http2.address, "")),
    ] {
        let dials = counted(&front, result).await;
        for (other, count) in &dials {
            assert_eq!(*count > 0.0, other == result, "{result}: {dials:?}");
        }
        assert_eq!(dials.len(), 9, "{dials:?}");
        let told = front.endpoint().connection.last_failure.is_some();
        assert_eq!(told, result != "ok", "{result}");
    }
}

#[tokio::test]
async fn the_age_of_connections_is_measured() {
    for protocol in ["http1", "http2"] {
        let upstream = Upstream::start(|_| async { http::Response::new(empty()) }).await;
        let front = Front::start(protocol, upstream.address, "");
        front.listed().await;
        eventually("there is a connection", || {
            front.endpoint().connection.open == 1
        })
        .await;
        sleep(Duration::from_millis(150)).await;
        let (cluster, of) = (labels(&front, false), labels(&front, true));
        let duration = format!("proxy_upstream_connection_duration_seconds_count{{{cluster}}}");
        let open = format!("proxy_endpoint_connections{{{of}}}");
        let age = format!("proxy_endpoint_connection_age_seconds{{{of}}}");
        let before = metrics(&front).await;
        assert_eq!((before[&open], before[&duration]), (1.0, 0.0));
        assert!((0.15..60.0).contains(&before[&age]), "{}", before[&age]);
        upstream.kill().await;
        eventually("it has ended", || front.endpoint().connection.open == 0).await;
        let after = metrics(&front).await;
        assert_eq!((after[&open], after[&duration]), (0.0, 1.0));
        let sum = format!("proxy_upstream_connection_duration_seconds_sum{{{cluster}}}");
        assert!((0.15..60.0).contains(&after[&sum]), "{}", after[&sum]);
    }
}

/// What `/clusters` says of the one endpoint.
async fn endpoint(front: &Front) -> Value {
    let answer = fetch(front, "GET", "/clusters").await;
    let clusters: Value = serde_json::from_str(&answer.body).unwrap();
    clusters[0]["endpoints"][0].clone()
}

/// The dials by result, once there is one of this.
async fn counted(front: &Front, result: &str) -> HashMap<String, f64> {
    bounded(async {
        loop {
            let dials: HashMap<_, _> = (metrics(front).await.into_iter())
                .filter_map(|(key, count)| {
                    let labels = key.strip_prefix("proxy_upstream_dials_total{")?;
                    let (_, word) = labels.split_once("result=\"")?;
                    Some((word.trim_end_matches("\"}").to_owned(), count))
                })
                .collect();
            if dials.get(result).is_some_and(|count| *count > 0.0) {
                return dials;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

fn labels(front: &Front, of_endpoint: bool) -> String {
    let address = front.endpoint().address;
    match of_endpoint {
        true => format!("cluster=\"backend\",endpoint=\"{address}\""),
        false => "cluster=\"backend\"".to_owned(),
    }
}

/// Listens until somebody has come, and answers each request when there is a permit.
struct OneOnly {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl OneOnly {
    async fn start(open: Arc<Semaphore>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            drop(listener);
            answer_all(stream, &open).await;
        });
        Self {
            address,
            _task: task,
        }
    }
}

async fn answer_all(mut stream: TcpStream, open: &Semaphore) {
    while head(&mut stream).await.is_some() {
        open.acquire().await.unwrap().forget();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
