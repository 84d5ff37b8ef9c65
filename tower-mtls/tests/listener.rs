//! An accept loop: handshakes beside each other, and no end for the fault of one.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use support::{API_ID, WEB_ID, acceptor, api, layer, trust, web};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, timeout},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_mtls::{
    Expected, MtlsStream,
    accept::{Listen, MtlsListener},
    error::Reason,
};

#[tokio::test]
async fn a_silent_or_a_bad_client_keeps_no_other_waiting() {
    let (mut listener, address) = tcp().await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let mut bad = TcpStream::connect(address).await.unwrap();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    let (server, client) = tokio::join!(next(&mut listener), connect(address));
    assert_eq!(server.peer().unwrap().to_string(), WEB_ID);
    assert_eq!(client.peer().unwrap().to_string(), API_ID);
}

#[tokio::test]
async fn it_serves_one_after_another_until_it_is_dropped() {
    let acceptor = acceptor(api(), trust());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut listener = MtlsListener::new(socket, acceptor.clone());
    for _ in 0..3 {
        let (mut server, mut client) = tokio::join!(next(&mut listener), connect(address));
        server.write_all(b"hello").await.unwrap();
        server.shutdown().await.unwrap();
        let mut greeting = String::new();
        client.read_to_string(&mut greeting).await.unwrap();
        assert_eq!(greeting, "hello");
    }

    let mut silent = TcpStream::connect(address).await.unwrap();
    let waits = timeout(Duration::from_millis(50), listener.accept());
    assert!(waits.await.is_err());
    assert_eq!(acceptor.stats().waiting(), 1);
    drop(listener);
    assert_eq!(silent.read(&mut [0]).await.unwrap_or_default(), 0, "closed");
    assert_eq!(acceptor.stats().waiting(), 0);
    assert_eq!(acceptor.stats().cancelled(), 1);
}

#[tokio::test]
async fn a_dropped_call_loses_no_connection() {
    let (mut listener, address) = tcp().await;
    let client = tokio::spawn(connect(address));
    // Each is given up in the midst of it.
    let server = loop {
        if let Ok(server) = timeout(Duration::from_micros(50), next(&mut listener)).await {
            break server;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(server.peer().unwrap().to_string(), WEB_ID);
    client.await.unwrap();
}

#[tokio::test]
async fn unix_sockets_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let socket = UnixListener::bind(&path).unwrap();
    let mut listener = MtlsListener::new(socket, acceptor(api(), trust()));
    let connector = layer(trust(), web(), Expected::TrustDomain);
    let connector = connector.layer(service_fn(UnixStream::connect));
    let (server, client) = tokio::join!(listener.accept(), connector.oneshot(path));
    assert_eq!(server.0.peer().unwrap().to_string(), WEB_ID);
    client.unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_listener_end_nothing() {
    let (near, far) = duplex(1 << 16);
    let socket = Scripted(VecDeque::from([
        Err(io::ErrorKind::ConnectionAborted.into()),
        Err(io::Error::other("too many open files")),
        Err(io::Error::other("too many open files")),
        Ok(far),
    ]));
    let mut listener = MtlsListener::new(socket, acceptor(api(), trust()));
    let start = Instant::now();
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let (server, client) = tokio::join!(listener.accept(), support::connect(&layer, near));
    assert_eq!(server.0.peer().unwrap().to_string(), WEB_ID);
    client.unwrap();
    // One breath for each error of the listener, none for that of one connection.
    let took = Instant::now() - start;
    let breaths = Duration::from_millis(200)..Duration::from_millis(210);
    assert!(breaths.contains(&took), "{took:?}");
}

#[tokio::test]
async fn failures_are_counted_by_the_acceptor() {
    let acceptor = acceptor(api(), trust());
    let (near, far) = duplex(1 << 16);
    let socket = Scripted(VecDeque::from([Ok(far)]));
    let mut listener = MtlsListener::new(socket, acceptor.clone());
    drop(near);
    assert!(
        timeout(Duration::from_millis(50), listener.accept())
            .await
            .is_err()
    );
    assert_eq!(acceptor.stats().failed(Reason::Io), 1);
}

/// A listener that says this, and then nothing.
struct Scripted(VecDeque<io::Result<DuplexStream>>);

impl Listen for Scripted {
    type Io = DuplexStream;
    type Addr = ();

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(DuplexStream, ())>> {
        match self.0.pop_front() {
            Some(accepted) => Poll::Ready(accepted.map(|io| (io, ()))),
            None => Poll::Pending,
        }
    }
}

async fn tcp() -> (MtlsListener<TcpListener>, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (MtlsListener::new(socket, acceptor(api(), trust())), address)
}

async fn next(listener: &mut MtlsListener<TcpListener>) -> MtlsStream<TcpStream> {
    listener.accept().await.0
}

async fn connect(address: SocketAddr) -> MtlsStream<TcpStream> {
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let connector = layer.layer(service_fn(TcpStream::connect));
    connector.oneshot(address).await.unwrap()
}
