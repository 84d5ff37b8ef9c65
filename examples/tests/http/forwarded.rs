//! What endpoints are told about clients, and what clients cannot make them believe.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Response, Version};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    front::{Front, Hops, get, noting, protocol},
    raw::{RawUpstream, exchange, status},
    support::{
        self,
        body::{TestBody, empty},
        client::{Client, read},
        upstream::Upstream,
    },
};

through_all_hops!(
    an_endpoint_is_told_who_the_client_is,
    what_a_stranger_claims_is_removed,
    what_a_trusted_peer_says_is_kept_and_added_to,
    a_response_tells_its_way,
);

async fn an_endpoint_is_told_who_the_client_is(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    for _ in 0..2 {
        let mut request = get("/");
        extend(request.headers_mut(), &TRACE);
        read(client.send(request).await.unwrap()).await;
        let headers = heads.try_recv().unwrap().headers;
        assert_told(&headers, "127.0.0.1");
        assert_eq!(all(&headers, "via"), [via(hops.client)]);
        for (name, value) in TRACE {
            assert_eq!(all(&headers, name), [value]);
        }
    }
}

async fn what_a_stranger_claims_is_removed(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let (_front, mut client) = hops.through(&upstream).await;
    let mut request = get("/");
    extend(request.headers_mut(), &CLAIMS);
    extend(request.headers_mut(), &[("via", "1.0 elsewhere")]);
    read(client.send(request).await.unwrap()).await;
    let headers = heads.try_recv().unwrap().headers;
    assert_told(&headers, "127.0.0.1");
    let others = headers.keys().filter(|name| {
        (name.as_str().starts_with("x-forwarded") || *name == "x-real-ip")
            && !["x-forwarded-for", "x-forwarded-proto"].contains(&name.as_str())
    });
    assert_eq!(others.count(), 0, "{headers:?}");
    // These tell the way, or are nothing that we would know.
    let way = format!("1.0 elsewhere, {}", via(hops.client));
    assert_eq!(all(&headers, "via"), [way]);
    assert_eq!(all(&headers, "x_forwarded_for"), ["198.51.100.66"]);
}

async fn what_a_trusted_peer_says_is_kept_and_added_to(hops: Hops) {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start(protocol(hops.upstream), upstream.address, TRUSTING);
    let mut client = front.client(hops.client).await;
    let mut request = get("/");
    extend(request.headers_mut(), &CLAIMS);
    extend(
        request.headers_mut(),
        &[("via", "1.0 fred"), ("via", "1.1 p.test (a, \"b)")],
    );
    read(client.send(request).await.unwrap()).await;
    let headers = heads.try_recv().unwrap().headers;
    assert_eq!(
        all(&headers, "forwarded"),
        ["for=198.51.100.66;by=\"a, b\", for=unknown, for=127.0.0.1;proto=http"]
    );
    assert_eq!(
        all(&headers, "x-forwarded-for"),
        ["198.51.100.66, 198.51.100.67, 127.0.0.1"]
    );
    assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&headers, "x-forwarded-host"), ["evil.test"]);
    assert_eq!(all(&headers, "x-real-ip"), ["198.51.100.66"]);
    assert_eq!(
        all(&headers, "via"),
        ["1.0 fred", "1.1 p.test (a, \"b)", via(hops.client)],
        "what is open cannot swallow ours"
    );

    // A trusted peer that says nothing is told of as anybody.
    read(client.send(get("/")).await.unwrap()).await;
    assert_told(&heads.try_recv().unwrap().headers, "127.0.0.1");
}

async fn a_response_tells_its_way(hops: Hops) {
    let (upstream, heads) = noting(|| {
        let mut response = Response::new(empty());
        extend(
            response.headers_mut(),
            &[("via", "1.0 a"), ("via", "1.1 b")],
        );
        response
    })
    .await;
    let (_front, mut client) = hops.through(&upstream).await;
    let response = client.send(get("/")).await.unwrap();
    let way = format!("1.0 a, 1.1 b, {}", via(hops.upstream));
    assert_eq!(all(response.headers(), "via"), [way]);
    assert!(!response.headers().contains_key("proxy-status"));
    assert!(!response.headers().contains_key("forwarded"));
    drop(heads);
}

#[tokio::test]
async fn an_answer_of_the_proxys_own_has_come_no_way() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "");
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Type: application/grpc\r\n\r\n",
        "CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1\r\nConnection: close\r\n\r\n",
    ] {
        let answer = exchange(front.web(), request.as_bytes()).await;
        assert!(answer.contains("\r\nproxy-status: "), "{answer}");
        assert!(!answer.contains("\r\nvia: "), "{answer}");
    }
}

