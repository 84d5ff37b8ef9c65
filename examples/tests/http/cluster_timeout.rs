//! `[cluster.timeout]`: which requests have which limit, from when on, and who is told.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::Reason;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::mpsc, time::sleep};

use crate::{
    front::{Front, Hops, bounded, get, protocol},
    raw::{RawUpstream, head as read_head},
    routed::{ask, one},
    support::{
        admin,
        body::{TestBody, channel, empty, full},
        client::{read, text},
        eventually,
        upstream::Upstream,
    },
};

/// So long takes an answer where it is to be too slow for a short limit.
const SLOW: Duration = Duration::from_millis(900);

/// Learnt from nothing: what is alike has `initial`.
const UNLEARNT: &str = "[cluster.timeout]\nmin = \"10ms\"\ninitial = \"300ms\"\n";

#[tokio::test]
async fn waiting_for_a_connection_does_not_count() {
    let upstream = slow(Duration::from_millis(500)).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "reconnect = { max_connections = 1, connect_timeout = \"20s\" }\n\
         [cluster.timeout]\nfixed = \"1200ms\"",
    );
    // The last one waits for a second and a half before it is sent.
    assert_eq!(four_at_once(&front).await, [StatusCode::OK; 4]);
    assert_eq!(front.endpoint().failures, 0);
}

#[tokio::test]
async fn waiting_for_a_stream_does_not_count() {
    let upstream = H2Upstream::start(1, Duration::from_millis(500)).await;
    let front = Front::start(
        "http2",
        upstream.address,
        "reconnect = { max_connections = 1, connect_timeout = \"20s\" }\n\
         [cluster.timeout]\nfixed = \"1200ms\"",
    );
    let mut first = front.client(Version::HTTP_2).await;
    // The endpoint's settings are known after the first.
    assert_eq!(bounded(first.send(get("/"))).await.unwrap().status(), 200);
    assert_eq!(four_at_once(&front).await, [StatusCode::OK; 4]);
    assert_eq!(upstream.connections.load(Relaxed), 1, "one after the other");
}

#[tokio::test]
async fn what_is_not_alike_has_max() {
    let upstream = slow(SLOW).await;
    let all = Hops::ALL.into_iter().flat_map(|hops| {
        let upstream = &upstream;
        [("20s", 200), ("400ms", 504)].map(|(max, unlike)| async move {
            let more = format!("{UNLEARNT}max = \"{max}\"");
            let front = Front::start(protocol(hops.upstream), upstream.address, &more);
            let mut client = front.client(hops.client).await;
            for (request, expected) in [
                (bodiless(Method::GET), 504),
                (bodiless(Method::DELETE), 504),
                (bodiless(Method::POST), unlike),
                (bodiless(Method::PATCH), unlike),
                (with_body(Method::PUT), unlike),
                (with_body(Method::POST), unlike),
            ] {
                let what = format!("{} {max}", request.method());
                let response = bounded(client.send(request)).await.unwrap();
                assert_eq!(response.status(), expected, "{what}");
                read(response).await;
            }
        })
    });
    futures::future::join_all(all).await;
}

#[tokio::test]
async fn a_routes_own_timeout_comes_in_the_place_of_max() {
    let routed = one(
        &format!("{UNLEARNT}max = \"400ms\"\n"),
        slow(SLOW).await,
        "[[route]]\nlistener = \"web\"\npath_prefix = \"/limited\"\ncluster = \"a\"\ntimeout = \"20s\"\n\
         [[route]]\nlistener = \"web\"\ncluster = \"a\"\n",
    );
    let mut client = routed.client(Version::HTTP_11).await;
    for (method, path, expected) in [
        (Method::POST, "/limited", 200),
        (Method::GET, "/limited", 504),
        (Method::POST, "/", 504),
        (Method::GET, "/", 504),
    ] {
        let request = Request::builder().method(&method).uri(path);
        let answer = ask(&mut client, "a.test", request.body(empty()).unwrap()).await;
        assert_eq!(answer.status(), expected, "{method} {path}");
        read(answer).await;
    }
}

