//! The PROXY protocol: who a balancer in front of us says the client is.

mod curl;
mod refused;
mod wire;

use std::time::Duration;

use http::{Response, Version, request::Parts};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use self::wire::{ONE_REQUEST, TRUST, refused, v1, v2, v2_tcp4};
use crate::{
    forwarded::{all, extend, stream_from},
    front::{Front, get, noting},
    raw::{status, until_closed},
    support::{
        body::{TestBody, empty},
        client::{Client, read},
    },
};

#[tokio::test]
async fn the_announced_client_is_told_to_the_endpoint_whatever_it_speaks() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for (header, told) in [
        (v1("TCP4 192.0.2.1 127.0.0.1 4711 80"), "192.0.2.1"),
        (v1("TCP6 2001:db8::1 ::1 4711 80"), "2001:db8::1"),
        (v1("TCP6 ::ffff:192.0.2.1 ::1 4711 80"), "192.0.2.1"),
        (v1("UNKNOWN"), "127.0.0.1"),
        (v2_tcp4(b""), "192.0.2.9"),
        (v2_tcp4(b"\x04\0\x03abc"), "192.0.2.9"),
        (v2(0x20, 0x11, &[9; 12]), "127.0.0.1"),
        (v2(0x21, 0x00, b""), "127.0.0.1"),
        (v2(0x21, 0x31, &[b'/'; 216]), "127.0.0.1"),
        (Vec::new(), "127.0.0.1"),
    ] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut stream = TcpStream::connect(front.web()).await.unwrap();
            stream.write_all(&header).await.unwrap();
            let mut client = speaking(stream, version).await;
            for _ in 0..2 {
                read(client.send(get("/")).await.unwrap()).await;
                let headers = heads.try_recv().unwrap().headers;
                assert_eq!(all(&headers, "x-forwarded-for"), [told], "{header:?}");
            }
        }
    }
    assert_eq!(refused(&front).await, 0.0);
}

#[tokio::test]
async fn no_byte_is_lost_however_the_segments_fall() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let headers = [
        v1("TCP4 192.0.2.9 127.0.0.1 4711 80"),
        v2_tcp4(b"\x04\0\x20\r\n\r\nGET /not-this HTTP/1.1\r\n\r\n123456"),
        Vec::new(),
    ];
    for header in headers {
        let told = if header.is_empty() {
            "127.0.0.1"
        } else {
            "192.0.2.9"
        };
        let bytes = [&header[..], ONE_REQUEST].concat();
        for first in [
            1,
            2,
            5,
            6,
            7,
            11,
            12,
            13,
            16,
            20,
            header.len(),
            bytes.len() - 1,
            bytes.len(),
        ] {
            let mut stream = TcpStream::connect(front.web()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (first, second) = bytes.split_at(first);
            stream.write_all(first).await.unwrap();
            // The segments shall not meet in the kernel's buffer.
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.write_all(second).await.unwrap();
            let answer = until_closed(&mut stream).await;
            assert_eq!(status(&answer), Some(200), "{answer}");
            assert_told(&heads.try_recv().unwrap(), told);
        }
    }
    assert_eq!(refused(&front).await, 0.0);
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for header in [v1("TCP4 192.0.2.9 127.0.0.1 1 2"), v2_tcp4(b"")] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for byte in header.iter().chain(ONE_REQUEST) {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(status(&until_closed(&mut stream).await), Some(200));
        assert_told(&heads.try_recv().unwrap(), "192.0.2.9");
    }
}

#[tokio::test]
async fn an_untrusted_peers_header_is_a_bad_request() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for header in [v1("TCP4 192.0.2.9 127.0.0.1 1 2"), v2_tcp4(b"")] {
        let mut stream = stream_from("127.0.0.2", front.web()).await;
        let bytes = [&header[..], ONE_REQUEST].concat();
        stream.write_all(&bytes).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert_ne!(status(&answer), Some(200), "{answer}");
    }
    assert!(heads.try_recv().is_err());
    assert_eq!(refused(&front).await, 0.0, "nobody looked for a header");
}

#[tokio::test]
async fn a_client_behind_a_trusted_balancer_is_not_trusted_for_that() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for (client, told) in [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("127.0.0.1", "198.51.100.66, 127.0.0.1"),
    ] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        let header = v1(&format!("TCP4 {client} 127.0.0.1 1 2"));
        stream.write_all(&header).await.unwrap();
        let mut client = speaking(stream, Version::HTTP_11).await;
        let mut request = get("/this");
        extend(
            request.headers_mut(),
            &[("x-forwarded-for", "198.51.100.66")],
        );
        read(client.send(request).await.unwrap()).await;
        assert_told(&heads.try_recv().unwrap(), told);
    }
    // Nor does an announced address make a stranger's word count.
    let mut stream = stream_from("127.0.0.2", front.web()).await;
    stream
        .write_all(&v1("TCP4 127.0.0.1 127.0.0.1 1 2"))
        .await
        .unwrap();
    stream.write_all(ONE_REQUEST).await.unwrap();
    assert_ne!(status(&until_closed(&mut stream).await), Some(200));
}

async fn speaking(stream: TcpStream, version: Version) -> Client<TestBody> {
    let io = TokioIo::new(stream);
    if version == Version::HTTP_2 {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Client::Http2(sender)
    } else {
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        Client::Http1(sender)
    }
}

fn assert_told(head: &Parts, client: &str) {
    assert_eq!(head.uri.path(), "/this");
    assert_eq!(all(&head.headers, "x-forwarded-for"), [client]);
}