#[tokio::test]
async fn via_names_the_version_that_came() {
    let answer = b"HTTP/1.0 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\r\n";
    let upstream = RawUpstream::answering(answer);
    let front = Front::start("http1", upstream.address, "");
    let request = b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n";
    let answer = exchange(front.web(), request).await;
    assert!(
        answer.contains("\r\nvia: 1.1 inner, 1.0 proxy\r\n"),
        "{answer}"
    );
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "");
    exchange(front.web(), request).await;
    let headers = heads.try_recv().unwrap().headers;
    assert_eq!(all(&headers, "via"), ["1.0 proxy"]);
}

#[tokio::test]
async fn no_spelling_of_a_claim_gets_through() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, "");
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nFORWARDED: for=evil\r\nX-Forwarded-FOR: evil\r\n\
        x-FORWARDED-for:evil, evil\r\nX-Forwarded: evil\r\nX-Forwarded-: evil\r\nX-Real-IP: evil\r\n\
        X-Forwarded-Client-Cert: evil\r\n\
        Connection: close, x-forwarded-for, forwarded, X-Forwarded-Proto, via\r\n\r\n";
    assert_eq!(status(&exchange(front.web(), request).await), Some(200));
    let headers = heads.try_recv().unwrap().headers;
    assert_told(&headers, "127.0.0.1");
    assert_eq!(all(&headers, "via"), ["1.1 proxy"]);
    assert!(!format!("{headers:?}").contains("evil"), "{headers:?}");
}

#[tokio::test]
async fn nobody_can_have_a_trusted_chain_dropped() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUSTING);
    let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.1\r\nVia: 1.1 a\r\n\
        Forwarded: for=192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Mine: 1\r\n\
        Connection: close, x-forwarded-for, forwarded, X-Forwarded-Proto, via, x-mine\r\n\r\n";
    assert_eq!(status(&exchange(front.web(), request).await), Some(200));
    let headers = heads.try_recv().unwrap().headers;
    assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(
        all(&headers, "forwarded"),
        ["for=192.0.2.1, for=127.0.0.1;proto=http"]
    );
    assert_eq!(all(&headers, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&headers, "via"), ["1.1 a, 1.1 proxy"]);
    assert!(!headers.contains_key("x-mine"));
}

#[tokio::test]
async fn a_broken_list_of_a_trusted_peer_is_kept_and_ours_stays_readable() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http2", upstream.address, TRUSTING);
    let mut client = front.client(Version::HTTP_2).await;
    let ours = &b"for=127.0.0.1;proto=http"[..];
    for (theirs, told) in [
        (&b"for=\"evil"[..], &[&b"for=\"evil"[..], ours][..]),
        (
            b"for=a\xff\tb",
            &[b"for=a\xff\tb, for=127.0.0.1;proto=http"],
        ),
        (b",, ;=", &[b",, ;=, for=127.0.0.1;proto=http"]),
        (b"", &[ours]),
    ] {
        let mut request = get("/");
        let theirs = HeaderValue::from_bytes(theirs).unwrap();
        request.headers_mut().insert("forwarded", theirs);
        read(client.send(request).await.unwrap()).await;
        let headers = heads.try_recv().unwrap().headers;
        let values = headers.get_all("forwarded").iter();
        assert_eq!(values.map(HeaderValue::as_bytes).collect::<Vec<_>>(), told);
    }
}

#[tokio::test]
async fn only_the_trusted_address_is_trusted() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let trust = "[trust]\nforwarded = [\"127.0.0.3\"]\ndeadline = [\"127.0.0.2\"]";
    let front = Front::start("http1", upstream.address, trust);
    for (from, told) in [
        ("127.0.0.2", "127.0.0.2"),
        ("127.0.0.3", "198.51.100.66, 198.51.100.67, 127.0.0.3"),
    ] {
        let mut client = connect_from(from, front.web()).await;
        let mut request = get("/");
        extend(request.headers_mut(), &CLAIMS);
        read(client.send(request).await.unwrap()).await;
        let headers = heads.try_recv().unwrap().headers;
        assert_eq!(all(&headers, "x-forwarded-for"), [told]);
    }
}

#[tokio::test]
async fn an_ipv6_client_is_quoted_and_a_mapped_one_is_ipv4() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let trust = "[trust]\nforwarded = [\"127.0.0.1\"]";
    let (proxy, _directory) = listening_at("[::]:0", &upstream, trust);
    for (target, forwarded, told) in [
        ("::1", "for=\"[::1]\";proto=http", "::1"),
        (
            "127.0.0.1",
            "for=before, for=127.0.0.1;proto=http",
            "127.0.0.1",
        ),
    ] {
        let port = proxy.address("web").unwrap().port();
        let target = SocketAddr::new(target.parse().unwrap(), port);
        let mut client = Client::connect(target, Version::HTTP_11).await;
        let mut request = get("/");
        extend(request.headers_mut(), &[("forwarded", "for=before")]);
        read(client.send(request).await.unwrap()).await;
        let headers = heads.try_recv().unwrap().headers;
        assert_eq!(all(&headers, "forwarded"), [forwarded]);
        assert_eq!(all(&headers, "x-forwarded-for"), [told]);
    }
}

