//! 1xx answers on their way from an endpoint to a client.

use std::time::Duration;

use http::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

use crate::{
    front::{Front, bounded, get},
    raw::{RawUpstream, exchange, head, until_closed},
    support::client::text,
};

#[tokio::test]
async fn early_hints_reach_the_client_while_the_answer_is_still_being_made() {
    let (open, wait) = watch::channel(false);
    let upstream = RawUpstream::start(move |mut stream, _| {
        let mut wait = wait.clone();
        async move {
            head(&mut stream).await;
            stream.write_all(HINTS).await.unwrap();
            wait.wait_for(|open| *open).await.unwrap();
            stream.write_all(ANSWER).await.unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let mut client = TcpStream::connect(front.web()).await.unwrap();
    client.write_all(GET).await.unwrap();
    let hints = bounded(head(&mut client)).await.unwrap();
    assert_eq!(
        hints,
        "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
    );
    open.send(true).unwrap();
    let answer = until_closed(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn what_comes_in_one_piece_leaves_in_order() {
    let whole = [HINTS, HINTS, ANSWER].concat();
    let upstream = RawUpstream::answering(whole.leak());
    let front = Front::start("http1", upstream.address, "");
    let all = exchange(front.web(), GET).await;
    let (hints, answer) = all.split_at(all.find("HTTP/1.1 200").unwrap());
    assert_eq!(
        hints,
        "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n".repeat(2)
    );
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}

/// hyper's server has no way to send them.
#[tokio::test]
async fn an_http2_client_gets_the_answer_alone() {
    let whole = [HINTS, ANSWER].concat();
    let upstream = RawUpstream::answering(whole.leak());
    let front = Front::start("http1", upstream.address, "");
    let mut client = front.client(Version::HTTP_2).await;
    assert_eq!(text(client.send(get("/")).await.unwrap()).await, "ok");
}

#[tokio::test]
async fn hints_that_come_after_the_proxys_own_answer_are_not_heard_in_the_next() {
    let upstream = RawUpstream::start(|mut stream, number| async move {
        head(&mut stream).await;
        if number == 0 {
            sleep(Duration::from_millis(300)).await;
            let _ = stream.write_all(HINTS).await;
            return;
        }
        sleep(Duration::from_millis(600)).await;
        let _ = stream.write_all(ANSWER).await;
    });
    let front = Front::start(
        "http1",
        upstream.address,
        "[[route]]\nlistener = \"web\"\npath_prefix = \"/late\"\ncluster = \"backend\"\ntimeout = \"100ms\"",
    );
    let mut client = TcpStream::connect(front.web()).await.unwrap();
    client
        .write_all(b"GET /late HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .await
        .unwrap();
    let late = bounded(head(&mut client)).await.unwrap();
    assert!(late.starts_with("HTTP/1.1 504 "), "{late}");
    let mut reason = vec![0; "the answer took too long\n".len()];
    client.read_exact(&mut reason).await.unwrap();
    client.write_all(GET).await.unwrap();
    let answer = until_closed(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\
                       connection: x-hop\r\nx-hop: 1\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
