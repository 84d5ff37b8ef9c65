//! Credentials and trust from files that change.

#![cfg(all(feature = "dev", feature = "files"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, process::Command};

use support::{
    ca::Ca,
    folder::{
        BUNDLE, CHAIN, DAY, FAST, Folder, KEY, LISTS, LONG, Volume, authority, id, in_force,
        rotated, until, watchers,
    },
    handshake, ping_pong,
};
use tokio::time::timeout;
use tower_mtls::{
    Expected, MtlsLayer,
    accept::Acceptor,
    dev::Authority,
    error::{Failure, Reason},
};

#[tokio::test]
async fn a_change_is_seen_by_events() {
    let folder = Folder::new();
    let source = folder.files().interval(DAY).build().unwrap();
    let source = source.load().await.unwrap();
    assert_eq!(id(&source).await, "spiffe://example.org/one");
    for _ in 0..3 {
        folder.write(&folder.authority, "/two");
        rotated(&source).await;
        assert_eq!(id(&source).await, "spiffe://example.org/two");
        // Renamed onto the old files, as careful programs do it.
        folder.write_beside(&folder.authority, "/one");
        rotated(&source).await;
        assert_eq!(id(&source).await, "spiffe://example.org/one");
    }
    assert_eq!(source.stats().failed_total(), 0);
}

#[tokio::test]
async fn a_change_is_seen_without_events() {
    let folder = Folder::new();
    let source = folder.files().polls_only().interval(FAST).build().unwrap();
    let source = source.load().await.unwrap();
    folder.write(&folder.authority, "/two");
    rotated(&source).await;
    assert_eq!(id(&source).await, "spiffe://example.org/two");
}

#[tokio::test]
async fn a_start_that_is_not_async_has_the_files_at_once_and_watches_them() {
    let folder = Folder::new();
    let files = folder.files().interval(DAY).build().unwrap();
    let source = files.load_blocking().unwrap();
    assert!(in_force(&source, "/one"));
    folder.write(&folder.authority, "/two");
    rotated(&source).await;
    assert_eq!(id(&source).await, "spiffe://example.org/two");

    fs::remove_file(folder.path.join(KEY)).unwrap();
    let error = files.load_blocking().unwrap_err();
    assert_eq!(error.failure(), Failure::Unreadable, "{error}");
}

#[tokio::test]
async fn a_folder_that_is_replaced_is_watched_again() {
    let folder = Folder::new();
    let source = folder.files().interval(FAST).build().unwrap();
    let source = source.load().await.unwrap();
    for path in ["/two", "/three"] {
        let away = folder.path.with_extension("away");
        fs::rename(&folder.path, &away).unwrap();
        fs::create_dir(&folder.path).unwrap();
        folder.write(&folder.authority, path);
        until(|| in_force(&source, path)).await;
        fs::remove_dir_all(&away).unwrap();
    }
    folder.write(&folder.authority, "/four");
    until(|| in_force(&source, "/four")).await;
}

#[tokio::test]
async fn kubernetes_swaps_all_files_at_once() {
    let (one, other) = (authority(), authority());
    let volume = Volume::new();
    volume.swap(&one, "/one");
    let folder = &volume.0;
    let source = folder.files().interval(DAY).build().unwrap();
    let source = source.load().await.unwrap();
    // The chain, the key and the root are of another authority: half of them would fail the handshake.
    for (authority, path) in [(&other, "/two"), (&one, "/three"), (&other, "/four")] {
        volume.swap(authority, path);
        rotated(&source).await;
        assert_eq!(id(&source).await, format!("spiffe://example.org{path}"));
    }
    assert_eq!(source.stats().rotations(), 4);
    assert_eq!(source.stats().failed_total(), 0);
}

#[tokio::test]
async fn a_new_revocation_list_ends_the_connections_of_the_revoked() {
    let ca = Ca::new("root");
    let folder = Folder::new();
    let lists = folder.path.join(LISTS);
    let pem = |serial: u64| ca.leaf_pem(|leaf| leaf.serial_number = Some(serial.into()));
    let (chain, key) = pem(1);
    fs::write(folder.path.join(CHAIN), chain).unwrap();
    fs::write(folder.path.join(KEY), key).unwrap();
    fs::write(folder.path.join(BUNDLE), ca.pem()).unwrap();
    fs::write(&lists, ca.revoke(&[])).unwrap();
    let files = folder.files().revocation_lists(&lists).build().unwrap();
    let source = files.load().await.unwrap();
    let acceptor = Acceptor::rotating(&source).build().unwrap();
    let client = |serial| {
        let (chain, key) = pem(serial);
        let own = tower_mtls::Credentials::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let layer = MtlsLayer::builder(ca.trust()).credentials(own);
        layer.expect(Expected::TrustDomain).build().unwrap()
    };
    let (bad, good) = (client(2), client(3));
    let (_near, far) = handshake(&bad, &acceptor).await.both();
    let (mut kept, mut kept_far) = handshake(&good, &acceptor).await.both();

    fs::write(&lists, ca.revoke(&[2])).unwrap();
    let ended = timeout(LONG, far.validity().unwrap().ended())
        .await
        .unwrap();
    assert_eq!(ended.reason(), Reason::Revoked);
    let refused = handshake(&bad, &acceptor).await.server.unwrap_err();
    assert_eq!(refused.reason(), Reason::Revoked);
    ping_pong(&mut kept, &mut kept_far).await;
}

#[tokio::test]
async fn federated_bundles_are_read_too() {
    let partner = Authority::new("partner.example".parse().unwrap()).unwrap();
    let folder = Folder::new();
    fs::write(folder.path.join("partner.crt"), partner.ca_pem()).unwrap();
    let domain = "partner.example".parse().unwrap();
    let files = folder
        .files()
        .trust_domain(domain, folder.path.join("partner.crt"));
    let source = files.build().unwrap().load().await.unwrap();
    let acceptor = Acceptor::rotating(&source).build().unwrap();
    let layer = MtlsLayer::builder(folder.authority.trust_bundle())
        .credentials(partner.svid("/web").unwrap().credentials())
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let (_, server) = handshake(&layer, &acceptor).await.both();
    assert_eq!(
        server.peer().unwrap().to_string(),
        "spiffe://partner.example/web"
    );
}

#[tokio::test]
async fn keys_of_each_format_are_read() {
    let folder = Folder::new();
    let openssl = |arguments: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(&folder.path);
        assert!(openssl.output().unwrap().status.success(), "{arguments}");
    };
    let formats = [
        (
            "EC PRIVATE KEY",
            "ecparam -name prime256v1 -genkey -noout -out tls.key",
        ),
        ("RSA PRIVATE KEY", "genrsa -traditional -out tls.key 2048"),
        ("PRIVATE KEY", "genpkey -algorithm ed25519 -out tls.key"),
    ];
    for (format, generate) in formats {
        openssl(generate);
        openssl("req -x509 -new -key tls.key -out tls.crt -days 2 -subj /CN=test");
        let key = fs::read_to_string(folder.path.join(KEY)).unwrap();
        assert!(key.starts_with(&format!("-----BEGIN {format}-----")));
        folder.files().build().unwrap().load().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_runs_on_when_the_last_handle_is_gone() {
    let folder = Folder::new();
    let source = folder.files().build().unwrap().load().await.unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert!(metrics.num_alive_tasks() > 0);
    until(|| watchers() == 1).await;
    drop(source);
    until(|| metrics.num_alive_tasks() == 0).await;
    until(|| watchers() == 0).await;
}
