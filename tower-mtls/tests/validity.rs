//! Open connections whose peer is no longer accepted.

#![cfg(feature = "dev")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io,
    time::{Duration, SystemTime},
};

use support::{handshake, ping_pong};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tower_mtls::{
    Expected, MtlsLayer, Source,
    accept::Acceptor,
    dev::Authority,
    error::{PeerNoLongerValid, Reason},
    source::{Snapshot, Updater},
};

#[tokio::test]
async fn a_withdrawn_root_ends_open_connections_at_once() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one)).unwrap();
    let (acceptor, layer) = sides(&updater.source(), true);
    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    ping_pong(&mut client, &mut server).await;
    let peer = server.peer().unwrap().clone();
    assert!(peer.is_valid());

    // Both sides wait in a read, with nobody to write.
    let client = tokio::spawn(async move { (client.read_u8().await.unwrap_err(), client) });
    let server = tokio::spawn(async move { (server.read_u8().await.unwrap_err(), server) });
    tokio::task::yield_now().await;
    updater.update(snapshot(&other)).unwrap();
    let client = soon(client).await.unwrap();
    let server = soon(server).await.unwrap();
    for (error, mut stream) in [client, server] {
        ended(&error, Reason::UnknownIssuer);
        ended(
            &stream.write_all(b"x").await.unwrap_err(),
            Reason::UnknownIssuer,
        );
        ended(&stream.flush().await.unwrap_err(), Reason::UnknownIssuer);
        let vectored = stream.write_vectored(&[io::IoSlice::new(b"x")]).await;
        ended(&vectored.unwrap_err(), Reason::UnknownIssuer);
    }
    assert!(!peer.is_valid());
    assert_eq!(acceptor.stats().ended(Reason::UnknownIssuer), 1);
    assert_eq!(layer.stats().ended(Reason::UnknownIssuer), 1);
}

#[tokio::test]
async fn a_reader_and_a_writer_in_two_tasks_are_both_woken() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one)).unwrap();
    let (acceptor, layer) = sides(&updater.source(), true);
    let (client, server) = handshake(&layer, &acceptor).await.both();
    let (mut read, mut write) = tokio::io::split(client);
    let reading = tokio::spawn(async move { read.read_u8().await.unwrap_err() });
    // More than the connection holds, and nobody reads it.
    let writing = tokio::spawn(async move {
        loop {
            if let Err(error) = write.write_all(&[0; 1 << 16]).await {
                return error;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!reading.is_finished() && !writing.is_finished());
    updater.update(snapshot(&other)).unwrap();
    ended(&soon(reading).await.unwrap(), Reason::UnknownIssuer);
    ended(&soon(writing).await.unwrap(), Reason::UnknownIssuer);
    drop(server);
}

#[tokio::test]
async fn a_new_certificate_under_the_same_roots_ends_nothing() {
    let authority = authority();
    let updater = Updater::new();
    updater.update(snapshot(&authority)).unwrap();
    let (acceptor, layer) = sides(&updater.source(), true);
    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    for _ in 0..10 {
        updater.update(snapshot(&authority)).unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        ping_pong(&mut client, &mut server).await;
    }
    // Nor does a second root beside the first one.
    let both = [authority.ca_pem(), self::authority().ca_pem()].concat();
    let both = tower_mtls::TrustBundle::from_pem(both.as_bytes()).unwrap();
    let both = both.with_trust_domain("example.org".parse().unwrap());
    let credentials = authority.svid("/api").unwrap().credentials();
    updater.update(Snapshot::new(credentials, both)).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    ping_pong(&mut client, &mut server).await;
    assert!(client.peer().unwrap().is_valid());
}

#[tokio::test]
async fn an_expired_certificate_ends_open_connections() {
    let authority = authority();
    let now = SystemTime::now();
    let short = authority.valid(now - Duration::from_secs(60), now + Duration::from_secs(2));
    // Nothing rotates here: these are fixed credentials.
    let acceptor = Acceptor::builder(authority.svid("/api").unwrap().credentials())
        .require_client(authority.trust_bundle())
        .build()
        .unwrap();
    let layer = MtlsLayer::builder(authority.trust_bundle())
        .credentials(short.svid("/web").unwrap().credentials())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    ping_pong(&mut client, &mut server).await;
    let peer = server.peer().unwrap().clone();
    assert!(peer.is_valid());
    let error = soon(server.read_u8()).await.unwrap_err();
    ended(&error, Reason::Expired);
    assert!(SystemTime::now() > peer.not_after(), "not before its time");
    assert!(!peer.is_valid());
    assert_eq!(acceptor.stats().ended(Reason::Expired), 1);
    // The server's certificate has not expired.
    assert!(client.peer().unwrap().is_valid());
}

#[tokio::test]
async fn connections_may_be_kept_and_then_tell() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one)).unwrap();
    let (acceptor, layer) = sides(&updater.source(), false);
    let (mut client, mut server) = handshake(&layer, &acceptor).await.both();
    let validity = server.validity().unwrap().clone();
    let waiting = tokio::spawn(async move { validity.ended().await });
    updater.update(snapshot(&other)).unwrap();
    assert_eq!(soon(waiting).await.unwrap().reason(), Reason::UnknownIssuer);
    soon(client.validity().unwrap().ended()).await;

    ping_pong(&mut client, &mut server).await;
    let peer = server.peer().unwrap();
    assert!(!peer.is_valid());
    let reason = peer.validity().unwrap().reason().unwrap();
    assert_eq!(reason.reason(), Reason::UnknownIssuer);
}

