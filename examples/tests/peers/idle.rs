//! What client connections cost that have nothing to say.

use std::{any::Any, net::SocketAddr, time::Duration};

use bytes::Bytes;
use examples::endpoint::{Connector, connector};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Request, Response, Version};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::ServiceExt;
use tower_mtls::{Expected, MtlsLayer};

use crate::{
    front::bounded,
    support::{
        BoxError, body::empty, client::read, memory::resident, pki::Pki, process::ProxyProcess,
        tools::allow_open_files, upstream::Upstream,
    },
};

#[tokio::test]
async fn over_http1() {
    costs_at_most(Version::HTTP_11, false, 30 << 10).await;
}

#[tokio::test]
async fn over_http2() {
    costs_at_most(Version::HTTP_2, false, 38 << 10).await;
}

#[tokio::test]
async fn over_tls() {
    costs_at_most(Version::HTTP_11, true, 38 << 10).await;
}

#[tokio::test]
async fn over_http2_and_tls() {
    costs_at_most(Version::HTTP_2, true, 46 << 10).await;
}

async fn costs_at_most(version: Version, tls: bool, bound: usize) {
    allow_open_files(4000);
    let pki = Pki::new("example.org");
    pki.dns("server", "localhost");
    let upstream = Upstream::start(|_| async { Response::new(empty()) }).await;
    let config = pki.write("proxy.toml", &config(&upstream));
    let proxy = ProxyProcess::start(&config, &["web", "tls"]).await;
    let (listener, protocols) = match (tls, version) {
        (false, _) => ("web", None),
        (true, Version::HTTP_2) => ("tls", Some("h2")),
        (true, _) => ("tls", Some("http/1.1")),
    };
    let address = proxy.address(listener);
    let tls = protocols.map(|protocol| {
        let tls = MtlsLayer::builder(pki.authority.plain_trust_bundle());
        let tls = tls
            .expect(Expected::ServerName("localhost".parse().unwrap()))
            .alpn([protocol]);
        tls.build().unwrap()
    });
    let connector = connector(Duration::from_secs(30), tls.as_ref());
    let first = connect(&connector, address, version).await.unwrap();

    // Handshakes take their time.
    let count = if tls.is_some() { 400 } else { 1000 };
    let before = resident(&proxy);
    let clients = stream::iter(0..count).map(|_| connect(&connector, address, version));
    let clients = clients.buffer_unordered(20).try_collect::<Vec<_>>();
    let _clients = bounded(clients).await.unwrap();
    let each = (resident(&proxy) - before) / count;
    eprintln!(
        "{version:?} over {listener}: {} KiB at rest, {each} bytes a connection",
        before / 1024
    );
    assert!(each < bound, "{each} bytes a connection");
    drop(first);
}

/// A connection that has carried one request, and is open until what is returned is dropped.
async fn connect(
    connector: &Connector,
    proxy: SocketAddr,
    version: Version,
) -> Result<Box<dyn Any>, BoxError> {
    let io = TokioIo::new(connector.clone().oneshot(proxy).await?);
    let request = Request::get("http://proxy.test/").header("host", "proxy.test");
    let request = request.body(Empty::<Bytes>::new())?;
    if version == Version::HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        read(sender.send_request(request).await?).await;
        return Ok(Box::new(sender));
    }
    let (mut sender, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    read(sender.send_request(request).await?).await;
    Ok(Box::new(sender))
}

fn config(upstream: &Upstream) -> String {
    format!(
        r#"
threads = 1

[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "backend"

[[listener]]
name = "tls"
listen = "127.0.0.1:0"
cluster = "backend"
tls = {{ certificate = "server.pem", private_key = "server.key" }}

[[cluster]]
name = "backend"
endpoints = ["{}"]
balance = {{ wait = "10s" }}
"#,
        upstream.address
    )
}
