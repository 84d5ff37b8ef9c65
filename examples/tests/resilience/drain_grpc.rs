//! gRPC while the built binary ends: calls and streams of a client that knows its manners.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
    server::{HealthReporter, health_reporter},
};

use crate::support::{admin, cleartext, eventually, process::ProxyProcess};

#[tokio::test]
async fn sigterm_costs_no_call_and_no_stream() {
    let (reporter, address) = service().await;
    let directory = tempfile::tempdir().unwrap();
    let mut proxy = proxy(&directory, address).await;
    let web = proxy.address("web");
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        calls.spawn(keep_calling(web));
    }
    let mut updates = client(web)
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    updates.message().await.unwrap().unwrap();

    proxy.signal("TERM");
    let is_draining = || proxy.log().contains("draining");
    eventually("it drains", is_draining).await;
    // The stream began before: it goes on through the delay and the listener's end.
    for serving in [false, true].into_iter().cycle().take(20) {
        let status = match serving {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        reporter.set_service_status("", status).await;
        let update = updates.message().await.unwrap().unwrap();
        assert_eq!(update.status, if serving { 1 } else { 2 });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(updates);
    let mut answered = 0;
    while let Some(tally) = calls.join_next().await {
        let (whole, failures) = tally.unwrap();
        assert_eq!(failures, Vec::<String>::new(), "{}", proxy.log());
        answered += whole;
    }
    assert!(answered > 100, "{answered} calls");
    let ended = proxy.ended(Duration::from_secs(8)).await;
    assert_eq!(ended.code(), Some(0), "{}", proxy.log());
    assert!(!proxy.log().contains("is cut"), "{}", proxy.log());
}

/// Calls until the listener has gone; how many were answered, and what else happened.
async fn keep_calling(web: SocketAddr) -> (usize, Vec<String>) {
    let mut client = client(web);
    let (mut whole, mut failures) = (0, Vec::new());
    loop {
        match client.check(HealthCheckRequest::default()).await {
            Ok(_) => whole += 1,
            Err(status) if is_refused(&status) => return (whole, failures),
            Err(status) => failures.push(format!("{status:?}")),
        }
        if failures.len() > 3 {
            return (whole, failures);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_refused(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return status.code() == Code::Unavailable;
        }
        cause = error.source();
    }
    false
}

fn client(web: SocketAddr) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{web}")).unwrap();
    HealthClient::new(endpoint.connect_lazy())
}

async fn service() -> (HealthReporter, SocketAddr) {
    let (reporter, health) = health_reporter();
    reporter
        .set_service_status("", ServingStatus::Serving)
        .await;
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let serving = Server::builder().serve_with_incoming(health, TcpIncoming::from(socket));
    tokio::spawn(serving);
    (reporter, address)
}

async fn proxy(directory: &TempDir, endpoint: SocketAddr) -> ProxyProcess {
    let path = directory.path().join("proxy.toml");
    let config = cleartext(&format!(
        "protocol = \"http2\"\nendpoints = [\"{endpoint}\"]"
    ))
    .replace("delay = \"0s\"", "delay = \"1s\"")
    .replace("grace = \"5s\"", "grace = \"10s\"");
    std::fs::write(&path, config).unwrap();
    let proxy = ProxyProcess::start(&path, &["web", "admin"]).await;
    let ready = || async { admin::get(proxy.address("admin"), "/ready").await.0 == 200 };
    while !ready().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy
}
