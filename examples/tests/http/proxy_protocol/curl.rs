//! Real clients behind the header, TLS among them, and what the log says of them.

use std::{net::SocketAddr, process::Output};

use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::Command,
};

use super::wire::{Log, ONE_REQUEST, TRUST, v1, v2_tcp4};
use crate::{
    forwarded::{all, stream_from},
    front::{Front, bounded, noting},
    raw::{exchange, until_closed},
    support::{self, body::empty, eventually, pki::Pki, upstream::Upstream},
};

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
    let sent = format!(" endpoint={} attempts=1 ", upstream.address);
    assert!(log.find("access").unwrap().contains(&sent));
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
