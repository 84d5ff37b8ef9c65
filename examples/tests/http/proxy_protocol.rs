//! The PROXY protocol: who a balancer in front of us says the client is.

use std::{
    io,
    net::SocketAddr,
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Response, Version, request::Parts};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Instant, timeout},
};

use crate::{
    admin::metrics,
    forwarded::{all, extend, stream_from},
    front::{Front, bounded, get, noting},
    raw::{exchange, status, until_closed},
    support::{
        self,
        body::empty,
        client::{Client, read},
        eventually,
        pki::Pki,
        process::ProxyProcess,
        upstream::Upstream,
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

#[tokio::test]
async fn a_malformed_header_closes_the_connection_and_is_counted_and_logged() {
    let log = Log::default();
    let _logging = log.listen();
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let too_long = [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat();
    let bad = [
        (v1("TCP4 192.0.2.1 127.0.0.1 1 65536"), "65535"),
        (v1("TCP9 192.0.2.1 127.0.0.1 1 2"), "TCP4"),
        (too_long, "107"),
        (v2(0x21, 0x11, &[1; 11]), "too short"),
        (v2(0x31, 0x11, &[1; 12]), "version"),
        (v2(0x20, 0x00, &[0; 521]), "536"),
    ];
    for (count, (header, reason)) in (1..).zip(bad) {
        let bytes = [&header[..], ONE_REQUEST].concat();
        assert_eq!(exchange(front.web(), &bytes).await, "", "{header:?}");
        assert_eq!(refused(&front).await, f64::from(count), "{header:?}");
        let line = log.last("PROXY protocol refused");
        assert!(line.contains("WARN") && line.contains(reason), "{line}");
        assert!(line.contains("listener=web peer=127.0.0.1:"), "{line}");
    }
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_header_must_be_complete_in_time() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let more = format!("{TRUST}[limits]\nheader_timeout = \"300ms\"");
    let front = Front::start("http1", upstream.address, &more);
    for (count, part) in (1..).zip([
        &b"\r\n\r\n\0"[..],
        b"PROXY TCP4 192.0.2.1 ",
        &v2_tcp4(b"")[..20],
    ]) {
        let began = Instant::now();
        assert_eq!(exchange(front.web(), part).await, "");
        assert!(began.elapsed() >= Duration::from_millis(290));
        assert_eq!(refused(&front).await, f64::from(count));
    }
    // Who says nothing has begun no header.
    assert_eq!(exchange(front.web(), b"").await, "");
    assert_eq!(refused(&front).await, 3.0);
    assert_eq!(open(&front).await, 0.0);
}

#[tokio::test]
async fn a_connection_that_ends_within_its_header_is_over_at_once() {
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    for (count, part) in (1..).zip([&b"PROXY TCP4 192.0.2.1 "[..], &v2_tcp4(b"")[..20]]) {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        let ended = timeout(Duration::from_secs(5), until_closed(&mut stream)).await;
        assert_eq!(ended.unwrap(), "");
        assert_eq!(refused(&front).await, f64::from(count));
    }
    // What may be a request yet is the server's to judge, even when no more comes.
    for part in [&b"P"[..], b""] {
        let mut stream = TcpStream::connect(front.web()).await.unwrap();
        stream.write_all(part).await.unwrap();
        stream.shutdown().await.unwrap();
        let ended = timeout(Duration::from_secs(5), until_closed(&mut stream)).await;
        ended.unwrap();
    }
    assert_eq!(refused(&front).await, 2.0);
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_silent_trusted_connection_does_not_hold_a_drain() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let _silent = TcpStream::connect(front.web()).await.unwrap();
    let mut half = TcpStream::connect(front.web()).await.unwrap();
    half.write_all(b"PROXY ").await.unwrap();
    let accepted = async {
        while open(&front).await < 2.0 {
            tokio::task::yield_now().await;
        }
    };
    bounded(accepted).await;
    let Front { proxy, .. } = front;
    assert!(proxy.drain().await, "within the grace of five seconds");
}

#[tokio::test]
async fn waiting_for_the_rest_of_a_header_costs_nothing() {
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("proxy.toml");
    let cluster = format!("endpoints = [\"{}\"]\n{TRUST}", upstream.address);
    std::fs::write(&config, support::cleartext(&cluster)).unwrap();
    let proxy = ProxyProcess::start(&config, &["web"]).await;
    let mut waiting = Vec::new();
    for part in [&b"PROXY "[..], b"\r\n\r\n", b"P", b"PROXY TCP4 192.0.2.1 "] {
        let mut stream = TcpStream::connect(proxy.address("web")).await.unwrap();
        stream.write_all(part).await.unwrap();
        waiting.push(stream);
    }
    let id = proxy.child.id().unwrap();
    let before = ticks(id);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = ticks(id) - before;
    assert!(spent < 15, "{spent} hundredths of a second");
}

#[tokio::test]
async fn curl_announces_itself_in_front_of_http_and_of_tls() {
    let pki = Pki::new("example.org");
    pki.dns("server", "localhost");
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let proxy = support::start(&pki.directory, &with_tls(&upstream));
    let ca = pki.path("ca.pem");
    let (plain, tls) = (proxy.address("web").unwrap(), proxy.address("tls").unwrap());
    for (listener, proto, version) in [
        (plain, "http", "--http1.1"),
        (plain, "http", "--http2-prior-knowledge"),
        (tls, "https", "--http1.1"),
        (tls, "https", "--http2"),
    ] {
        let url = format!("{proto}://localhost:{}/", listener.port());
        let trusted = [
            version,
            "--haproxy-protocol",
            "--cacert",
            ca.to_str().unwrap(),
            &url,
        ];
        let output = curl(&trusted).await;
        assert!(output.status.success(), "{output:?}");
        let headers = heads.try_recv().unwrap().headers;
        let forwarded = format!("for=127.0.0.1;proto={proto}");
        assert_eq!(all(&headers, "forwarded"), [forwarded]);
        assert_eq!(all(&headers, "x-forwarded-proto"), [proto]);
        let output = curl(&[&["--fail", "--interface", "127.0.0.2"], &trusted[..]].concat()).await;
        assert!(!output.status.success(), "{output:?}");
        assert!(heads.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_tls_client_behind_a_balancer_is_known_by_its_own_address() {
    let pki = Pki::new("example.org");
    pki.dns("server", "localhost");
    let (upstream, heads) = noting(|| Response::new(empty())).await;
    let proxy = support::start(&pki.directory, &with_tls(&upstream));
    let log = Log::default();
    let _logging = log.listen();
    for header in [v1("TCP4 192.0.2.9 127.0.0.1 4711 443"), v2_tcp4(b"")] {
        let balancer = balancer(proxy.address("tls").unwrap(), header).await;
        let url = format!("https://localhost:{}/", balancer.port());
        let ca = pki.path("ca.pem");
        let output = curl(&["--cacert", ca.to_str().unwrap(), &url]).await;
        assert!(output.status.success(), "{output:?}");
        let headers = heads.try_recv().unwrap().headers;
        assert_eq!(all(&headers, "forwarded"), ["for=192.0.2.9;proto=https"]);

        let cleartext = curl(&[&url.replace("https", "http")]).await;
        assert!(!cleartext.status.success(), "{cleartext:?}");
        let line = log.last("TLS handshake refused");
        assert!(line.contains("client=192.0.2.9:4711"), "{line}");
    }
}

#[tokio::test]
async fn the_access_log_names_the_client() {
    let log = Log::default();
    let _logging = log.listen();
    let (upstream, _heads) = noting(|| Response::new(empty())).await;
    let front = Front::start("http1", upstream.address, TRUST);
    let mut stream = stream_from("127.0.0.2", front.web()).await;
    let own = stream.local_addr().unwrap().to_string();
    stream.write_all(ONE_REQUEST).await.unwrap();
    until_closed(&mut stream).await;
    let named = |client: &str| {
        let line = log.find("access");
        line.is_some_and(|line| line.contains(&format!(" client={client} ")))
    };
    eventually("the connected client is named", || named(&own)).await;
    let bytes = [&v2_tcp4(b""), ONE_REQUEST].concat();
    exchange(front.web(), &bytes).await;
    eventually("the announced client is named", || named("192.0.2.9:4711")).await;
}

/// What the proxy logs on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn find(&self, words: &str) -> Option<String> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let line = log.lines().rfind(|line| line.contains(words));
        line.map(str::to_owned)
    }

    fn last(&self, words: &str) -> String {
        self.find(words).expect("it is logged")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Passes connections on, each after `header`, in one segment with the client's first bytes.
async fn balancer(target: SocketAddr, header: Vec<u8>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = socket.accept().await {
            let mut proxy = TcpStream::connect(target).await.unwrap();
            let mut first = header.clone();
            client.read_buf(&mut first).await.unwrap();
            proxy.write_all(&first).await.unwrap();
            tokio::spawn(async move {
                let _ = copy_bidirectional(&mut client, &mut proxy).await;
            });
        }
    });
    address
}

async fn speaking(stream: TcpStream, version: Version) -> Client<support::body::TestBody> {
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

async fn curl(arguments: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--ipv4", "--noproxy", "*", "--max-time", "40"])
        .args(arguments)
        .kill_on_drop(true);
    bounded(curl.output())
        .await
        .expect("curl must be installed")
}

fn with_tls(upstream: &Upstream) -> String {
    let cluster = format!("endpoints = [\"{}\"]", upstream.address);
    let tls = "tls = { certificate = \"server.pem\", private_key = \"server.key\" }";
    format!(
        "{}balance = {{ wait = \"10s\" }}\n{TRUST}\n[[listener]]\nname = \"tls\"\nlisten = \"127.0.0.1:0\"\n\
         cluster = \"backend\"\n{tls}\n",
        support::cleartext(&cluster)
    )
}

fn v1(line: &str) -> Vec<u8> {
    format!("PROXY {line}\r\n").into_bytes()
}

/// From 192.0.2.9, port 4711.
fn v2_tcp4(more: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
    v2(0x21, 0x11, &[&addresses, more].concat())
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        block,
    ]
    .concat()
}

fn assert_told(head: &Parts, client: &str) {
    assert_eq!(head.uri.path(), "/this");
    assert_eq!(all(&head.headers, "x-forwarded-for"), [client]);
}

async fn refused(front: &Front) -> f64 {
    metrics(front).await[r#"proxy_proxy_protocol_refused_total{listener="web"}"#]
}

async fn open(front: &Front) -> f64 {
    metrics(front).await[r#"proxy_connections_open{listener="web"}"#]
}

/// What a process has spent, in hundredths of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<_> = fields.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// One peer, and not the others of loopback.
const TRUST: &str = "[trust]\nforwarded = [\"127.0.0.1\"]\n";

const ONE_REQUEST: &[u8] = b"GET /this HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
