//! What a verified connection is to its user. With every cryptography that is compiled in.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use std::{
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};

use proptest::prelude::*;
use support::{
    API_ID, WEB_ID, accept, acceptor, api, connect, fixture_peers, handshake, handshake_error,
    layer, ping_pong, plain_trust, trust, web,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mtls::{Expected, MtlsLayer, PeerIdentity, accept::Acceptor, error::Reason};

#[tokio::test]
async fn both_sides_see_each_other() {
    let (server, client) = fixture_peers().await;
    assert_eq!(server.spiffe_id().unwrap().as_str(), API_ID);
    assert_eq!(client.spiffe_id().unwrap().as_str(), WEB_ID);
    assert_eq!(client.to_string(), WEB_ID);
    assert_eq!(
        format!("{client:?}"),
        format!("PeerIdentity([Identity({WEB_ID})])")
    );
    assert!(client.not_after() > std::time::SystemTime::now());
    assert_eq!(client.clone(), client);
    assert_ne!(client, server);
}

#[tokio::test]
async fn bytes_cross_a_real_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer = layer(
        trust(),
        web(),
        Expected::Spiffe(vec![API_ID.parse().unwrap()]),
    );
    let server = tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        let mut stream = acceptor(api(), trust()).oneshot(io).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        stream.shutdown().await.unwrap();
        all.len()
    });

    let connector = service_fn(TcpStream::connect);
    let mut stream = layer.layer(connector).oneshot(address).await.unwrap();
    assert_eq!(stream.get_ref().peer_addr().unwrap(), address);
    let sent = (0..300_000_u32).map(|byte| byte as u8).collect::<Vec<_>>();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, sent);
    assert_eq!(server.await.unwrap(), sent.len());
}

#[tokio::test]
async fn the_application_protocol_is_visible_on_both_sides() {
    let layer = |names: &[&str]| {
        MtlsLayer::builder(trust())
            .credentials(web())
            .expect(Expected::TrustDomain)
            .alpn(names.iter().copied())
            .build()
            .unwrap()
    };
    let acceptor = Acceptor::builder(api())
        .require_client(trust())
        .alpn(["h2", "http/1.1"])
        .build()
        .unwrap();

    let (client, server) = handshake(&layer(&["http/1.1", "h2"]), &acceptor)
        .await
        .both();
    assert_eq!(client.alpn(), Some(&b"h2"[..]), "the server's order counts");
    assert_eq!(server.alpn(), Some(&b"h2"[..]));
    let (client, server) = handshake(&layer(&[]), &acceptor).await.both();
    assert_eq!((client.alpn(), server.alpn()), (None, None));

    let outcome = handshake(&layer(&["smtp"]), &acceptor).await;
    assert_eq!(
        outcome.server.expect_err("none in common").reason(),
        Reason::Protocol
    );
    let error = outcome.client.expect_err("none in common");
    assert_eq!(handshake_error(&error).reason(), Reason::Protocol);
}

#[tokio::test]
async fn a_plain_pki_checks_the_name() {
    let expect = |name: &str| {
        let expected = Expected::ServerName(name.parse().unwrap());
        layer(plain_trust(), web(), expected)
    };
    let acceptor = acceptor(api(), plain_trust());
    let (mut client, mut server) = handshake(&expect("API.example.org"), &acceptor)
        .await
        .both();
    ping_pong(&mut client, &mut server).await;
    assert_eq!(client.peer().unwrap().to_string(), "dns:api.example.org");
    assert_eq!(server.peer().unwrap().to_string(), "dns:web.example.org");

    let error = handshake(&expect("web.example.org"), &acceptor)
        .await
        .client;
    let error = error.expect_err("another name");
    assert_eq!(handshake_error(&error).reason(), Reason::WrongIdentity);
}

#[tokio::test]
async fn what_is_not_tls_is_a_protocol_error() {
    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"GET / HTTP/1.1\r\nhost: example.org\r\n\r\n")
        .await
        .unwrap();
    let error = accept(&acceptor(api(), trust()), far)
        .await
        .expect_err("not TLS");
    assert_eq!(error.reason(), Reason::Protocol);

    let (mut near, far) = duplex(1 << 16);
    near.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let error = connect(&layer, far).await.expect_err("not TLS");
    assert_eq!(handshake_error(&error).reason(), Reason::Protocol);
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_an_io_error() {
    let (near, far) = duplex(1024);
    drop(near);
    let acceptor = acceptor(api(), trust());
    let error = accept(&acceptor, far).await.expect_err("closed");
    assert_eq!(error.reason(), Reason::Io);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(acceptor.stats().failed(Reason::Io), 1);
    assert_eq!(acceptor.stats().failed_total(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_peer_sends_is_an_error_and_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        kind in prop::sample::select(vec![1_u8, 2, 8, 11, 13, 15, 20]),
        framed in any::<bool>(),
    ) {
        let length = bytes.len() as u16;
        let mut sent = match framed {
            // A handshake record with one message of this kind.
            true => {
                let record = (length + 4).to_be_bytes();
                let message = length.to_be_bytes();
                vec![22, 3, 1, record[0], record[1], kind, 0, message[0], message[1]]
            }
            false => Vec::new(),
        };
        sent.extend(bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut near, far) = duplex(1 << 16);
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
            assert!(accept(&acceptor(api(), trust()), far).await.is_err());

            let (mut near, far) = duplex(1 << 16);
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
            assert!(connect(&layer(trust(), web(), Expected::TrustDomain), far).await.is_err());
        });
    }
}

/// A transport that can take many buffers at once, and counts how often it is given them.
struct Vectored<IO>(IO, usize);

impl<IO: AsyncRead + Unpin> AsyncRead for Vectored<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Vectored<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.1 += 1;
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn many_buffers_are_written_as_one_record() {
    let (near, far) = duplex(1 << 16);
    let layer = layer(trust(), web(), Expected::TrustDomain);
    let connector = service_fn(|io| std::future::ready(Ok::<_, std::io::Error>(Vectored(io, 0))));
    let mut connector = layer.layer(connector);
    let connected = connector.ready().await.unwrap().call(near);
    let acceptor = acceptor(api(), trust());
    let (client, server) = tokio::join!(connected, accept(&acceptor, far));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());

    assert!(client.is_write_vectored());
    let parts = [
        IoSlice::new(b"one"),
        IoSlice::new(b"two"),
        IoSlice::new(b"six"),
    ];
    assert_eq!(client.write_vectored(&parts).await.unwrap(), 9);
    client.flush().await.unwrap();
    let mut back = [0; 9];
    server.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"onetwosix");
    assert!(client.get_ref().1 > 0);
}

#[test]
fn what_must_cross_threads_does() {
    fn check<T: Send + Sync + 'static>() {}
    check::<PeerIdentity>();
    check::<MtlsLayer>();
    check::<Acceptor>();
    check::<tower_mtls::error::HandshakeError>();
    check::<support::Stream>();
    check::<tower_mtls::future::AcceptFuture<TcpStream>>();
}