#[tokio::test]
async fn two_proxies_in_a_row_make_a_chain() {
    for (trust, forwarded, told, proto) in [
        (
            TRUSTING,
            "for=127.0.0.2;proto=http, for=127.0.0.1;proto=http",
            "127.0.0.2, 127.0.0.1",
            "http",
        ),
        ("", "for=127.0.0.1;proto=http", "127.0.0.1", "http"),
    ] {
        let (upstream, heads) = noting(|| Response::new(empty())).await;
        let inner = Front::start("http1", upstream.address, trust);
        let outer = Front::start("http2", inner.web(), "");
        let mut client = connect_from("127.0.0.2", outer.web()).await;
        let mut request = get("/");
        extend(request.headers_mut(), &CLAIMS);
        let response = client.send(request).await.unwrap();
        assert_eq!(all(response.headers(), "via"), ["1.1 proxy, 2.0 proxy"]);
        let headers = heads.try_recv().unwrap().headers;
        assert_eq!(all(&headers, "forwarded"), [forwarded]);
        assert_eq!(all(&headers, "x-forwarded-for"), [told]);
        assert_eq!(all(&headers, "x-forwarded-proto"), [proto]);
        assert_eq!(all(&headers, "via"), ["1.1 proxy, 2.0 proxy"]);
        assert_eq!(all(&headers, "host"), ["proxy.test"]);
    }
}

#[tokio::test]
async fn a_retry_tells_it_once() {
    let upstream = RawUpstream::start(|mut stream, number| async move {
        use tokio::io::AsyncWriteExt;
        let head = crate::raw::head(&mut stream).await.unwrap();
        let status = if number == 0 { "503 No" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{head}",
            head.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let front = Front::start("http1", upstream.address, "retry = { statuses = [503] }");
    let mut client = front.client(Version::HTTP_11).await;
    let response = client.send(get("/")).await.unwrap();
    assert_eq!(all(response.headers(), "via"), ["1.1 proxy"]);
    let head = support::client::text(response).await;
    for field in [
        "forwarded: for=127.0.0.1;proto=http\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "via: 1.1 proxy\r\n",
    ] {
        assert_eq!(head.matches(field).count(), 1, "{head}");
    }
    assert_eq!(upstream.connections(), 2);
}

/// A client of HTTP/1.1 with an address of its own.
async fn connect_from(address: &str, proxy: SocketAddr) -> Client<TestBody> {
    let stream = stream_from(address, proxy).await;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Client::Http1(sender)
}

/// A connection from one of loopback's addresses.
pub(crate) async fn stream_from(address: &str, proxy: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    socket.bind(address).unwrap();
    socket.connect(proxy).await.unwrap()
}

fn listening_at(
    listen: &str,
    upstream: &Upstream,
    more: &str,
) -> (examples::proxy::Proxy, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let cluster = format!(
        "endpoints = [\"{}\"]\nbalance = {{ wait = \"10s\" }}\n{more}",
        upstream.address
    );
    let config = support::cleartext(&cluster).replace(
        "name = \"web\"\nlisten = \"127.0.0.1:0\"",
        &format!("name = \"web\"\nlisten = \"{listen}\""),
    );
    (support::start(&directory, &config), directory)
}

pub(crate) fn extend(headers: &mut HeaderMap, fields: &[(&'static str, &'static str)]) {
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
}

/// Every value of a field.
pub(crate) fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// That a cleartext client at `ip` is all that is told.
fn assert_told(headers: &HeaderMap, ip: &str) {
    let forwarded = format!("for={ip};proto=http");
    assert_eq!(all(headers, "forwarded"), [forwarded]);
    assert_eq!(all(headers, "x-forwarded-for"), [ip]);
    assert_eq!(all(headers, "x-forwarded-proto"), ["http"]);
}

fn via(version: Version) -> &'static str {
    if version == Version::HTTP_2 {
        "2.0 proxy"
    } else {
        "1.1 proxy"
    }
}

const TRUSTING: &str = "[trust]\nforwarded = [\"127.0.0.0/8\"]";

const TRACE: [(&str, &str); 3] = [
    (
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
    ("baggage", "a=b"),
];

const CLAIMS: [(&str, &str); 12] = [
    ("forwarded", "for=198.51.100.66;by=\"a, b\""),
    ("forwarded", "for=unknown"),
    ("x-forwarded-for", "198.51.100.66"),
    ("x-forwarded-for", "198.51.100.67"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-port", "1"),
    ("x-forwarded-prefix", "/admin"),
    ("x-forwarded-by", "198.51.100.66"),
    ("x-forwarded-client-cert", "By=evil"),
    ("x-real-ip", "198.51.100.66"),
    ("x_forwarded_for", "198.51.100.66"),
];
