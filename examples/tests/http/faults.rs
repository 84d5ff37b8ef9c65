//! What a client sees when its endpoint is broken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Version};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

use crate::{
    admin::metrics,
    frames::{DATA, END_STREAM, Frames, HEADERS, RST_STREAM},
    front::{Front, bounded, get, noting, protocol},
    raw::{RawUpstream, exchange, head, status, until_closed},
    support::{
        body::{empty, full},
        client::{read, text},
        eventually,
        upstream::Upstream,
    },
};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn an_endpoint_that_refuses_is_unavailable_within_the_bound() {
    let (upstream, _heads) = noting(|| http::Response::new(empty())).await;
    let address = upstream.kill().await;
    for upstream in VERSIONS {
        let front = Front::start(
            protocol(upstream),
            address,
            "[cluster.balance]\nwait = \"100ms\"",
        );
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(response.status(), 503);
            assert_eq!(reason(&response), "destination_unavailable");
            assert_eq!(text(response).await, "no endpoint was ready in time\n");
        }
        assert_eq!(front.endpoint().connection.state, "backing off");
    }
}

#[tokio::test]
async fn an_endpoint_that_comes_back_is_used_again() {
    let (upstream, _heads) = noting(|| http::Response::new(empty())).await;
    let address = upstream.kill().await;
    for version in VERSIONS {
        let front = Front::start(protocol(version), address, "");
        front.listed().await;
        let mut client = front.client(Version::HTTP_11).await;
        let asking = tokio::spawn(async move { client.send(get("/")).await });
        eventually("a dial has failed", || {
            front.endpoint().connection.dial_failures > 0
        })
        .await;
        let upstream =
            Upstream::start_at(address, None, |_| async { http::Response::new(empty()) }).await;
        let response = bounded(asking).await.unwrap().unwrap();
        assert_eq!(response.status(), 200, "the request waited and was served");
        upstream.kill().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_up_before_its_answer_is_a_bad_gateway() {
    let hanging_up = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
    });
    let resetting = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    });
    let half = RawUpstream::answering(b"HTTP/1.1 200 OK\r\nContent-Le");
    for (number, upstream) in [hanging_up, resetting, half].iter().enumerate() {
        let front = Front::start("http1", upstream.address, "");
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(response.status(), 502, "upstream {number} over {version:?}");
            assert_eq!(reason(&response), "connection_terminated");
            assert_eq!(
                read(response).await.to_bytes(),
                "the endpoint broke off before it answered\n"
            );
        }
        assert_eq!(
            (front.endpoint().requests, front.endpoint().failures),
            (2, 2)
        );
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_speak_http_is_a_bad_gateway() {
    for garbage in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: surprise\r\n\r\n",
    ] {
        let upstream = RawUpstream::answering(garbage);
        let front = Front::start("http1", upstream.address, "");
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            let told = String::from_utf8_lossy(garbage);
            assert_eq!(response.status(), 502, "{told:?} over {version:?}");
        }
    }
}

#[tokio::test]
async fn an_http1_endpoint_called_http2_is_unavailable_or_a_bad_gateway() {
    let upstream = RawUpstream::answering(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let front = Front::start(
        "http2",
        upstream.address,
        "[cluster.balance]\nwait = \"200ms\"",
    );
    let mut client = front.client(Version::HTTP_11).await;
    for _ in 0..3 {
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert!(
            [502, 503].contains(&response.status().as_u16()),
            "{response:?}"
        );
        assert!(response.headers().contains_key("proxy-status"));
        read(response).await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_the_client() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzzz\r\n",
    ] {
        let upstream = RawUpstream::answering(answer);
        let front = Front::start("http1", upstream.address, "");
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = bounded(response.into_body().collect()).await;
            assert!(
                body.is_err(),
                "half a body passed for a whole one over {version:?}"
            );
        }
        eventually("nothing is in flight", || front.endpoint().in_flight == 0).await;
        let broken = r#"proxy_exchanges_ended_total{listener="web",ending="broken_off"}"#;
        assert_eq!(metrics(&front).await[broken], 2.0);
    }
}

#[tokio::test]
async fn a_break_is_seen_on_the_wire() {
    let upstream = RawUpstream::answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    );
    let front = Front::start("http1", upstream.address, "");
    let answer = exchange(front.web(), b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(status(&answer), Some(200));
    assert!(
        answer.ends_with("4\r\nhalf\r\n"),
        "no last chunk may follow: {answer:?}"
    );

    let mut frames = Frames::connect(front.web()).await;
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a.test"),
    ];
    frames.headers(1, &fields, true).await;
    loop {
        let frame = bounded(frames.next()).await.unwrap();
        if frame.kind == RST_STREAM {
            assert_eq!(frame.stream, 1);
            break;
        }
        let message = [HEADERS, DATA].contains(&frame.kind);
        assert!(!message || frame.flags & END_STREAM == 0, "{frame:?}");
    }
}

#[tokio::test]
async fn an_answer_ended_by_closing_is_passed_on_whole() {
    let upstream = RawUpstream::answering(b"HTTP/1.0 200 OK\r\n\r\nuntil the end");
    let front = Front::start("http1", upstream.address, "");
    for version in VERSIONS {
        let mut client = front.client(version).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(text(response).await, "until the end");
    }
}

#[tokio::test]
async fn interim_answers_do_not_confuse_the_final_one() {
    let upstream = RawUpstream::answering(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal",
    );
    let front = Front::start("http1", upstream.address, "");
    for version in VERSIONS {
        let mut client = front.client(version).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "final");
    }
}

