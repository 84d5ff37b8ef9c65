//! Who may send requests to a listener, and what endpoints and operators learn of it.

use std::net::SocketAddr;

use http::StatusCode;

use crate::support::{
    cleartext, eventually,
    mutual::{MutualClient, MutualUpstream},
    pki::Pki,
    process::{ProxyProcess, plain},
};

#[tokio::test]
async fn the_access_log_names_both_sides() {
    let pki = Pki::new("example.org");
    pki.svid("proxy", "/proxy");
    let backend = pki.authority.svid("/backend").unwrap().credentials();
    let upstream = MutualUpstream::start(backend, pki.authority.trust_bundle());
    let tls = "[cluster.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nca = \"ca.pem\"\ntrust_domain = \"example.org\"\n";
    let config = listener(upstream.address, "allow_any = true") + tls;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_proxy"));
    command.arg("run");
    let mut command = plain(command);
    command.env("PROXY_LOG", "info");
    let config = pki.write("proxy.toml", &config);
    let proxy = ProxyProcess::start_as(command, &config, &["web", "admin"]).await;
    let frontend = pki.authority.svid("/frontend").unwrap().credentials();
    let trust = pki.authority.trust_bundle();
    let client = MutualClient::connect(proxy.address("web"), trust, Some(frontend)).await;
    assert_eq!(
        client.unwrap().get().await.unwrap().status(),
        StatusCode::OK
    );
    let names = [
        "peer=spiffe://example.org/frontend ",
        "endpoint_peer=spiffe://example.org/backend ",
    ];
    let is_named =
        |line: &str| line.contains(" access: ") && names.iter().all(|name| line.contains(name));
    eventually("a line names both", || proxy.log().lines().any(is_named)).await;
}

fn listener(endpoint: SocketAddr, keys: &str) -> String {
    let tls = format!(
        "[listener.tls]\ncertificate = \"proxy.pem\"\nprivate_key = \"proxy.key\"\nclient_ca = \"ca.pem\"\ntrust_domain = \"example.org\"\n{keys}\n\n[[cluster]]"
    );
    cleartext(&format!("endpoints = [\"{endpoint}\"]\n")).replacen("[[cluster]]", &tls, 1)
}
