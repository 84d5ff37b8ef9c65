//! Credentials from an agent by the SPIFFE Workload API.
//!
//! The agent is built for these tests; that it speaks the protocol is shown by a client which is not ours.

#![cfg(all(feature = "dev", feature = "files", feature = "spiffe"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;
use prost::Message;
use support::{
    agent::{self, Agent, X509SvidResponse, answer, crl, der, svid, with},
    ca::Ca,
    folder::{Told, authority, id, in_force, until},
    handshake,
};
use tokio::time::{sleep, timeout};
use tonic::Status;
use tower_mtls::{
    Expected, MtlsLayer, Source,
    accept::Acceptor,
    dev::Authority,
    error::{Failure, Reason},
    source::{Snapshot, WorkloadApi},
};

#[tokio::test]
async fn a_client_that_is_not_ours_understands_the_agent_of_these_tests() {
    let (here, partner) = (authority(), partner());
    let socket = Socket::new();
    let _agent = Agent::start(&socket.path, Ok(federated(&here, "/api", &partner)));

    let address = format!("unix:{}", socket.path.display());
    let client = spiffe::WorkloadApiClient::connect_to(&address)
        .await
        .unwrap();
    let context = client.fetch_x509_context().await.unwrap();
    let theirs = context.default_svid().unwrap();
    assert_eq!(theirs.spiffe_id().to_string(), "spiffe://example.org/api");
    assert_eq!(context.bundle_set().len(), 2);

    // And ours has understood the same.
    let source = socket.start().await;
    let snapshot = source.snapshot().unwrap();
    let ours = snapshot.credentials().unwrap();
    assert_eq!(
        ours.spiffe_id().unwrap().as_str(),
        "spiffe://example.org/api"
    );
    assert_eq!(snapshot.trust().unwrap().trust_domains().count(), 2);
}

#[tokio::test]
async fn the_agents_snapshots_are_in_force_from_the_next_handshake_on() {
    let (one, other) = (authority(), authority());
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(svid(&one, "/one")));
    let source = socket.start().await;
    assert_eq!(id(&source).await, "spiffe://example.org/one");
    for (authority, path) in [(&other, "/two"), (&one, "/three")] {
        agent.say(Ok(svid(authority, path)));
        until(|| in_force(&source, path)).await;
        assert_eq!(id(&source).await, format!("spiffe://example.org{path}"));
    }
    assert_eq!(source.stats().rotations(), 3);
    assert_eq!(source.stats().failed_total(), 0);
}

#[tokio::test]
async fn federated_peers_are_verified_by_their_own_bundle() {
    let (here, partner) = (authority(), partner());
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(federated(&here, "/api", &partner)));
    let source = socket.start().await;
    let acceptor = Acceptor::rotating(&source).build().unwrap();
    let layer = MtlsLayer::builder(here.trust_bundle())
        .credentials(partner.svid("/web").unwrap().credentials())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let (_client, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(
        server.peer().unwrap().to_string(),
        "spiffe://partner.example/web"
    );

    // The federation ends, and with it the connection.
    agent.say(Ok(svid(&here, "/api")));
    let ended = timeout(LONG, server.validity().unwrap().ended())
        .await
        .unwrap();
    assert_eq!(ended.reason(), Reason::UnknownTrustDomain);
}

#[tokio::test]
async fn the_agents_revocation_lists_are_heeded() {
    let ca = Ca::new("root");
    let pem = |serial: u64| ca.leaf_pem(|leaf| leaf.serial_number = Some(serial.into()));
    let (chain, key) = pem(1);
    let message = |revoked: &[u64]| X509SvidResponse {
        crl: vec![crl(&ca.revoke(revoked))],
        ..answer("spiffe://example.org/web", &chain, &key, &ca.pem())
    };
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(message(&[])));
    let source = socket.start().await;
    let acceptor = Acceptor::rotating(&source).build().unwrap();
    let (chain, key) = pem(2);
    let own = tower_mtls::Credentials::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    let layer = MtlsLayer::builder(ca.trust()).credentials(own);
    let layer = layer.expect(Expected::TrustDomain).build().unwrap();
    let (_client, server) = handshake(&layer, &acceptor).await.both();
    agent.say(Ok(message(&[2])));
    let ended = timeout(LONG, server.validity().unwrap().ended())
        .await
        .unwrap();
    assert_eq!(ended.reason(), Reason::Revoked);
}

