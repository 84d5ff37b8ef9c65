//! WebSocket between two proxies, by mutual TLS.

use futures::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use super::{connect, echo, next};
use crate::support::{body::noise, chain, pki::Pki, relay::Relay, start};

#[tokio::test]
async fn messages_pass_two_proxies_and_cannot_be_read_in_between() {
    let pki = Pki::new("example.org");
    pki.svid("inner", "/inner");
    pki.svid("outer", "/outer");
    let upstream = echo();
    let inner = chain(
        "inner",
        "",
        "balance = { wait = \"10s\" }\ntls = \"off\"",
        upstream.address,
    );
    let inner = start(&pki.directory, &inner);
    let relay = Relay::start(inner.address("web").unwrap()).await;
    let outer = chain(
        "outer",
        "tls = \"off\"",
        "balance = { wait = \"10s\" }",
        relay.address,
    );
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
