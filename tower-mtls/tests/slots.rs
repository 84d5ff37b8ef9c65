//! Whoever holds connections open keeps nobody else away.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use support::{
    api, layer, succeeds,
    task::{client_hello, greeted, silent, stalled},
    trust, web,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    net::{TcpListener, TcpStream},
    time::{Instant, advance, timeout},
};
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::{Service, ServiceExt};
use tower_mtls::{
    Expected, MtlsLayer,
    accept::{Acceptor, AcceptorBuilder},
    error::Reason,
};

#[tokio::test(start_paused = true)]
async fn who_says_nothing_takes_no_slot() {
    let mut acceptor = builder().max_handshakes(1).build().unwrap();
    let hello = client_hello();
    let _held = [
        silent(&mut acceptor),
        greeted(&mut acceptor, &hello[..1]),
        greeted(&mut acceptor, &hello[..hello.len() - 1]),
    ];
    let stats = acceptor.stats();
    assert_eq!((stats.in_progress(), stats.waiting()), (0, 3));
    succeeds(&acceptor).await;
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_goes_to_the_newest() {
    let mut acceptor = builder().max_handshakes(1).build().unwrap();
    let (_first, one) = stalled(&mut acceptor);
    let (_second, mut two) = stalled(&mut acceptor);
    let (_third, mut three) = stalled(&mut acceptor);
    let stats = acceptor.stats();
    assert_eq!((stats.in_progress(), stats.waiting()), (1, 2));
    assert!(format!("{three:?}").contains("a slot"), "{three:?}");

    drop(one);
    assert!(three.is_woken() && !two.is_woken());
    assert_pending!(three.poll());
    let stats = acceptor.stats();
    assert_eq!((stats.in_progress(), stats.waiting()), (1, 1));

    drop(three);
    assert!(two.is_woken(), "each waiter has its own waker");
    assert_pending!(two.poll());
    assert_eq!(acceptor.stats().in_progress(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_kept_while_nobody_else_wants_it() {
    let mut acceptor = builder().max_handshakes(1).build().unwrap();
    let (_near, mut held) = stalled(&mut acceptor);
    advance(5 * PATIENCE).await;
    assert_pending!(held.poll());

    let (_other, mut other) = stalled(&mut acceptor);
    let error = assert_ready!(held.poll()).expect_err("it made room");
    assert_eq!(error.reason(), Reason::Overloaded);
    assert!(error.to_string().contains("max_handshakes is 1"), "{error}");
    assert_pending!(other.poll());
    let stats = acceptor.stats();
    assert_eq!((stats.in_progress(), stats.waiting()), (1, 0));
    assert_eq!(stats.failed(Reason::Overloaded), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_slot_for_so_long_whoever_wants_it() {
    let mut acceptor = builder().max_handshakes(1).build().unwrap();
    let (_near, mut held) = stalled(&mut acceptor);
    let (_other, mut other) = stalled(&mut acceptor);
    advance(PATIENCE - TICK).await;
    assert_pending!(held.poll());
    assert_pending!(other.poll());
    advance(2 * TICK).await;
    assert!(other.is_woken(), "who wants it watches the clock");
    assert_pending!(other.poll());
    assert!(held.is_woken());
    assert!(assert_ready!(held.poll()).is_err());
}

#[tokio::test(start_paused = true)]
async fn the_oldest_that_waits_makes_room() {
    let mut acceptor = builder().max_waiting(2).build().unwrap();
    let (_first, mut one) = silent(&mut acceptor);
    let (_second, mut two) = silent(&mut acceptor);
    let (_third, mut three) = silent(&mut acceptor);
    let error = assert_ready!(one.poll()).expect_err("it made room");
    assert_eq!(error.reason(), Reason::Overloaded);
    assert_pending!(two.poll());
    assert_pending!(three.poll());
    assert_eq!(acceptor.stats().waiting(), 2);
}

#[tokio::test(start_paused = true)]
async fn five_thousand_half_open_handshakes_stop_no_good_one() {
    let mut acceptor = Acceptor::builder(api())
        .require_client(trust())
        .build()
        .unwrap();
    let hello = client_hello();
    let mut held = Vec::new();
    for place in 0..5_000 {
        let bytes = [0, hello.len() / 2, hello.len()][place % 3];
        let (mut near, far) = duplex(1 << 16);
        near.write_all(&hello[..bytes]).await.unwrap();
        held.push((near, tokio::spawn(acceptor.call(far))));
    }
    for _ in 0..20 {
        let start = Instant::now();
        succeeds(&acceptor).await;
        let took = Instant::now() - start;
        assert!(took <= PATIENCE + TICK, "{took:?}");
    }
    let stats = acceptor.stats();
    assert!(
        stats.in_progress() + stats.waiting() <= 256 + 4096,
        "{stats:?}"
    );
}

#[tokio::test]
async fn half_open_sockets_stop_no_good_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = builder()
        .max_handshakes(4)
        .max_waiting(64)
        .patience(PATIENCE / 10)
        .build()
        .unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            let handshake = acceptor.clone().oneshot(io);
            tokio::spawn(async move {
                let mut stream = handshake.await?;
                stream.write_all(b"hello").await.unwrap();
                stream.shutdown().await.unwrap();
                Ok::<_, tower_mtls::BoxError>(())
            });
        }
    });

    let hello = client_hello();
    let mut held = Vec::new();
    for place in 0..300 {
        let mut io = TcpStream::connect(address).await.unwrap();
        let bytes = [0, hello.len() / 2, hello.len()][place % 3];
        io.write_all(&hello[..bytes]).await.unwrap();
        held.push(io);
    }
    let layer = layer(trust(), web(), Expected::TrustDomain);
    for _ in 0..10 {
        let connect = tower::Layer::layer(&layer, tower::service_fn(TcpStream::connect));
        let greeting = async {
            let mut stream = connect.oneshot(address).await.unwrap();
            let mut greeting = String::new();
            stream.read_to_string(&mut greeting).await.unwrap();
            greeting
        };
        let greeting = timeout(Duration::from_secs(10), greeting).await;
        assert_eq!(greeting.expect("in time"), "hello");
    }
    server.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drip_of_bytes_does_not_stretch_the_time() {
    let mut acceptor = builder().build().unwrap();
    let (mut near, far) = duplex(1 << 16);
    let start = Instant::now();
    let mut handshake = spawn(acceptor.call(far));
    for byte in client_hello() {
        let took = Instant::now() - start;
        assert!(took <= TIMEOUT + TIMEOUT / 50, "it drips for ever");
        near.write_all(&[byte]).await.unwrap();
        if let std::task::Poll::Ready(outcome) = handshake.poll() {
            assert_eq!(outcome.expect_err("too slow").reason(), Reason::Timeout);
            return;
        }
        advance(TIMEOUT / 100).await;
    }
    panic!("the whole message went in");
}

/// The alert is not lost to a reset, although the request is never read.
#[tokio::test]
async fn a_refused_client_that_has_written_reads_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = builder().build().unwrap();
    let stats = acceptor.clone();
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await.unwrap();
            tokio::spawn(acceptor.clone().oneshot(io));
        }
    });
    let anonymous = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    for _ in 0..20 {
        let connect = tower::Layer::layer(&anonymous, tower::service_fn(TcpStream::connect));
        let mut stream = connect.oneshot(address).await.unwrap();
        // Like a client that is slow to look at answers.
        for _ in 0..20 {
            stream.write_all(&[b'x'; 512]).await.expect("no reset");
            tokio::task::yield_now().await;
        }
        stream.flush().await.expect("no reset");
        let error = stream.read_u8().await.expect_err("refused");
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::PermissionDenied,
            "{error}"
        );
    }
    assert_eq!(stats.stats().failed(Reason::NoCertificate), 20);
}

fn builder() -> AcceptorBuilder {
    Acceptor::builder(api())
        .require_client(trust())
        .handshake_timeout(TIMEOUT)
        .patience(PATIENCE)
}

const TIMEOUT: Duration = Duration::from_micros(10_000_501);
const PATIENCE: Duration = Duration::from_micros(1_000_301);
const TICK: Duration = Duration::from_micros(1_003);