#[tokio::test]
async fn while_the_agent_is_gone_the_last_snapshot_stays() {
    let authority = authority();
    let told = Told::default();
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(svid(&authority, "/one")));
    let api = WorkloadApi::builder()
        .socket(&socket.path)
        .observer(told.observer());
    let source = api.build().unwrap().start();
    timeout(LONG, source.ready()).await.unwrap();
    drop(agent);
    until(|| source.failure().is_some()).await;
    // Long enough for some more calls.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(source.failure().unwrap().failure(), Failure::Unavailable);
    assert_eq!(id(&source).await, "spiffe://example.org/one");

    let _agent = Agent::start(&socket.path, Ok(svid(&authority, "/two")));
    until(|| in_force(&source, "/two") && source.failure().is_none()).await;
    let told = told.all();
    assert_eq!(told.first(), Some(&"rotated"));
    assert_eq!(told[told.len() - 2..], ["rotated", "recovered"]);
    // The end of the stream, and then the silent socket: each is told once.
    assert!(
        told.iter().filter(|what| **what == "failed").count() <= 2,
        "{told:?}"
    );
}

#[tokio::test]
async fn a_workload_that_the_agent_does_not_know_gets_nothing_until_it_does() {
    let socket = Socket::new();
    let denied = Status::permission_denied("no identity issued");
    let agent = Agent::start(&socket.path, Err(denied));
    let source = WorkloadApi::builder()
        .socket(&socket.path)
        .build()
        .unwrap()
        .start();
    let (acceptor, layer) = sides(&source);
    until(|| source.failure().is_some()).await;
    let refused = handshake(&layer, &acceptor).await.server.unwrap_err();
    assert_eq!(refused.reason(), Reason::NoCredentials);
    assert!(
        refused.to_string().contains("no identity issued"),
        "{refused}"
    );
    assert_eq!(source.stats().failed(Failure::Refused), 1);

    agent.say(Ok(svid(&authority(), "/late")));
    timeout(LONG, source.ready()).await.unwrap();
    handshake(&layer, &acceptor).await.both();
}

#[tokio::test]
async fn a_bad_answer_changes_nothing() {
    let authority = authority();
    let good = || svid(&authority, "/good");
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let expired = authority
        .valid(now - 2 * hour, now - hour)
        .svid("/late")
        .unwrap();
    let change = |change: &dyn Fn(&mut agent::X509Svid)| {
        let mut message = good();
        change(&mut message.svids[0]);
        message
    };
    let federate = |name: &str, bundle: Vec<u8>| X509SvidResponse {
        federated_bundles: [(name.to_owned(), bundle)].into(),
        ..good()
    };
    let root = || der(&authority.ca_pem());
    let cases = [
        (X509SvidResponse::default(), Failure::Refused),
        (with(&expired, &authority), Failure::Expired),
        (
            change(&|svid| svid.x509_svid.truncate(100)),
            Failure::Malformed,
        ),
        (change(&|svid| svid.x509_svid.clear()), Failure::Malformed),
        (
            change(&|svid| svid.x509_svid_key.truncate(9)),
            Failure::UnusableKey,
        ),
        (
            change(&|svid| svid.x509_svid_key = good().svids.remove(0).x509_svid_key),
            Failure::KeyMismatch,
        ),
        (change(&|svid| svid.bundle.clear()), Failure::Malformed),
        (
            change(&|svid| svid.bundle = good().svids.remove(0).x509_svid),
            Failure::Malformed,
        ),
        (
            change(&|svid| svid.spiffe_id = "spiffe://example.org/other".into()),
            Failure::Malformed,
        ),
        (
            change(&|svid| svid.spiffe_id = "example.org/good".into()),
            Failure::Malformed,
        ),
        (federate("spiffe://Not A Name", root()), Failure::Malformed),
        (federate("spiffe://example.org", root()), Failure::Malformed),
        (
            federate("spiffe://partner.example", vec![0x30, 9]),
            Failure::Malformed,
        ),
        (
            X509SvidResponse {
                crl: vec![vec![0x30, 0]],
                ..good()
            },
            Failure::Malformed,
        ),
    ];
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(svid(&authority, "/one")));
    let source = socket.start().await;
    for (index, (message, failure)) in cases.into_iter().enumerate() {
        agent.say(Ok(message));
        until(|| source.failure().is_some()).await;
        let error = source.failure().unwrap();
        assert_eq!(error.failure(), failure, "case {index}: {error}");
        assert!(in_force(&source, "/one"), "case {index}");
        agent.say(Ok(svid(&authority, "/one")));
        until(|| source.failure().is_none()).await;
    }
}

