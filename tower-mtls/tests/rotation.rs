//! Credentials and trust that change while connections are served.

#![cfg(feature = "dev")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use support::{accept, connect, handshake, handshake_error};
use tokio::{io::duplex, time::timeout};
use tower_mtls::{
    Expected, MtlsLayer, Source,
    accept::Acceptor,
    dev::Authority,
    error::{Failure, Reason, SourceError},
    source::{Event, Snapshot, Updater},
};

#[tokio::test]
async fn the_next_handshake_sees_the_new_snapshot() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one, "/api")).unwrap();
    let source = updater.source();
    let (acceptor, layer) = sides(&source);

    let (client, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(id(&client), "spiffe://example.org/api");
    assert_eq!(id(&server), "spiffe://example.org/api");

    updater.update(snapshot(&other, "/new")).unwrap();
    let (client, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(id(&client), "spiffe://example.org/new");
    assert_eq!(id(&server), "spiffe://example.org/new");
    assert_eq!(source.stats().rotations(), 2);
}

#[tokio::test]
async fn without_a_snapshot_every_handshake_fails() {
    let updater = Updater::new();
    let (acceptor, layer) = sides(&updater.source());
    let outcome = handshake(&layer, &acceptor).await;
    let error = outcome.client.expect_err("no credentials");
    assert_eq!(handshake_error(&error).reason(), Reason::NoCredentials);
    let error = outcome.server.expect_err("no credentials");
    assert_eq!(error.reason(), Reason::NoCredentials);
    assert_eq!(acceptor.stats().failed(Reason::NoCredentials), 1);

    // The reason for the lack is told too.
    updater.fail(&SourceError::new(Failure::Unavailable, "the agent is gone"));
    let error = handshake(&layer, &acceptor).await.server.expect_err("none");
    assert!(error.to_string().contains("the agent is gone"), "{error}");

    updater.update(snapshot(&authority(), "/api")).unwrap();
    handshake(&layer, &acceptor).await.both();
}

#[tokio::test]
async fn a_snapshot_without_a_part_that_is_needed_fails_closed() {
    let authority = authority();
    let updater = Updater::new();
    let (acceptor, layer) = sides(&updater.source());
    let credentials = authority.svid("/api").unwrap().credentials();
    for part in [
        Snapshot::without_credentials(authority.trust_bundle()),
        Snapshot::without_trust(credentials),
    ] {
        updater.update(part).unwrap();
        let outcome = handshake(&layer, &acceptor).await;
        let error = outcome.client.expect_err("a part is missing");
        assert_eq!(handshake_error(&error).reason(), Reason::NoCredentials);
        let error = outcome.server.expect_err("a part is missing");
        assert_eq!(error.reason(), Reason::NoCredentials);
        // What can be known when a side is built is an error there.
        assert!(Acceptor::rotating(&updater.source()).build().is_err());
    }
}

#[tokio::test]
async fn a_handshake_in_progress_ends_as_it_began() {
    let (one, other) = (authority(), authority());
    let (server_updater, client_updater) = (Updater::new(), Updater::new());
    server_updater.update(snapshot(&one, "/api")).unwrap();
    client_updater.update(snapshot(&one, "/web")).unwrap();
    let (acceptor, _) = sides(&server_updater.source());
    let (_, layer) = sides(&client_updater.source());

    let (near, far) = duplex(1 << 16);
    let (mut client, mut server) = (
        tokio_test::task::spawn(connect(&layer, near)),
        tokio_test::task::spawn(accept(&acceptor, far)),
    );
    // The client's first words are on their way, and the server has begun to answer.
    assert!(client.poll().is_pending());
    assert!(server.poll().is_pending());
    server_updater.update(snapshot(&other, "/api")).unwrap();
    client_updater.update(snapshot(&other, "/web")).unwrap();
    let (client, server) = tokio::join!(client, server);
    assert_eq!(id(&client.unwrap()), "spiffe://example.org/api");
    let server = server.unwrap();
    assert_eq!(id(&server), "spiffe://example.org/web");

    // And then the connection ends, because nobody trusts its peer any more.
    let ended = timeout(Duration::from_secs(5), server.validity().unwrap().ended());
    assert_eq!(ended.await.unwrap().reason(), Reason::UnknownIssuer);
}

#[tokio::test]
async fn an_expired_certificate_is_no_update() {
    let authority = authority();
    let updater = Updater::new();
    updater.update(snapshot(&authority, "/api")).unwrap();
    let source = updater.source();
    let before = source.stats().not_after();

    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let expired = authority.valid(now - 2 * hour, now - hour);
    for _ in 0..3 {
        let error = updater.update(snapshot(&expired, "/late")).unwrap_err();
        assert_eq!(error.failure(), Failure::Expired);
    }
    assert_eq!(source.stats().failed(Failure::Expired), 1, "one that lasts");
    assert_eq!(source.failure().unwrap().failure(), Failure::Expired);
    assert_eq!(source.stats().not_after(), before);
    let (acceptor, layer) = sides(&source);
    let (client, _) = handshake(&layer, &acceptor).await.both();
    assert_eq!(id(&client), "spiffe://example.org/api");

    updater.update(snapshot(&authority, "/api")).unwrap();
    assert!(source.failure().is_none());
}

#[tokio::test]
async fn the_expiry_can_be_watched() {
    let authority = authority();
    let updater = Updater::new();
    let source = updater.source();
    let mut expiry = source.expiry();
    assert_eq!(*expiry.borrow_and_update(), None);

    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let until = authority.valid(SystemTime::UNIX_EPOCH, end);
    updater.update(snapshot(&until, "/api")).unwrap();
    expiry.changed().await.unwrap();
    assert_eq!(*expiry.borrow_and_update(), Some(end));
    updater.update(snapshot(&until, "/api")).unwrap();
    assert!(!expiry.has_changed().unwrap(), "it is the same");
    source.ready().await;
}

#[tokio::test]
async fn the_observer_is_told_when_a_third_of_the_life_is_left() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let updater = Updater::with_observer(move |event: &Event<'_>| {
        let text = format!("{event:?}");
        let name = text.split(' ').next().unwrap().to_owned();
        seen.lock().unwrap().push((name, SystemTime::now()));
    });
    let _source = updater.source();
    let names = || {
        told.lock()
            .unwrap()
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };

    let (now, second) = (SystemTime::now(), Duration::from_secs(1));
    let short = authority().valid(now - 3 * second, now + 3 * second);
    updater.update(snapshot(&short, "/api")).unwrap();
    timeout(Duration::from_secs(20), async {
        while names().len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(names(), ["Rotated", "ExpiresSoon", "Expired"]);
    // Certificates tell whole seconds.
    let at = |index: usize| told.lock().unwrap()[index].1;
    assert!(
        at(1) >= now && at(1) < now + 3 * second,
        "with two of six seconds left"
    );
    assert!(at(2) >= now + 2 * second);

    // A new certificate is watched anew.
    let old = authority().valid(now - 100 * second, now + 30 * second);
    updater.update(snapshot(&old, "/api")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(names()[3..], ["Rotated", "ExpiresSoon"]);
}

#[tokio::test]
async fn a_source_of_one_side_leaves_the_other_fixed() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one, "/api")).unwrap();
    let source = updater.source();
    let acceptor = Acceptor::rotating(&source)
        .require_client(other.trust_bundle())
        .build()
        .unwrap();
    let layer = MtlsLayer::rotating(&source)
        .credentials(other.svid("/web").unwrap().credentials())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let (_, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(id(&server), "spiffe://example.org/web");

    assert_eq!(layer.source().stats(), source.stats());
    let fixed = Acceptor::builder(one.svid("/api").unwrap().credentials());
    let fixed = fixed.no_client_auth().build().unwrap();
    assert!(fixed.source().stats().not_after() > Some(SystemTime::now()));

    let anyone = Acceptor::rotating(&source)
        .no_client_auth()
        .build()
        .unwrap();
    let anonymous = MtlsLayer::rotating(&source)
        .anonymous()
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let (_, server) = handshake(&anonymous, &anyone).await.both();
    assert!(server.peer().is_none() && server.validity().is_none());
}

