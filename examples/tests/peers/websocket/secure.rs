//! WebSocket between two proxies, by mutual TLS.

use futures::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use super::{connect, echo, next};
use crate::support::{body::noise, pki::Pki, relay::Relay, start};

#[tokio::test]
async fn messages_pass_two_proxies_and_cannot_be_read_in_between() {
    let pki = Pki::new("example.org");
    pki.svid("inner", "/inner");
    pki.svid("outer", "/outer");
    let upstream = echo();
    let inner = config("inner", "", "tls = \"off\"", &upstream.address.to_string());
    let inner = start(&pki.directory, &inner);
    let relay = Relay::start(inner.address("web").unwrap()).await;
    let outer = config("outer", "tls = \"off\"", "", &relay.address.to_string());
    let outer = start(&pki.directory, &outer);
    let mut socket = connect(outer.address("web").unwrap()).await;
    for message in [
        Message::text("a word that nobody shall read"),
        Message::binary(noise(1 << 18)),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert!(next(&mut socket).await == message);
    }
    // A client masks what it sends; what comes back is plain.
    assert!(relay.count() > 1 << 19, "it went another way");
    assert!(!relay.saw("a word that nobody shall read"));
}

fn config(name: &str, listener: &str, cluster: &str, endpoint: &str) -> String {
    format!(
        r#"
admin = {{ listen = "127.0.0.1:0" }}

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
balance = {{ wait = "10s" }}
{cluster}
"#
    )
}
