//! What is told and counted of handshakes.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use support::{API_ID, WEB_ID, api, handshake, task::silent, trust, web};
use tower_mtls::{
    Expected, MtlsLayer,
    accept::Acceptor,
    observer::{Handshake, Outcome, Version},
};

#[tokio::test(start_paused = true)]
async fn each_handshake_is_told_once_with_what_came_of_it() {
    let told = Told::default();
    let mut acceptor = Acceptor::builder(api())
        .require_client(trust())
        .alpn(["h2"])
        .observer(told.observer())
        .build()
        .unwrap();
    let layer = MtlsLayer::builder(trust())
        .credentials(web())
        .expect(Expected::TrustDomain)
        .alpn(["h2"])
        .observer(told.observer())
        .build()
        .unwrap();
    let (client, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(
        told.take(),
        [
            format!("client 1.3 {GROUP} h2 {API_ID}"),
            format!("server 1.3 {GROUP} h2 {WEB_ID}"),
        ]
    );
    assert_eq!(client.version(), Version::Tls13);
    assert_eq!(server.group(), Some(GROUP));
    assert_eq!(server.server_name(), None);

    let anonymous = MtlsLayer::builder(trust())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    assert!(handshake(&anonymous, &acceptor).await.server.is_err());
    assert_eq!(told.take(), ["server no_certificate"]);

    let (_near, handshake) = silent(&mut acceptor);
    drop(handshake);
    assert_eq!(told.take(), ["server cancelled"]);

    let stats = acceptor.stats();
    assert_eq!(stats.succeeded_with(Version::Tls13), 1);
    assert_eq!(stats.succeeded_with(Version::Tls12), 0);
    assert_eq!(
        (stats.succeeded(), stats.cancelled(), stats.failed_total()),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn the_time_of_those_that_succeed_is_counted() {
    let acceptor = support::acceptor(api(), trust());
    let layer = support::layer(trust(), web(), Expected::TrustDomain);
    handshake(&layer, &acceptor).await.both();
    let once = acceptor.stats().time();
    assert!(!once.is_zero() && !layer.stats().time().is_zero());
    handshake(&layer, &acceptor).await.both();
    assert!(acceptor.stats().time() > once);
}

#[tokio::test]
async fn an_observer_that_panics_fails_no_handshake() {
    let acceptor = Acceptor::builder(api())
        .require_client(trust())
        .observer(|_: &Handshake<'_>| panic!("on purpose"))
        .build()
        .unwrap();
    let layer = support::layer(trust(), web(), Expected::TrustDomain);
    handshake(&layer, &acceptor).await.both();
    assert_eq!(acceptor.stats().succeeded(), 1);
}

#[cfg(feature = "dev")]
#[tokio::test]
async fn the_name_that_a_client_asks_for_is_on_the_stream() {
    let authority = tower_mtls::dev::Authority::new("example.org".parse().unwrap()).unwrap();
    let credentials = authority.dns(&["api.example.org"]).unwrap().credentials();
    let acceptor = Acceptor::builder(credentials)
        .no_client_auth()
        .build()
        .unwrap();
    let layer = MtlsLayer::builder(authority.plain_trust_bundle())
        .expect(Expected::ServerName("api.example.org".parse().unwrap()))
        .build()
        .unwrap();
    let (client, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(server.server_name(), Some("api.example.org"));
    assert_eq!(client.server_name(), None);
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn observer(&self) -> impl Fn(&Handshake<'_>) + Send + Sync + 'static {
        let told = self.clone();
        move |handshake| {
            let side = handshake.side().as_str();
            let line = match handshake.outcome() {
                Outcome::Succeeded(session) => format!(
                    "{side} {} {} {} {}",
                    session.version().as_str(),
                    session.group().unwrap(),
                    String::from_utf8_lossy(session.alpn().unwrap()),
                    session.peer().unwrap()
                ),
                Outcome::Failed(error) => format!("{side} {}", error.reason()),
                _ => format!("{side} cancelled"),
            };
            told.0.lock().unwrap().push(line);
        }
    }

    fn take(&self) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.sort();
        lines
    }
}

#[cfg(feature = "aws-lc-rs")]
const GROUP: &str = "X25519MLKEM768";
#[cfg(not(feature = "aws-lc-rs"))]
const GROUP: &str = "X25519";