#[tokio::test]
async fn an_upgrade_may_take_longer_than_what_is_learnt() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        read_head(&mut stream).await;
        sleep(SLOW).await;
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        std::future::pending::<()>().await;
    });
    for (max, status) in [("20s", 101), ("400ms", 504)] {
        let more = format!("{UNLEARNT}max = \"{max}\"");
        let front = Front::start("http1", upstream.address, &more);
        let mut client = front.client(Version::HTTP_11).await;
        let request = Request::get("/").header("connection", "upgrade");
        let request = request.header("upgrade", "echo").body(empty()).unwrap();
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), status, "{max}");
    }
}

#[tokio::test]
async fn only_what_is_alike_teaches() {
    let upstream = slow(Duration::ZERO).await;
    let front = Front::start(
        "http1",
        upstream.address,
        "[cluster.timeout]\nmin = \"10ms\"\ninitial = \"30s\"\nmax = \"40s\"",
    );
    let mut client = front.client(Version::HTTP_11).await;
    let limit = || front.proxy.status().remove(0).timeout_ms.unwrap();
    for _ in 0..60 {
        read(bounded(client.send(with_body(Method::POST))).await.unwrap()).await;
    }
    assert_eq!(limit(), 30_000.0, "as it was");
    for _ in 0..60 {
        read(bounded(client.send(get("/"))).await.unwrap()).await;
    }
    assert!(limit() < 30_000.0, "{}", limit());
    let (_, json) = admin::get(front.admin(), "/clusters").await;
    assert!(json.contains("\"timeout_ms\": "), "{json}");
}

#[tokio::test]
async fn an_endpoint_is_not_blamed_for_a_client_that_is_still_sending() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        std::future::pending::<Response<TestBody>>().await
    })
    .await;
    for hops in Hops::ALL {
        let front = Front::start(
            protocol(hops.upstream),
            upstream.address,
            &format!("{UNLEARNT}max = \"400ms\""),
        );
        let mut client = front.client(hops.client).await;
        let (pieces, body) = channel();
        let asking = client.send(Request::post("/").body(body).unwrap());
        let (response, ()) = bounded(async { tokio::join!(asking, pieces.send("half")) }).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 504);
        drop((pieces, response));
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(front.endpoint().failures, 0, "the client had not finished");

        let mut client = front.client(hops.client).await;
        let response = bounded(client.send(with_body(Method::POST))).await.unwrap();
        assert_eq!(response.status(), 504);
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(front.endpoint().failures, 1, "the endpoint had all of it");
    }
}

#[tokio::test]
async fn an_endpoint_is_not_blamed_for_a_client_in_a_hurry_but_for_the_routes_timeout() {
    for (route, theirs, failures) in [
        ("", Some("200m"), 0),
        ("timeout = \"20s\"", Some("200m"), 0),
        ("timeout = \"200ms\"", None, 1),
        ("timeout = \"200ms\"", Some("20S"), 1),
    ] {
        let routed = one(
            "",
            slow(Duration::from_secs(30)).await,
            &format!("[[route]]\nlistener = \"web\"\ncluster = \"a\"\n{route}\n"),
        );
        let mut client = routed.client(Version::HTTP_11).await;
        let mut request = get("/");
        if let Some(theirs) = theirs {
            request
                .headers_mut()
                .insert("grpc-timeout", theirs.parse().unwrap());
        }
        let answer = ask(&mut client, "a.test", request).await;
        assert_eq!(answer.status(), 504, "{route} {theirs:?}");
        read(answer).await;
        let endpoint = || routed.proxy.status().remove(0).endpoints.remove(0);
        eventually("it is over", || endpoint().in_flight == 0).await;
        assert_eq!(endpoint().failures, failures, "{route} {theirs:?}");
    }
}

