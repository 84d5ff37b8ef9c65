//! Who is let in and who is kept out, on both sides, and what is told of it. Rule by rule, that is in `corpus`.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, IsCa, KeyPair};
use support::ca::{Ca, dns, uri};
use support::{Outcome, acceptor, first_read, handshake, handshake_error, layer, ping_pong};
use tower_mtls::{
    Credentials, Expected, MtlsLayer, TrustBundle, accept::Acceptor, dev::Authority, error::Reason,
};

#[tokio::test]
async fn the_right_identity_is_let_in_on_both_sides() {
    let ca = Ca::new("root");
    let api = ca.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://example.org/api")]);
    let expected = ["spiffe://example.org/other", "spiffe://example.org/api"];
    let expected = Expected::Spiffe(expected.map(|id| id.parse().unwrap()).into());
    let layer = layer(ca.trust(), ca.leaf(|_| {}), expected);
    let acceptor = acceptor(api, ca.trust());

    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    ping_pong(&mut client, &mut server).await;
    let seen_by_client = client.peer().unwrap();
    let seen_by_server = server.peer().unwrap();
    assert_eq!(seen_by_client.to_string(), "spiffe://example.org/api");
    assert_eq!(seen_by_server.spiffe_id().unwrap().path(), "/web");
    assert_eq!(seen_by_server.identities().len(), 1);
    assert_eq!(acceptor.stats().succeeded(), 1);
    assert_eq!(layer.stats().succeeded(), 1);
}

#[tokio::test]
async fn an_svid_may_also_have_dns_names_which_are_not_identities() {
    let ca = Ca::new("root");
    let both = ca.leaf(|leaf| leaf.subject_alt_names.push(dns("admin.example.org")));
    let outcome = present_to_server(&ca.trust(), both).await;
    let peer = outcome.server.expect("server").peer().cloned().unwrap();
    assert_eq!(peer.identities().len(), 1);
    assert!(peer.spiffe_id().is_some());
}

#[tokio::test]
async fn a_leaf_is_refused_before_and_after_its_time() {
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let authority = Authority::new("example.org".parse().unwrap()).unwrap();
    let trust = authority.trust_bundle();

    let expired = authority
        .valid(now - 2 * hour, now - hour)
        .svid("/web")
        .unwrap();
    refused("expired", &trust, expired.credentials(), Reason::Expired).await;
    let early = authority
        .valid(now + hour, now + 2 * hour)
        .svid("/web")
        .unwrap();
    refused("early", &trust, early.credentials(), Reason::NotYetValid).await;
    let good = authority
        .valid(now - hour, now + hour)
        .svid("/web")
        .unwrap();
    let outcome = present_to_server(&trust, good.credentials()).await;
    let not_after = outcome.server.expect("server").peer().unwrap().not_after();
    let distance = (now + hour).duration_since(not_after).unwrap();
    assert!(distance < Duration::from_secs(1), "{distance:?}");
}

#[tokio::test]
async fn another_trust_domain_of_the_same_authority_is_refused() {
    let authority = Authority::new("example.org".parse().unwrap()).unwrap();
    let foreign = authority
        .svid("spiffe://elsewhere.org/web")
        .unwrap()
        .credentials();
    let trust = authority.trust_bundle();

    let reason = Reason::UnknownTrustDomain;
    refused("foreign", &trust, foreign.clone(), reason).await;
    let error = present_to_server(&trust, foreign)
        .await
        .server
        .expect_err("refused");
    // Nobody vouches for what it claims, but the log may tell which domain is missing.
    assert!(error.claimed_peer().is_none());
    assert!(error.to_string().contains("elsewhere.org"), "{error}");
}

#[tokio::test]
async fn a_client_refuses_a_server_that_it_did_not_expect() {
    let ca = Ca::new("root");
    let expected = Expected::Spiffe(vec!["spiffe://example.org/api".parse().unwrap()]);
    let layer = layer(ca.trust(), ca.leaf(|_| {}), expected);
    let acceptor = acceptor(ca.leaf(|_| {}), ca.trust());

    let outcome = handshake(&layer, &acceptor).await;
    let error = outcome.client.expect_err("refused");
    let error = handshake_error(&error);
    assert_eq!(error.reason(), Reason::WrongIdentity);
    assert_eq!(
        error.claimed_peer().unwrap().to_string(),
        "spiffe://example.org/web"
    );
    assert!(
        error.to_string().contains("spiffe://example.org/api"),
        "{error}"
    );
    assert_eq!(
        outcome.server.expect_err("refused").reason(),
        Reason::RejectedByPeer
    );
    assert_eq!(layer.stats().failed(Reason::WrongIdentity), 1);
    assert_eq!(acceptor.stats().failed(Reason::RejectedByPeer), 1);
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    let ca = Ca::new("root");
    let anonymous = MtlsLayer::builder(ca.trust())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let acceptor = acceptor(ca.leaf(|_| {}), ca.trust());

    let outcome = handshake(&anonymous, &acceptor).await;
    assert_eq!(
        outcome.server.expect_err("refused").reason(),
        Reason::NoCertificate
    );
    let (kind, reason) = first_read(&mut outcome.client.expect("done too early to know")).await;
    assert_eq!(kind, std::io::ErrorKind::PermissionDenied);
    assert_eq!(reason, Reason::RejectedByPeer);
}

#[tokio::test]
async fn a_client_without_a_certificate_is_let_in_where_none_is_asked_for() {
    let ca = Ca::new("root");
    let acceptor = Acceptor::builder(ca.leaf(|_| {}))
        .no_client_auth()
        .build()
        .unwrap();
    let layer = layer(ca.trust(), ca.leaf(|_| {}), Expected::TrustDomain);

    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    ping_pong(&mut client, &mut server).await;
    assert!(server.peer().is_none());
    assert!(client.peer().is_some());
}