#[tokio::test]
async fn an_updater_knows_when_nobody_listens_any_more() {
    let updater = Updater::new();
    updater.update(snapshot(&authority(), "/api")).unwrap();
    let (acceptor, layer) = sides(&updater.source());
    let (client, server) = handshake(&layer, &acceptor).await.both();
    let mut closed = tokio_test::task::spawn(updater.closed());
    for part in [
        Box::new(acceptor) as Box<dyn std::any::Any>,
        Box::new(layer),
        Box::new(client),
    ] {
        assert!(closed.poll().is_pending());
        drop(part);
    }
    assert!(closed.poll().is_pending());
    // The last connection, whose peer may still have to be verified again.
    drop(server);
    timeout(Duration::from_secs(5), closed).await.unwrap();
}

fn authority() -> Authority {
    Authority::new("example.org".parse().unwrap()).unwrap()
}

fn snapshot(authority: &Authority, path: &str) -> Snapshot {
    let credentials = authority.svid(path).unwrap().credentials();
    Snapshot::new(credentials, authority.trust_bundle())
}

fn sides(source: &Source) -> (Acceptor, MtlsLayer) {
    let layer = MtlsLayer::rotating(source).expect(Expected::TrustDomain);
    (
        Acceptor::rotating(source).build().unwrap(),
        layer.build().unwrap(),
    )
}

fn id(stream: &support::Stream) -> String {
    stream.peer().unwrap().to_string()
}
