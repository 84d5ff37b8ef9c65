//! `[limits]`: how much one process takes on.

use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use crate::{
    admin::metrics,
    frames::{Frames, SETTINGS},
    front::{Front, Hops, bounded, get, noting, protocol},
    raw::{exchange, status, until_closed},
    support::{
        body::{channel, empty, full, long, noise},
        client::{read, text},
        eventually,
        upstream::Upstream,
    },
};

#[tokio::test]
async fn connections_over_the_limit_wait_for_their_turn() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "[limits]\nconnections = 2");
    let mut first = front.client(Version::HTTP_11).await;
    let mut second = front.client(Version::HTTP_2).await;
    read(first.send(get("/first")).await.unwrap()).await;
    read(second.send(get("/second")).await.unwrap()).await;

    let mut third = TcpStream::connect(front.web()).await.unwrap();
    third
        .write_all(b"GET /third HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..5 {
        // The others are served meanwhile, so the third has had every chance.
        read(first.send(get("/first")).await.unwrap()).await;
        read(second.send(get("/second")).await.unwrap()).await;
    }
    assert!(heads.try_iter().all(|head| head.uri.path() != "/third"));
    assert_eq!(
        metrics(&front).await[r#"proxy_connections_open{listener="web"}"#],
        2.0
    );

    drop(first);
    assert_eq!(status(&until_closed(&mut third).await), Some(200));
    assert_eq!(heads.try_recv().unwrap().uri.path(), "/third");
}

#[tokio::test]
async fn requests_over_the_limit_are_shed_and_counted() {
    let (open, wait) = watch::channel(false);
    let upstream = Upstream::start(move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|open| *open).await.unwrap();
            Response::new("served".to_owned())
        }
    })
    .await;
    let front = Front::start("http1", upstream.address, "[limits]\nrequests = 3");
    let mut served = JoinSet::new();
    for version in [Version::HTTP_11, Version::HTTP_2, Version::HTTP_2] {
        let mut client = front.client(version).await;
        served.spawn(async move { text(client.send(get("/")).await.unwrap()).await });
    }
    eventually("three are in flight", || front.endpoint().in_flight == 3).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = front.client(version).await;
        let shed = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(shed.status(), StatusCode::SERVICE_UNAVAILABLE);
        let reason = shed.headers()["proxy-status"].to_str().unwrap().to_owned();
        assert!(
            reason.starts_with("proxy; error=connection_limit_reached"),
            "{reason}"
        );
        assert_eq!(text(shed).await, "too many requests in flight\n");
    }
    assert_eq!(
        metrics(&front).await[r#"proxy_responses_total{listener="web",status="503"}"#],
        2.0
    );
    open.send(true).unwrap();
    while let Some(answer) = bounded(served.join_next()).await {
        assert_eq!(answer.unwrap(), "served");
    }
    let mut client = front.client(Version::HTTP_11).await;
    assert_eq!(text(client.send(get("/")).await.unwrap()).await, "served");
    assert_eq!(
        front.endpoint().failures,
        0,
        "what was shed is no fault of the endpoint"
    );
}

#[tokio::test]
async fn a_body_whose_announced_length_is_over_the_limit_never_leaves() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    for hops in Hops::ALL {
        let front = limited(hops, &upstream);
        let mut client = front.client(hops.client).await;
        let request = Request::post("/").body(full(noise(LIMIT + 1))).unwrap();
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(
            reason(&response),
            "proxy; error=http_request_error; details=\"the request's body is too large\""
        );
        assert!(heads.try_recv().is_err(), "the endpoint heard of it");
        assert_eq!(
            (front.endpoint().requests, front.endpoint().failures),
            (0, 0)
        );
    }
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_refused_and_the_endpoint_not_blamed() {
    let upstream = reading().await;
    for hops in Hops::ALL {
        let front = limited(hops, &upstream);
        for _ in 0..3 {
            let mut client = front.client(hops.client).await;
            let (_taken, body) = long(4 * LIMIT);
            let response = bounded(client.send(Request::post("/").body(body).unwrap()))
                .await
                .unwrap();
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert!(response.headers().contains_key("proxy-status"));
        }
        eventually("all are over", || front.endpoint().in_flight == 0).await;
        assert_eq!(front.endpoint().failures, 0);
        assert_eq!(front.endpoint().success_ratio, 1.0);
    }
}

