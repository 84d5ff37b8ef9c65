//! An upgrade to a protocol that nobody knows, byte by byte.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    front::{Front, bounded},
    raw::{RawUpstream, head, until_closed},
};

#[tokio::test]
async fn bytes_right_behind_the_heads_are_not_lost() {
    let upstream = switching(b"first words", echo);
    let front = Front::start("http1", upstream.address, "");
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    // One segment: head and what follows it.
    let request = [ASKING, &b"early"[..]].concat();
    stream.write_all(&request).await.unwrap();
    let answer = bounded(head(&mut stream)).await.unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("\r\nupgrade: echo\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    expect(&mut stream, b"first wordsearly").await;
    stream.write_all(b"late").await.unwrap();
    expect(&mut stream, b"late").await;
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let upstream = switching(b"", |mut stream: TcpStream| async move {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        stream.write_all(b"heard: ").await.unwrap();
        stream.write_all(&heard).await.unwrap();
    });
    let front = Front::start("http1", upstream.address, "");
    let mut stream = upgraded(front.web()).await;
    stream.write_all(b"all I have to say").await.unwrap();
    stream.shutdown().await.unwrap();
    let rest = until_closed(&mut stream).await;
    assert_eq!(rest, "heard: all I have to say");
}

#[tokio::test]
async fn the_end_of_either_side_reaches_the_other() {
    let (told, mut ends) = tokio::sync::mpsc::channel(1);
    let upstream = switching(b"", move |stream: TcpStream| {
        let told = told.clone();
        async move {
            echo(stream).await;
            told.send(()).await.unwrap();
        }
    });
    let front = Front::start("http1", upstream.address, "");
    drop(upgraded(front.web()).await);
    bounded(ends.recv()).await.unwrap();

    let upstream = switching(b"", |stream: TcpStream| async move { drop(stream) });
    let front = Front::start("http1", upstream.address, "");
    let mut stream = upgraded(front.web()).await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_side_that_does_not_read_holds_the_other_back() {
    let upstream = switching(b"", |stream: TcpStream| async move {
        let _keep = stream;
        std::future::pending::<()>().await;
    });
    let front = Front::start("http1", upstream.address, "");
    let mut stream = upgraded(front.web()).await;
    let mut written = 0;
    let piece = vec![b'x'; 1 << 16];
    // Sockets hold some megabytes each; the proxy must not hold all the rest.
    while let Ok(result) = timeout(Duration::from_millis(500), stream.write(&piece)).await {
        written += result.unwrap();
        assert!(written < 64 << 20, "nobody holds {written} bytes back");
    }
}

#[tokio::test]
async fn an_upgrade_is_asked_for_in_the_endpoints_own_connection() {
    let upstream = RawUpstream::start(|mut stream, _| async move {
        let Some(asked) = head(&mut stream).await else {
            return;
        };
        let asked = asked.to_lowercase();
        assert!(asked.contains("\r\nupgrade: echo\r\n"), "{asked}");
        assert!(asked.contains("\r\nconnection: upgrade\r\n"), "{asked}");
        assert!(!asked.contains("x-hop"), "{asked}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
    });
    let front = Front::start("http1", upstream.address, "");
    let mut stream = TcpStream::connect(front.web()).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nx-hop: 1\r\nupgrade: echo\r\nconnection: upgrade, x-hop\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = bounded(head(&mut stream)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    expect(&mut stream, b"ok").await;
    // The endpoint did not switch, so the connection goes on as it was.
    stream.write_all(request).await.unwrap();
    let answer = bounded(head(&mut stream)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// An endpoint that agrees, sends `first` in the same segment, and speaks.
fn switching<F>(
    first: &'static [u8],
    speak: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
) -> RawUpstream
where
    F: Future<Output = ()> + Send + 'static,
{
    RawUpstream::start(move |mut stream, _| {
        let speak = speak.clone();
        async move {
            if head(&mut stream).await.is_some() {
                let answer = [AGREEING, first].concat();
                stream.write_all(&answer).await.unwrap();
                speak(stream).await;
            }
        }
    })
}

async fn echo(mut stream: TcpStream) {
    let (mut reading, mut writing) = stream.split();
    let _ = tokio::io::copy(&mut reading, &mut writing).await;
}

async fn upgraded(proxy: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(ASKING).await.unwrap();
    let answer = bounded(head(&mut stream)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    bounded(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&received),
        String::from_utf8_lossy(bytes)
    );
}

const ASKING: &[u8] =
    b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

const AGREEING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