#[tokio::test]
async fn more_than_the_promised_body_poisons_no_later_answer() {
    let upstream = RawUpstream::start(|mut stream, number| async move {
        while let Some(head) = head(&mut stream).await {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let answer = if number == 0 {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/0HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged".to_owned()
            } else {
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
                    path.len()
                )
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for number in 0..4 {
        let path = format!("/{number}");
        let response = bounded(client.send(get(&path))).await.unwrap();
        assert_eq!(text(response).await, path);
    }
}

#[tokio::test]
async fn a_connection_that_the_endpoint_closed_while_idle_costs_no_request() {
    let (closes, gone) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let shared = (closes.clone(), gone.clone());
    let upstream = RawUpstream::start(move |mut stream, _| {
        let (closes, gone) = shared.clone();
        async move {
            if head(&mut stream)
                .await
                .is_some_and(|head| head.starts_with("POST"))
            {
                stream.read_exact(&mut [0; 4]).await.unwrap();
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
            // Keep-alive was promised, and then the connection goes away.
            closes.acquire().await.unwrap().forget();
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            gone.fetch_add(1, Ordering::Relaxed);
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for round in 1..=4 {
        let request = if round % 2 == 0 {
            Request::post("/").body(full("body")).unwrap()
        } else {
            get("/")
        };
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), 200, "round {round}");
        assert_eq!(text(response).await, "ok");
        closes.add_permits(1);
        eventually("the proxy has closed as well", || {
            gone.load(Ordering::Relaxed) == round
        })
        .await;
    }
    assert_eq!(front.endpoint().failures, 0);
}

#[tokio::test]
async fn an_endpoint_that_says_close_is_dialled_anew() {
    let upstream = RawUpstream::answering(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    );
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_11).await;
    for round in 0..4 {
        let request = Request::post("/").body(full("")).unwrap();
        let response = bounded(client.send(request)).await.unwrap();
        assert_eq!(response.status(), 200, "round {round}");
        assert_eq!(text(response).await, "ok");
    }
    assert_eq!(front.endpoint().failures, 0);
}

#[tokio::test]
async fn a_slow_answer_is_a_gateway_timeout() {
    for upstream in VERSIONS {
        let server = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
            if request.uri().path() == "/slow" {
                std::future::pending::<()>().await;
            }
            http::Response::new("in time".to_owned())
        })
        .await;
        let front = Front::start(
            protocol(upstream),
            server.address,
            "[cluster.timeout]\nfixed = \"500ms\"",
        );
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let response = bounded(client.send(get("/slow"))).await.unwrap();
            assert_eq!(response.status(), 504);
            assert_eq!(reason(&response), "http_response_timeout");
            read(response).await;
            let response = bounded(client.send(get("/"))).await.unwrap();
            assert_eq!(text(response).await, "in time");
        }
        assert_eq!(
            front.endpoint().failures,
            2,
            "a timeout is a failure that the balancer sees"
        );
        eventually("what timed out is not in flight", || {
            front.endpoint().in_flight == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_response_body_that_pauses_for_too_long_breaks_off() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let front = Front::start(
        "http1",
        upstream.address,
        "[cluster.timeout]\nbody_idle = \"300ms\"",
    );
    for version in VERSIONS {
        let mut client = front.client(version).await;
        let response = bounded(client.send(get("/"))).await.unwrap();
        assert!(
            bounded(response.into_body().collect()).await.is_err(),
            "over {version:?}"
        );
    }
    assert_eq!(front.endpoint().failures, 2, "the endpoint's fault");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    for upstream in VERSIONS {
        let server = Upstream::start(|_| async {
            http::Response::builder()
                .status(401)
                .body(full("who are you?"))
                .unwrap()
        })
        .await;
        let front = Front::start(protocol(upstream), server.address, "");
        for version in VERSIONS {
            let mut client = front.client(version).await;
            let (pieces, body) = crate::support::body::channel();
            let response = bounded(client.send(Request::post("/").body(body).unwrap()))
                .await
                .unwrap();
            assert_eq!(response.status(), 401);
            assert_eq!(bounded(text(response)).await, "who are you?");
            drop(pieces);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_no_fault_of_the_endpoint() {
    for upstream in VERSIONS {
        let server = Upstream::start(|_| std::future::pending::<http::Response<String>>()).await;
        let front = Front::start(protocol(upstream), server.address, "");
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .await
            .unwrap();
        eventually("the request is in flight", || {
            front.endpoint().in_flight == 1
        })
        .await;
        drop(stream);
        eventually("it is over", || front.endpoint().in_flight == 0).await;
        assert_eq!(front.endpoint().failures, 0);
    }
}

#[tokio::test]
async fn a_client_that_pipelines_is_answered_in_order() {
    let upstream = Upstream::start(|request: Request<hyper::body::Incoming>| async move {
        let path = request.uri().path().to_owned();
        // The first answer is the slowest.
        let wait = if path == "/1" { 50 } else { 0 };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        http::Response::new(path)
    })
    .await;
    let front = Front::start("http2", upstream.address, "");
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    let requests = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = until_closed(&mut stream).await;
    let (first, second) = (answers.find("/1").unwrap(), answers.find("/2").unwrap());
    assert!(first < second, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2);
}

/// The error's name in `proxy-status`.
fn reason<B>(response: &http::Response<B>) -> &str {
    let status = response.headers()["proxy-status"].to_str().unwrap();
    status
        .split("error=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
}