#[tokio::test]
async fn a_peer_with_many_connections_loses_all_and_others_none() {
    let (one, other) = (authority(), authority());
    let trust = |authorities: &[&Authority]| {
        let pem = authorities.iter().map(|authority| authority.ca_pem());
        tower_mtls::TrustBundle::from_pem(pem.collect::<String>().as_bytes())
            .unwrap()
            .with_trust_domain("example.org".parse().unwrap())
    };
    let own = one.svid("/api").unwrap().credentials();
    let updater = Updater::new();
    updater
        .update(Snapshot::new(own.clone(), trust(&[&one, &other])))
        .unwrap();
    let acceptor = Acceptor::rotating(&updater.source()).build().unwrap();
    let client = |of: &Authority| {
        MtlsLayer::builder(trust(&[&one]))
            .credentials(of.svid("/web").unwrap().credentials())
            .expect(Expected::TrustDomain)
            .build()
            .unwrap()
    };
    let (lost, kept) = (client(&other), client(&one));
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(handshake(&lost, &acceptor).await.both());
    }
    let (mut near, mut far) = handshake(&kept, &acceptor).await.both();

    updater.update(Snapshot::new(own, trust(&[&one]))).unwrap();
    for (_, server) in &mut connections {
        ended(
            &soon(server.read_u8()).await.unwrap_err(),
            Reason::UnknownIssuer,
        );
    }
    ping_pong(&mut near, &mut far).await;
    assert_eq!(acceptor.stats().ended(Reason::UnknownIssuer), 20);
}

#[test]
fn nothing_is_left_running_and_another_runtime_goes_on() {
    let (one, other) = (authority(), authority());
    let updater = Updater::new();
    updater.update(snapshot(&one)).unwrap();
    let source = updater.source();
    let (acceptor, layer) = sides(&source, true);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };

    let first = runtime();
    let kept = first.block_on(async { handshake(&layer, &acceptor).await.both() });
    assert!(first.metrics().num_alive_tasks() > 0);
    drop(first);

    // The tasks have gone with their runtime: the next connection starts new ones.
    let second = runtime();
    second.block_on(async {
        let (mut client, server) = handshake(&layer, &acceptor).await.both();
        updater.update(snapshot(&other)).unwrap();
        ended(
            &soon(client.read_u8()).await.unwrap_err(),
            Reason::UnknownIssuer,
        );
        // Each side looks after its own connections.
        soon(kept.1.validity().unwrap().ended()).await;
        assert!(!kept.1.peer().unwrap().is_valid());
        drop((client, server, kept, acceptor, layer, source, updater));
        while tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
            > 0
        {
            tokio::task::yield_now().await;
        }
    });
}

fn ended(error: &io::Error, reason: Reason) {
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let ended = PeerNoLongerValid::of(error).expect("a PeerNoLongerValid");
    assert_eq!(ended.reason(), reason, "{error}");
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(10), future)
        .await
        .expect("soon")
}

fn authority() -> Authority {
    Authority::new("example.org".parse().unwrap()).unwrap()
}

fn snapshot(authority: &Authority) -> Snapshot {
    let credentials = authority.svid("/api").unwrap().credentials();
    Snapshot::new(credentials, authority.trust_bundle())
}

fn sides(source: &Source, end: bool) -> (Acceptor, MtlsLayer) {
    let layer = MtlsLayer::rotating(source).expect(Expected::TrustDomain);
    let acceptor = Acceptor::rotating(source).end_connections(end);
    (
        acceptor.build().unwrap(),
        layer.end_connections(end).build().unwrap(),
    )
}
