//! What the proxy's tests share: certificates on disk, upstreams, clients, and the proxy itself,
//! in this process or as the built binary.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test binary uses its part"
)]

pub mod admin;
pub mod authority;
pub mod body;
pub mod client;
pub mod load;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod mutual;
pub mod nginx;
pub mod pki;
pub mod port;
pub mod process;
pub mod relay;
pub mod tools;
pub mod upstream;

use std::net::SocketAddr;

use examples::{config::Config, proxy::Proxy};
use tempfile::TempDir;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Starts a proxy in this process; relative paths in `config` are looked up in `directory`.
pub fn start(directory: &TempDir, config: &str) -> Proxy {
    let path = directory.path().join("proxy.toml");
    std::fs::write(&path, config).unwrap();
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    Proxy::start(&config).unwrap_or_else(|error| panic!("{error}"))
}

/// A proxy with a cleartext listener `web`, ended without grace, in front of one cluster.
pub fn cleartext(cluster: &str) -> String {
    format!(
        r#"
[shutdown]
delay = "0s"
grace = "5s"

[admin]
listen = "127.0.0.1:0"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "backend"

[[cluster]]
name = "backend"
{cluster}
"#
    )
}

/// A proxy that is `name` by `[identity]`, in front of one endpoint.
pub fn chain(name: &str, listener: &str, cluster: &str, endpoint: SocketAddr) -> String {
    format!(
        r#"
[admin]
listen = "127.0.0.1:0"

[identity]
certificate = "{name}.pem"
private_key = "{name}.key"
trust_bundle = "ca.pem"
trust_domain = "example.org"

[[listener]]
name = "web"
listen = "127.0.0.1:0"
cluster = "next"
{listener}

[[cluster]]
name = "next"
endpoints = ["{endpoint}"]
{cluster}
"#
    )
}

/// Waits until `condition` holds, for at most ten seconds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "not within ten seconds: {what}");
}
