//! `expect: 100-continue`, as curl sends it with a big upload.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::mpsc,
    time::timeout,
};

use crate::{
    front::{Front, bounded},
    raw::{RawUpstream, head},
    support::{body::noise, tools::program},
};

#[tokio::test]
async fn the_body_waits_for_the_endpoints_consent() {
    let (told, mut heard) = mpsc::channel(1);
    let upstream = RawUpstream::start(move |mut stream, _| {
        let told = told.clone();
        async move {
            let Some(asked) = head(&mut stream).await else {
                return;
            };
            assert!(asked.to_lowercase().contains(EXPECTATION), "{asked}");
            assert_silent(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .unwrap();
            let mut body = vec![0; LENGTH];
            stream.read_exact(&mut body).await.unwrap();
            told.send(body).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    let said = post(front.web()).await;
    assert!(said.contains("< HTTP/1.1 100 Continue"), "{said}");
    assert!(said.contains("< HTTP/1.1 200 OK"), "{said}");
    assert!(heard.recv().await.unwrap() == noise(LENGTH));
}

#[tokio::test]
async fn an_endpoint_that_refuses_gets_no_body() {
    for refusal in ["413 Content Too Large", "401 Unauthorized"] {
        let (told, mut silent) = mpsc::channel(1);
        let upstream = RawUpstream::start(move |mut stream, _| {
            let told = told.clone();
            async move {
                if head(&mut stream).await.is_none() {
                    return;
                }
                let answer = format!("HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                assert_silent(&mut stream).await;
                told.send(()).await.unwrap();
            }
        });
        let front = Front::start("http1", upstream.address, "");
        let said = post(front.web()).await;
        assert!(said.contains(&format!("< HTTP/1.1 {refusal}")), "{said}");
        assert!(!said.contains("100 Continue"), "{said}");
        let silent = timeout(Duration::from_secs(10), silent.recv()).await;
        assert!(silent.is_ok_and(|silent| silent.is_some()), "a body came");
    }
}

/// Whether the body comes after such an answer nobody can tell: so the connection ends with it.
#[tokio::test]
async fn an_expectation_that_is_refused_ends_the_connection() {
    let upstream =
        RawUpstream::answering(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n");
    let front = Front::start("http1", upstream.address, "");
    let said = post(front.web()).await;
    assert!(said.contains("< HTTP/1.1 417"), "{said}");
    assert!(said.contains("< connection: close"), "{said}");
    assert!(!said.contains("uploaded"), "{said}");
}

/// An upload so big that curl asks first; what it says on the way.
async fn post(proxy: SocketAddr) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("upload");
    std::fs::write(&file, noise(LENGTH)).unwrap();
    let mut curl = Command::new(program("curl", "curl"));
    curl.args([
        "-q",
        "-sSv",
        "--noproxy",
        "*",
        "--http1.1",
        "--max-time",
        "40",
    ])
    .args(["--expect100-timeout", "30", "--data-binary"])
    .arg(format!("@{}", file.display()))
    .arg(format!("http://{proxy}/"));
    let output = bounded(curl.kill_on_drop(true).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("> Expect: 100-continue"), "{said}");
    said
}

/// Nothing comes for a while; the end of the connection is nothing as well.
async fn assert_silent(stream: &mut TcpStream) {
    let mut piece = [0; 1024];
    match timeout(Duration::from_millis(300), stream.read(&mut piece)).await {
        Err(_) | Ok(Ok(0) | Err(_)) => {}
        Ok(Ok(length)) => panic!("{length} bytes came unasked"),
    }
}

const EXPECTATION: &str = "\r\nexpect: 100-continue\r\n";

/// More than what curl sends without asking.
const LENGTH: usize = 2 << 20;