#[tokio::test]
async fn one_of_several_svids_is_chosen() {
    let authority = authority();
    let mut message = svid(&authority, "/one");
    message.svids.extend(svid(&authority, "/two").svids);
    message.svids[1].hint = "internal".into();
    let socket = Socket::new();
    let _agent = Agent::start(&socket.path, Ok(message));
    let api = || WorkloadApi::builder().socket(&socket.path);
    let two = "spiffe://example.org/two".parse().unwrap();
    for (api, path) in [
        (api(), "/one"),
        (api().hint("internal"), "/two"),
        (api().spiffe_id(two), "/two"),
    ] {
        let source = api.build().unwrap().start();
        timeout(LONG, source.ready()).await.unwrap();
        assert!(in_force(&source, path));
    }
    let source = api().hint("nobody").build().unwrap().start();
    until(|| source.failure().is_some()).await;
    assert_eq!(source.failure().unwrap().failure(), Failure::Refused);
}

#[tokio::test]
async fn the_stream_ends_with_the_last_handle() {
    let socket = Socket::new();
    let agent = Agent::start(&socket.path, Ok(svid(&authority(), "/one")));
    let source = socket.start().await;
    let other = source.clone();
    until(|| agent.listeners() == 2).await;
    drop(source);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(
        agent.listeners(),
        2,
        "one for the connection, one for its stream"
    );
    drop(other);
    until(|| agent.listeners() == 0).await;
}

#[tokio::test]
async fn no_byte_of_a_key_is_shown() {
    let authority = authority();
    let mut message = svid(&authority, "/one");
    let key = message.svids[0].x509_svid_key.clone();
    // The key where others belong, and a key that is cut off.
    let mut broken = vec![
        message.clone(),
        message.clone(),
        message.clone(),
        message.clone(),
    ];
    broken[0].svids[0].x509_svid = key.clone();
    broken[1].svids[0].bundle = key.clone();
    broken[2].svids[0].x509_svid_key.pop();
    broken[3].crl.push(key.clone());
    let mut shown = format!(
        "{:?}",
        Snapshot::from_workload_api(&message.encode_to_vec()).unwrap()
    );
    for message in broken {
        let error = Snapshot::from_workload_api(&message.encode_to_vec()).unwrap_err();
        let mut next = Some(&error as &dyn std::error::Error);
        while let Some(error) = next {
            shown += &format!("{error} {error:?} ");
            next = error.source();
        }
    }
    for part in key.windows(6) {
        let bytes = format!("{part:?}");
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
    message.svids.clear();
    assert!(Snapshot::from_workload_api(&message.encode_to_vec()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_answers_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        thread_local!(static GOOD: Vec<u8> = federated(&authority(), "/one", &partner()).encode_to_vec());
        GOOD.with(|good| {
            let mut answer = good.clone();
            answer[at.index(good.len())] = byte;
            let _ = Snapshot::from_workload_api(&answer);
            let _ = Snapshot::from_workload_api(&good[..cut.index(good.len())]);
        });
    }

    #[test]
    fn arbitrary_answers_never_panic(answer in any::<Vec<u8>>()) {
        let _ = Snapshot::from_workload_api(&answer);
    }
}

struct Socket {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Socket {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("agent.sock"),
            _folder: folder,
        }
    }

    async fn start(&self) -> Source {
        let source = WorkloadApi::builder()
            .socket(&self.path)
            .build()
            .unwrap()
            .start();
        let ready = timeout(LONG, source.ready()).await;
        assert!(ready.is_ok(), "{:?}", source.failure());
        source
    }
}

fn partner() -> Authority {
    Authority::new("partner.example".parse().unwrap()).unwrap()
}

fn federated(authority: &Authority, path: &str, partner: &Authority) -> X509SvidResponse {
    X509SvidResponse {
        federated_bundles: [(
            "spiffe://partner.example".to_owned(),
            der(&partner.ca_pem()),
        )]
        .into(),
        ..svid(authority, path)
    }
}

fn sides(source: &Source) -> (Acceptor, MtlsLayer) {
    let layer = MtlsLayer::rotating(source).expect(Expected::TrustDomain);
    (
        Acceptor::rotating(source).build().unwrap(),
        layer.build().unwrap(),
    )
}

const LONG: Duration = Duration::from_secs(20);