#[tokio::test]
async fn a_call_that_times_out_is_told_so_and_the_endpoint_sees_a_reset() {
    let mut upstream = H2Upstream::start(100, Duration::MAX).await;
    let front = Front::start(
        "http2",
        upstream.address,
        "[cluster.timeout]\nfixed = \"400ms\"",
    );
    for (failures, version) in [(1, Version::HTTP_11), (2, Version::HTTP_2)] {
        let mut client = front.client(version).await;
        let call = Request::post("/package.Service/Method");
        let call = call
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let answer = bounded(client.send(call.body(full("message")).unwrap()))
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
        let reason = answer.headers()["proxy-status"].to_str().unwrap();
        assert!(
            reason.starts_with("proxy; error=http_response_timeout"),
            "{reason}"
        );
        assert_eq!(text(answer).await, "", "headers only");
        assert_eq!(bounded(upstream.resets.recv()).await, Some(Reason::CANCEL));
        assert_eq!(
            front.endpoint().failures,
            failures,
            "the balancer has seen it"
        );
    }
}

#[tokio::test]
async fn envoys_header_may_shorten_a_timeout_and_tells_the_endpoint_what_is_left() {
    let upstream = Upstream::start(|request: Request<Incoming>| async move {
        if request.uri().path() == "/slow" {
            sleep(SLOW).await;
        }
        let left = request.headers()["x-envoy-expected-rq-timeout-ms"].to_str();
        Response::new(full(left.unwrap().to_owned()))
    });
    let routed = one(
        "",
        upstream.await,
        "[[route]]\nlistener = \"web\"\ncluster = \"a\"\ntimeout = \"20s\"\n",
    );
    let mut client = routed.client(Version::HTTP_11).await;
    for (path, theirs, status) in [
        ("/slow", "300", 504),
        ("/", "15000", 200),
        ("/", "60000", 200),
    ] {
        let request = Request::get(path).header("x-envoy-expected-rq-timeout-ms", theirs);
        let answer = ask(&mut client, "a.test", request.body(empty()).unwrap()).await;
        assert_eq!(answer.status(), status, "{path} {theirs}");
        let left = text(answer).await;
        if status == 200 {
            let left: u64 = left.parse().unwrap();
            assert!(left <= theirs.parse().unwrap() && left <= 20_000, "{left}");
        }
    }
}

/// Four requests of four clients.
async fn four_at_once(front: &Front) -> Vec<StatusCode> {
    let answers = (0..4).map(|_| async {
        let mut client = front.client(Version::HTTP_11).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        response.status()
    });
    futures::future::join_all(answers).await
}

fn bodiless(method: Method) -> Request<TestBody> {
    Request::builder()
        .method(method)
        .uri("/")
        .body(empty())
        .unwrap()
}

fn with_body(method: Method) -> Request<TestBody> {
    Request::builder()
        .method(method)
        .uri("/")
        .body(full("body"))
        .unwrap()
}

async fn slow(latency: Duration) -> Upstream {
    Upstream::start(move |request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await;
        sleep(latency).await;
        Response::new(empty())
    })
    .await
}

/// An endpoint that tells which of its streams were reset.
struct H2Upstream {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    resets: mpsc::UnboundedReceiver<Reason>,
}

impl H2Upstream {
    async fn start(streams: u32, latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, resets) = mpsc::unbounded_channel();
        let connections = Arc::<AtomicUsize>::default();
        let accepted = connections.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Relaxed);
                let sender = sender.clone();
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    let builder = builder.max_concurrent_streams(streams);
                    let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
                    while let Some(Ok((request, mut respond))) = connection.accept().await {
                        let sender = sender.clone();
                        tokio::spawn(async move {
                            let _request = request;
                            tokio::select! {
                                reason = poll_fn(|cx| respond.poll_reset(cx)) => {
                                    let _ = reason.map(|reason| sender.send(reason));
                                }
                                () = sleep(latency) => {
                                    let _ = respond.send_response(Response::new(()), true);
                                }
                            }
                        });
                    }
                });
            }
        });
        Self {
            address,
            connections,
            resets,
        }
    }
}
