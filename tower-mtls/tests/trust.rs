//! Several trust domains, revocation lists, and what a verified peer tells of itself.

#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use rcgen::{SerialNumber, date_time_ymd};
use support::{acceptor, first_read, handshake, handshake_error, layer, ping_pong};
use support::{
    ca::{Ca, revocation_list, uri},
    in_memory,
};
use tokio::io::duplex;
use tower::{Layer, ServiceExt};
use tower_mtls::{
    Expected, Fingerprint, MtlsLayer, RevocationLists, Trust, UnknownStatus,
    accept::Acceptor,
    dev::Authority,
    error::{CredentialsProblem as Problem, Reason},
};

#[tokio::test]
async fn each_trust_domain_has_roots_of_its_own() {
    let (ours, partner) = (authority("example.org"), authority("partner.example"));
    let both = || {
        let trust = Trust::from(ours.trust_bundle());
        trust.federate(partner.trust_bundle()).unwrap()
    };
    let acceptor = acceptor(ours.svid("/api").unwrap().credentials(), both());
    for (authority, id, seen) in [
        (&ours, "/web", Some("spiffe://example.org/web")),
        (&partner, "/web", Some("spiffe://partner.example/web")),
        // Each of them for the domain of the other.
        (&ours, "spiffe://partner.example/web", None),
        (&partner, "spiffe://example.org/web", None),
    ] {
        let credentials = authority.svid(id).unwrap().credentials();
        let client = layer(ours.trust_bundle(), credentials, Expected::TrustDomain);
        let server = handshake(&client, &acceptor).await.server;
        match (server, seen) {
            (Ok(stream), Some(id)) => {
                let peer = stream.peer().unwrap();
                assert_eq!(peer.to_string(), id);
                let domain = authority.trust_bundle().trust_domain().cloned();
                assert_eq!(peer.trust_domain(), domain.as_ref());
            }
            (Err(error), None) => assert_eq!(error.reason(), Reason::UnknownIssuer, "{error}"),
            (other, _) => panic!("{id}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_says_which_of_the_domains_it_expects() {
    let (ours, partner) = (authority("example.org"), authority("partner.example"));
    let trust = Trust::from(ours.trust_bundle())
        .federate(partner.trust_bundle())
        .unwrap();
    let server = partner.svid("/api").unwrap().credentials();
    let server = Acceptor::builder(server).no_client_auth().build().unwrap();
    let domain = |name: &str| name.parse().unwrap();
    for (expected, good) in [
        (Expected::TrustDomain, false),
        (Expected::TrustDomains(vec![domain("example.org")]), false),
        (
            Expected::TrustDomains(vec![domain("partner.example")]),
            true,
        ),
        (
            Expected::Spiffe(vec!["spiffe://partner.example/api".parse().unwrap()]),
            true,
        ),
        (
            Expected::Spiffe(vec!["spiffe://example.org/api".parse().unwrap()]),
            false,
        ),
    ] {
        let shown = format!("{expected:?}");
        let client = MtlsLayer::builder(trust.clone()).expect(expected);
        let outcome = handshake(&client.build().unwrap(), &server).await.client;
        match outcome {
            Ok(stream) => {
                assert!(good, "{shown}");
                assert_eq!(
                    stream.peer().unwrap().to_string(),
                    "spiffe://partner.example/api"
                );
            }
            Err(error) => {
                assert!(!good, "{shown}");
                assert_eq!(handshake_error(&error).reason(), Reason::WrongIdentity);
            }
        }
    }
}

#[test]
fn bundles_that_do_not_go_together_are_an_error() {
    let (ours, partner) = (authority("example.org"), authority("partner.example"));
    let spiffe = || Trust::from(ours.trust_bundle());
    let plain = || Trust::from(ours.plain_trust_bundle());
    for (built, value) in [
        (spiffe().federate(partner.plain_trust_bundle()), "without"),
        (spiffe().federate(ours.trust_bundle()), "example.org"),
        (plain().federate(partner.trust_bundle()), "partner.example"),
    ] {
        let error = built.unwrap_err();
        assert_eq!(error.field(), "federate");
        assert!(error.value().contains(value), "{error}");
    }
    assert_eq!(plain().trust_domains().count(), 0);
    assert_eq!(spiffe().trust_domain().unwrap().as_str(), "example.org");
}

#[tokio::test]
async fn clients_may_be_let_in_without_a_certificate_but_not_with_a_bad_one() {
    let (ours, other) = (Ca::new("root"), Ca::new("other"));
    let acceptor = Acceptor::builder(ours.leaf(|_| {}))
        .optional_client(ours.trust())
        .build()
        .unwrap();

    let known = layer(ours.trust(), ours.leaf(|_| {}), Expected::TrustDomain);
    let (mut client, mut server) = handshake(&known, &acceptor).await.both();
    ping_pong(&mut client, &mut server).await;
    assert_eq!(
        server.peer().unwrap().to_string(),
        "spiffe://example.org/web"
    );

    let anonymous = MtlsLayer::builder(ours.trust()).expect(Expected::TrustDomain);
    let (mut client, mut server) = handshake(&anonymous.build().unwrap(), &acceptor)
        .await
        .both();
    ping_pong(&mut client, &mut server).await;
    assert!(server.peer().is_none());

    let strange = layer(ours.trust(), other.leaf(|_| {}), Expected::TrustDomain);
    let outcome = handshake(&strange, &acceptor).await;
    assert_eq!(outcome.server.unwrap_err().reason(), Reason::UnknownIssuer);
    let (_, told) = first_read(&mut outcome.client.unwrap()).await;
    assert_eq!(told, Reason::RejectedByPeer);
}

#[tokio::test]
async fn a_peer_tells_its_fingerprints_and_when_its_path_ends() {
    let root = Ca::new("root");
    let hour_of = |year: i32| (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    let intermediate = root.intermediate(|ca| (ca.not_before, ca.not_after) = hour_of(2040));
    let (leaf, key) = intermediate.leaf_pem(|leaf| {
        (leaf.not_before, leaf.not_after) = hour_of(2050);
        leaf.subject_alt_names = vec![uri("spiffe://example.org/web")];
    });
    let chain = leaf.clone() + &intermediate.pem();
    let credentials = tower_mtls::Credentials::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let client = layer(root.trust(), credentials, Expected::TrustDomain);
    let (_, server) = handshake(&client, &acceptor(root.leaf(|_| {}), root.trust()))
        .await
        .both();
    let peer = server.peer().unwrap();

    let of_leaf = openssl(
        &["x509", "-noout", "-fingerprint", "-sha256"],
        leaf.as_bytes(),
    );
    let of_leaf = of_leaf.split_once('=').unwrap().1.replace(':', "");
    assert_eq!(
        peer.fingerprint().to_string(),
        of_leaf.trim().to_lowercase()
    );
    assert_eq!(
        Fingerprint::from(*peer.fingerprint().as_bytes()),
        peer.fingerprint()
    );
    let der = [leaf.as_str(), &intermediate.pem()].map(|pem| {
        let file = folder("fingerprint").join("certificate.der");
        let file = file.to_str().unwrap();
        openssl(&["x509", "-outform", "der", "-out", file], pem.as_bytes());
        fs::read(file).unwrap()
    });
    let file = folder("fingerprint").join("chain.der");
    fs::write(&file, der.concat()).unwrap();
    let of_chain = openssl(&["dgst", "-sha256", "-r", file.to_str().unwrap()], b"");
    assert!(
        of_chain.starts_with(&peer.chain_fingerprint().to_string()),
        "{of_chain}"
    );

    let end_of_intermediate = UNIX_EPOCH + Duration::from_secs(2_208_988_800);
    assert_eq!(
        peer.not_after(),
        end_of_intermediate,
        "2040, before the leaf's"
    );
}

#[tokio::test]
async fn revocation_lists_are_read_from_pem_der_and_files() {
    let ca = Ca::new("root");
    let revoked = revocation_list(&ca, &[1]);
    let folder = folder("lists");
    let (pem, der) = (folder.join("crl.pem"), folder.join("crl.der"));
    fs::write(&pem, revoked.pem().unwrap()).unwrap();
    fs::write(&der, revoked.der()).unwrap();
    let other = revocation_list(&Ca::new("other"), &[]);
    let several = [revoked.pem().unwrap(), other.pem().unwrap()].concat();
    for (lists, count) in [
        (RevocationLists::from_pem(several.as_bytes()).unwrap(), 2),
        (RevocationLists::from_der(revoked.der()).unwrap(), 1),
        (RevocationLists::from_file(&pem).unwrap(), 1),
        (RevocationLists::from_file(&der).unwrap(), 1),
        (
            RevocationLists::from_der(other.der())
                .unwrap()
                .and(&RevocationLists::from_file(&der).unwrap()),
            2,
        ),
    ] {
        assert_eq!(lists.len(), count);
        let next = date_time_ymd(2040, 1, 1).unix_timestamp().unsigned_abs();
        assert_eq!(
            lists.next_update(),
            Some(UNIX_EPOCH + Duration::from_secs(next))
        );
        let trust = Trust::from(ca.trust()).with_revocation_lists(lists);
        assert!(trust.revocation_lists().is_some());
        for (serial, reason) in [(1, Some(Reason::Revoked)), (2, None)] {
            let leaf = ca.leaf(|leaf| leaf.serial_number = Some(SerialNumber::from(serial)));
            let client = layer(ca.trust(), leaf, Expected::TrustDomain);
            let server = acceptor(ca.leaf(|_| {}), trust.clone());
            let outcome = handshake(&client, &server).await.server;
            assert_eq!(outcome.err().map(|error| error.reason()), reason);
            assert_eq!(
                server.stats().failed(Reason::Revoked),
                u64::from(reason.is_some())
            );
        }
    }
}

#[test]
fn what_is_no_revocation_list_is_an_error() {
    let ca = Ca::new("root");
    let list = revocation_list(&ca, &[]).pem().unwrap();
    let cut = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    for (text, problem) in [
        ("", Problem::NoRevocationList),
        (&*ca.pem(), Problem::NoRevocationList),
        (&*(list.clone() + cut), Problem::MalformedRevocationList),
        (&list[..list.len() - 40], Problem::MalformedPem),
    ] {
        let error = RevocationLists::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(error.problem(), problem);
    }
    let error = RevocationLists::from_der(b"no list").unwrap_err();
    assert_eq!(error.problem(), Problem::MalformedRevocationList);
    let missing = folder("none").join("missing.pem");
    let error = RevocationLists::from_file(&missing).unwrap_err();
    assert_eq!(error.problem(), Problem::Unreadable);
    assert_eq!(error.path(), Some(missing.as_path()));
}

#[tokio::test]
async fn the_order_of_settings_does_not_matter() {
    let ca = Ca::new("root");
    let lists = RevocationLists::from_der(revocation_list(&Ca::new("other"), &[]).der()).unwrap();
    let trust = Trust::from(ca.trust());
    let accepting = [
        trust
            .clone()
            .unknown_status(UnknownStatus::Accept)
            .with_revocation_lists(lists.clone()),
        trust
            .clone()
            .with_revocation_lists(lists.clone())
            .unknown_status(UnknownStatus::Accept),
    ];
    let strict = trust.with_revocation_lists(lists);
    for (trust, reason) in [
        (accepting[0].clone(), None),
        (accepting[1].clone(), None),
        (strict, Some(Reason::RevocationUnknown)),
    ] {
        let client = layer(ca.trust(), ca.leaf(|_| {}), Expected::TrustDomain);
        let outcome = handshake(&client, &acceptor(ca.leaf(|_| {}), trust)).await;
        let refused = outcome.server.err().map(|error| error.reason());
        assert_eq!(refused, reason);
    }
}

/// The alert does not fit into the connection at once, so the handshake goes on after its verdict.
#[tokio::test]
async fn a_verdict_outlives_a_slow_connection() {
    let (ours, other) = (Ca::new("root"), Ca::new("other"));
    let acceptor = acceptor(ours.leaf(|_| {}), ours.trust());
    for (credentials, reason) in [
        (other.leaf(|_| {}), Some(Reason::UnknownIssuer)),
        (ours.leaf(|_| {}), None),
    ] {
        let layer = layer(ours.trust(), credentials, Expected::TrustDomain);
        let (near, far) = duplex(8);
        let client = async {
            let mut stream = support::connect(&layer, near).await.unwrap();
            // It has to read, or else the alert never leaves.
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
        };
        let server = async { support::accept(&acceptor, far).await.map(drop) };
        let ((), outcome) = tokio::join!(client, server);
        assert_eq!(outcome.err().map(|error| error.reason()), reason);
    }
}

/// A handshake inside of another one: each has its own verdict.
#[tokio::test]
async fn a_connection_inside_of_a_connection_has_a_peer_of_its_own() {
    let ca = Ca::new("root");
    let named = |name: &str| {
        let id = format!("spiffe://example.org/{name}");
        ca.leaf(|leaf| leaf.subject_alt_names = vec![uri(&id)])
    };
    let client = |name: &str| layer(ca.trust(), named(name), Expected::TrustDomain);
    let server = |name: &str| acceptor(named(name), ca.trust());
    let (near, far) = duplex(1 << 16);
    let (near, far) = tokio::join!(
        client("a").layer(in_memory()).oneshot(near),
        server("b").oneshot(far)
    );
    let (near, far) = (near.unwrap(), far.unwrap());
    let inner = tower::service_fn(|io| std::future::ready(Ok::<_, std::io::Error>(io)));
    let (inner_client, inner_server) = tokio::join!(
        client("c").layer(inner).oneshot(near),
        server("d").oneshot(far)
    );
    let (inner_client, inner_server) = (inner_client.unwrap(), inner_server.unwrap());
    let peers = [
        inner_client.peer(),
        inner_client.get_ref().peer(),
        inner_server.peer(),
        inner_server.get_ref().peer(),
    ];
    let paths = peers.map(|peer| peer.unwrap().spiffe_id().unwrap().path().to_owned());
    assert_eq!(paths, ["/d", "/b", "/c", "/a"]);
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let file = folder("openssl").join("input");
    fs::write(&file, input).unwrap();
    let output = Command::new("openssl")
        .args(arguments)
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .expect("the openssl command is needed: apt-get install openssl");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn authority(domain: &str) -> Authority {
    Authority::new(domain.parse().unwrap()).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("trust")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