#[tokio::test]
async fn a_body_as_long_as_the_limit_passes() {
    let upstream = reading().await;
    for hops in Hops::ALL {
        let front = limited(hops, &upstream);
        let mut client = front.client(hops.client).await;
        for body in [full(noise(LIMIT)), long(LIMIT).1] {
            let response = client
                .send(Request::post("/").body(body).unwrap())
                .await
                .unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(text(response).await, LIMIT.to_string());
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_after_the_answer_began_breaks_it_off() {
    let upstream =
        Upstream::start(
            |request: Request<Incoming>| async move { Response::new(request.into_body()) },
        )
        .await;
    for hops in Hops::ALL {
        let front = limited(hops, &upstream);
        let mut client = front.client(hops.client).await;
        let (pieces, body) = channel();
        let response = client
            .send(Request::post("/").body(body).unwrap())
            .await
            .unwrap();
        pieces.send(noise(LIMIT)).await;
        pieces.send("more").await;
        drop(pieces);
        assert!(
            bounded(response.into_body().collect()).await.is_err(),
            "not a whole answer"
        );
    }
}

#[tokio::test]
async fn a_client_that_expects_is_refused_before_it_sends() {
    let upstream = reading().await;
    let front = limited(Hops::ALL[0], &upstream);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        LIMIT + 1
    );
    let answer = exchange(front.web(), head.as_bytes()).await;
    assert_eq!(
        status(&answer),
        Some(413),
        "no 100 may come first: {answer}"
    );
}

#[tokio::test]
async fn an_http2_client_is_told_how_many_streams_it_may_open() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    for (limit, more) in [(7, "[limits]\nhttp2_streams = 7"), (200, "")] {
        let front = Front::start("http1", upstream.address, more);
        let mut frames = Frames::connect(front.web()).await;
        let settings = bounded(frames.next_of(&[SETTINGS])).await.unwrap();
        assert_eq!(
            settings.setting(MAX_CONCURRENT_STREAMS),
            Some(limit),
            "{settings:?}"
        );
    }
}

#[tokio::test]
async fn streams_over_the_limit_wait_in_the_client_and_all_are_served() {
    let (open, wait) = watch::channel(false);
    let upstream = Upstream::start(move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|open| *open).await.unwrap();
            Response::new("served".to_owned())
        }
    })
    .await;
    let front = Front::start("http2", upstream.address, "[limits]\nhttp2_streams = 2");
    let crate::support::client::Client::Http2(mut sender) = front.client(Version::HTTP_2).await
    else {
        unreachable!("HTTP/2 was asked for");
    };
    let refused = Request::get("http://user@a.test/").body(empty()).unwrap();
    assert_eq!(sender.send_request(refused).await.unwrap().status(), 400);
    // With that answer the client has the settings as well.
    let mut served = JoinSet::new();
    for _ in 0..6 {
        sender.ready().await.unwrap();
        let request = Request::get("http://a.test/").body(empty()).unwrap();
        let asking = sender.send_request(request);
        served.spawn(async move { asking.await.unwrap().status() });
    }
    eventually("two are in flight", || front.endpoint().in_flight == 2).await;
    open.send(true).unwrap();
    while let Some(status) = bounded(served.join_next()).await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_client_that_has_sent_nothing_of_its_body_still_gets_the_refusal() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = limited(Hops::ALL[0], &upstream);
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
        LIMIT + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    bounded(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

fn limited(hops: Hops, upstream: &Upstream) -> Front {
    Front::start(
        protocol(hops.upstream),
        upstream.address,
        &format!("[limits]\nbody_bytes = {LIMIT}"),
    )
}

/// Reads a request's body and tells its length.
async fn reading() -> Upstream {
    Upstream::start(|request: Request<Incoming>| async move {
        let length = request
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes().len());
        Response::new(length.map_or_else(|_| "broken".to_owned(), |length| length.to_string()))
    })
    .await
}

fn reason<B>(response: &Response<B>) -> &str {
    response.headers()["proxy-status"].to_str().unwrap()
}

const LIMIT: usize = 64 * 1024;
const MAX_CONCURRENT_STREAMS: u16 = 3;
