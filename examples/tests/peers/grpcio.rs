//! gRPC as its C core speaks it: grpcio as client, as server, and as both.

use std::{net::SocketAddr, path::PathBuf};

use examples::proxy::Proxy;
use tokio::process::Command;

use crate::{
    front::{Front, bounded},
    support::{
        self,
        pki::Pki,
        tools::{Peer, python_with_grpcio},
    },
    tonic_server,
};

#[tokio::test]
async fn grpcio_calls_grpcio() {
    let (_server, address) = server(None).await;
    let front = Front::start("http2", address, "");
    every_scenario(front.web(), None).await;
}

#[tokio::test]
async fn grpcio_calls_grpcio_over_mutual_tls() {
    let pki = Pki::new("example.org");
    pki.dns("peer", "localhost");
    pki.svid("proxy", "spiffe://example.org/proxy");
    let (_server, address) = server(Some(&pki)).await;
    let proxy = mutual_tls(&pki, address);
    every_scenario(proxy.address("web").unwrap(), Some(&pki)).await;
}

#[tokio::test]
async fn grpcio_calls_tonic() {
    let upstream = tonic_server::start().await;
    let front = Front::start("http2", upstream.address, "");
    every_scenario(front.web(), None).await;
}

#[tokio::test]
async fn grpcio_hears_of_a_server_that_dies() {
    let (mut server, address) = server(None).await;
    // A call without a connection shall fail soon.
    let front = Front::start("http2", address, "[cluster.balance]\nwait = \"500ms\"");
    support::eventually("the endpoint is ready", || {
        front.proxy.status()[0].ready == 1
    })
    .await;
    let mut client = client(front.web(), "dying", None);
    assert_eq!(client.line().await, "begun");
    server.kill().await;
    assert_eq!(client.line().await, "done");
}

/// A server of grpcio, and where it listens.
pub(crate) async fn server(tls: Option<&Pki>) -> (Peer, SocketAddr) {
    let mut server = Peer::start(python("grpc_server.py", &[], tls));
    let port: u16 = server.line().await.parse().unwrap();
    (server, SocketAddr::from(([127, 0, 0, 1], port)))
}

async fn every_scenario(proxy: SocketAddr, tls: Option<&Pki>) {
    let mut client = client(proxy, "all", tls);
    assert_eq!(bounded(client.line()).await, "done");
}

fn client(proxy: SocketAddr, scenario: &str, tls: Option<&Pki>) -> Peer {
    let address = format!("localhost:{}", proxy.port());
    Peer::start(python("grpc_client.py", &[&address, scenario], tls))
}

fn python(script: &str, arguments: &[&str], tls: Option<&Pki>) -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let mut command = Command::new(python_with_grpcio());
    command.arg(folder.join(script)).args(arguments);
    if let Some(pki) = tls {
        command.args(["peer.key", "peer.pem", "ca.pem"].map(|name| pki.path(name)));
    }
    command
}

/// A proxy that demands a certificate of its client, and shows its own to its endpoint.
fn mutual_tls(pki: &Pki, endpoint: SocketAddr) -> Proxy {
    let config = format!(
        r#"
[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "backend"

[listener.tls]
certificate = "peer.pem"
private_key = "peer.key"
client_ca = "ca.pem"
allow = ["dns:localhost"]

[[cluster]]
name = "backend"
protocol = "http2"
endpoints = ["{endpoint}"]
balance = {{ wait = "10s" }}

[cluster.tls]
certificate = "proxy.pem"
private_key = "proxy.key"
ca = "ca.pem"
server_name = "localhost"
"#
    );
    support::start(&pki.directory, &config)
}