#[tokio::test]
async fn a_plain_server_is_known_by_its_name() {
    let ca = Ca::new("root");
    let server = ca.leaf(|leaf| {
        leaf.subject_alt_names = vec![
            dns("API.example.org"),
            dns("*.wild.example.org"),
            uri("spiffe://example.org/api"),
        ];
    });
    for (name, seen) in [
        ("api.example.org", "dns:api.example.org"),
        ("a.wild.example.org", "dns:a.wild.example.org"),
    ] {
        let (client, _) = named(&ca, name, server.clone()).await.both();
        let peer = client.peer().unwrap();
        assert_eq!(peer.primary().unwrap().to_string(), seen);
        assert!(peer.spiffe_id().is_none(), "no trust domain vouches for it");
    }
    for name in [
        "web.example.org",
        "wild.example.org",
        "a.b.wild.example.org",
        "example.org",
    ] {
        let outcome = named(&ca, name, server.clone()).await;
        let error = outcome.client.expect_err(name);
        assert_eq!(
            handshake_error(&error).reason(),
            Reason::WrongIdentity,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_plain_client_is_known_by_its_names_if_it_has_any() {
    let ca = Ca::new("root");
    let names = vec![
        dns("Web.example.org"),
        dns("*.example.org"),
        dns("web2.example.org"),
    ];
    let client = ca.leaf(|leaf| leaf.subject_alt_names = names);
    let server = present_to_plain_server(&ca, client)
        .await
        .server
        .expect("server");
    let seen = server
        .peer()
        .unwrap()
        .identities()
        .iter()
        .map(ToString::to_string);
    assert_eq!(
        seen.collect::<Vec<_>>(),
        ["dns:web.example.org", "dns:web2.example.org"]
    );

    let nameless = ca.leaf(|leaf| leaf.subject_alt_names.clear());
    let server = present_to_plain_server(&ca, nameless)
        .await
        .server
        .expect("server");
    assert!(server.peer().unwrap().identities().is_empty());

    let authority = ca.leaf(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let error = present_to_plain_server(&ca, authority)
        .await
        .server
        .expect_err("refused");
    assert_eq!(error.reason(), Reason::BadCertificate);
}

#[tokio::test]
async fn the_same_key_under_a_new_root_certificate_is_still_trusted() {
    let key = KeyPair::generate().unwrap();
    let old = Ca::with_key("root", KeyPair::from_pem(&key.serialize_pem()).unwrap());
    let new = Ca::with_key("root", key);
    present_to_server(&new.trust(), old.leaf(|_| {}))
        .await
        .both();
}

#[tokio::test]
async fn a_bundle_of_many_roots_is_too_long_for_hints_and_still_trusted() {
    // Above 65,535 bytes the list of their names does not fit a handshake.
    let ca = Ca::new("root");
    let others = (0..400).map(|number| Ca::new(&format!("{number:0>200}")).pem());
    let pem = others.chain([ca.pem()]).collect::<String>();
    let trust = TrustBundle::from_pem(pem.as_bytes())
        .unwrap()
        .with_trust_domain("example.org".parse().unwrap());
    let (mut client, mut server) = present_to_server(&trust, ca.leaf(|_| {})).await.both();
    ping_pong(&mut client, &mut server).await;
}

/// Both sides refuse `bad`, for this reason, and the other side learns of it.
async fn refused(name: &str, trust: &TrustBundle, bad: Credentials, reason: Reason) {
    let outcome = present_to_client(trust, bad.clone()).await;
    let error = outcome.client.expect_err(name);
    assert_eq!(handshake_error(&error).reason(), reason, "{name}: {error}");
    let told = outcome.server.expect_err(name).reason();
    assert_eq!(told, Reason::RejectedByPeer, "{name}");

    let outcome = present_to_server(trust, bad).await;
    let error = outcome.server.expect_err(name);
    assert_eq!(error.reason(), reason, "{name}: {error}");
    let (_, told) = first_read(&mut outcome.client.expect(name)).await;
    assert_eq!(told, Reason::RejectedByPeer, "{name}");
}

/// A server with these credentials meets a client that would take anyone of the domain.
async fn present_to_client(trust: &TrustBundle, credentials: Credentials) -> Outcome {
    let acceptor = Acceptor::builder(credentials)
        .no_client_auth()
        .build()
        .unwrap();
    let layer = MtlsLayer::builder(trust.clone())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    handshake(&layer, &acceptor).await
}

/// A client with these credentials meets a server whose own certificate is beyond doubt.
async fn present_to_server(trust: &TrustBundle, credentials: Credentials) -> Outcome {
    let ca = Ca::new("the server's");
    let layer = layer(ca.trust(), credentials, Expected::TrustDomain);
    handshake(&layer, &acceptor(ca.leaf(|_| {}), trust.clone())).await
}

async fn present_to_plain_server(ca: &Ca, credentials: Credentials) -> Outcome {
    present_to_server(&ca.plain_trust(), credentials).await
}

/// A server with these credentials meets a client that expects this name.
async fn named(ca: &Ca, name: &str, credentials: Credentials) -> Outcome {
    let acceptor = Acceptor::builder(credentials)
        .no_client_auth()
        .build()
        .unwrap();
    let layer = MtlsLayer::builder(ca.plain_trust())
        .expect(Expected::ServerName(name.parse().unwrap()))
        .build()
        .unwrap();
    handshake(&layer, &acceptor).await
}
