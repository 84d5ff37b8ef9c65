//! Files that are bad, half written or not there.

#![cfg(all(feature = "dev", feature = "files"))]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use support::{
    ca::Ca,
    folder::{
        BUNDLE, CHAIN, DAY, FAST, Folder, KEY, LISTS, LONG, Told, authority, id, in_force, rotated,
        until,
    },
    handshake,
};
use tokio::time::{sleep, timeout};
use tower_mtls::{
    Expected, MtlsLayer,
    accept::Acceptor,
    dev::Issued,
    error::{Failure, Reason},
    source::Files,
};

#[tokio::test]
async fn a_file_that_is_being_written_is_not_taken_half() {
    let folder = Folder::new();
    let source = folder
        .files()
        .settle(Duration::from_millis(200))
        .build()
        .unwrap();
    let source = source.load().await.unwrap();
    let two = folder.authority.svid("/two").unwrap();
    let (chain, key) = (two.chain_pem().to_owned(), two.key_pem().to_owned());
    for (name, text) in [(CHAIN, chain), (KEY, key)] {
        for end in [0, 10, text.len() / 2, text.len() - 1, text.len()] {
            fs::write(folder.path.join(name), &text[..end]).unwrap();
            sleep(Duration::from_millis(40)).await;
        }
    }
    rotated(&source).await;
    assert_eq!(id(&source).await, "spiffe://example.org/two");
    assert_eq!(source.stats().rotations(), 2);
    assert_eq!(source.stats().failed_total(), 0);
}

#[tokio::test]
async fn bad_files_change_nothing_and_are_told_once() {
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let other = authority().svid("/other").unwrap();
    let expired = authority().valid(now - 2 * hour, now - hour);
    let expired = expired.svid("/late").unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    let cases = [
        (CHAIN, Spoil::Remove, Failure::Unreadable),
        (KEY, Spoil::Remove, Failure::Unreadable),
        (BUNDLE, Spoil::Remove, Failure::Unreadable),
        (KEY, Spoil::Folder, Failure::Unreadable),
        (CHAIN, Spoil::Write(""), Failure::Malformed),
        (KEY, Spoil::Write(""), Failure::Malformed),
        (BUNDLE, Spoil::Write(""), Failure::Malformed),
        (CHAIN, Spoil::Halve, Failure::Malformed),
        (KEY, Spoil::Halve, Failure::Malformed),
        (BUNDLE, Spoil::Halve, Failure::Malformed),
        (BUNDLE, Spoil::Write(damaged), Failure::Malformed),
        (BUNDLE, Spoil::Write(other.chain_pem()), Failure::Malformed),
        (LISTS, Spoil::Write("no list"), Failure::Malformed),
        (KEY, Spoil::Write(no_key), Failure::UnusableKey),
        (KEY, Spoil::Write(other.key_pem()), Failure::KeyMismatch),
        (CHAIN, Spoil::WithKey(&expired), Failure::Expired),
    ];
    for (name, spoil, failure) in cases {
        let told = Told::default();
        let folder = Folder::new();
        let path = folder.path.join(name);
        let mut files = folder.files().interval(FAST).observer(told.observer());
        if name == LISTS {
            fs::write(&path, Ca::new("lists").revoke(&[])).unwrap();
            files = files.revocation_lists(&path);
        }
        let source = files.build().unwrap().load().await.unwrap();
        spoil.apply(&path);
        until(|| source.failure().is_some()).await;
        // Some more readings find the same.
        sleep(4 * FAST).await;
        let case = format!("{name}: {spoil:?}");
        assert_eq!(source.failure().unwrap().failure(), failure, "{case}");
        assert_eq!(source.stats().failed(failure), 1, "{case}");
        assert_eq!(source.stats().failed_total(), 1, "{case}");
        assert_eq!(source.stats().rotations(), 1, "{case}");
        assert!(in_force(&source, "/one"), "{case}");
        assert_eq!(told.all(), ["rotated", "failed"], "{case}");

        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        if name == LISTS {
            fs::write(&path, Ca::new("lists").revoke(&[])).unwrap();
        }
        folder.write(&folder.authority, "/two");
        until(|| in_force(&source, "/two") && source.failure().is_none()).await;
        assert_eq!(
            told.all(),
            ["rotated", "failed", "rotated", "recovered"],
            "{case}"
        );
    }
}

#[tokio::test]
async fn the_old_files_put_back_are_a_recovery_and_no_rotation() {
    let told = Told::default();
    let folder = Folder::new();
    let files = folder.files().interval(FAST).observer(told.observer());
    let source = files.build().unwrap().load().await.unwrap();
    let good = fs::read(folder.path.join(KEY)).unwrap();
    fs::write(folder.path.join(KEY), "").unwrap();
    until(|| source.failure().is_some()).await;
    fs::write(folder.path.join(KEY), good).unwrap();
    until(|| source.failure().is_none()).await;
    assert_eq!(told.all(), ["rotated", "failed", "recovered"]);
    assert_eq!(source.stats().rotations(), 1);
}

#[tokio::test]
async fn files_that_never_stay_the_same_are_told() {
    let told = Told::default();
    let files = Files::builder()
        // It counts hundredths of seconds.
        .trust("/proc/uptime")
        .settle(Duration::from_millis(20))
        .interval(FAST)
        .observer(told.observer());
    let source = files.build().unwrap().start();
    let changing = || source.stats().failed(Failure::Changing);
    until(|| changing() == 1).await;
    // What it was at the first look, and then that it changes.
    assert_eq!(told.all(), ["failed", "failed"]);
    assert_eq!(source.failure().unwrap().failure(), Failure::Changing);
}

#[tokio::test]
async fn without_good_files_there_is_no_source_or_it_waits() {
    let folder = Folder::new();
    fs::remove_file(folder.path.join(KEY)).unwrap();
    let files = folder.files().interval(FAST).build().unwrap();
    let error = files.load().await.unwrap_err();
    assert_eq!(error.failure(), Failure::Unreadable);
    assert!(error.to_string().contains(KEY), "{error}");

    let source = files.start();
    let acceptor = Acceptor::rotating(&source).build().unwrap();
    let layer = MtlsLayer::rotating(&source)
        .expect(Expected::TrustDomain)
        .build()
        .unwrap();
    let refused = handshake(&layer, &acceptor).await.server.unwrap_err();
    assert_eq!(refused.reason(), Reason::NoCredentials);
    folder.write(&folder.authority, "/late");
    timeout(LONG, source.ready()).await.unwrap();
    handshake(&layer, &acceptor).await.both();
}

#[tokio::test]
async fn no_byte_of_a_key_is_shown() {
    let folder = Folder::new();
    let key = fs::read_to_string(folder.path.join(KEY)).unwrap();
    let body = key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect::<String>();
    let files = folder.files().build().unwrap();
    let mut shown = format!("{files:?} {:?} ", folder.files());
    let broken = [
        key.replace('\n', ""),
        key.replace("-----END", "!-----END"),
        key.trim_end_matches('-').to_owned() + "x",
        key.replace("BEGIN PRIVATE", "BEGIN OTHER"),
    ];
    for broken in broken {
        fs::write(folder.path.join(KEY), &broken).unwrap();
        // In the wrong file, too.
        for name in [KEY, CHAIN, BUNDLE] {
            fs::write(folder.path.join(name), &broken).unwrap();
            if let Err(error) = files.load().await {
                let mut next = Some(&error as &dyn std::error::Error);
                while let Some(error) = next {
                    shown += &format!("{error} {error:?} ");
                    next = error.source();
                }
            }
        }
        folder.write(&folder.authority, "/one");
    }
    assert!(shown.contains("malformed"));
    for start in 0..body.len() - 8 {
        assert!(!shown.contains(&body[start..start + 8]), "{shown}");
    }
}

#[test]
fn settings_are_checked() {
    let domain = || "example.org".parse().unwrap();
    let cases = [
        ("files", Files::builder()),
        (
            "interval",
            Files::builder().trust("ca").interval(Duration::ZERO),
        ),
        ("interval", Files::builder().trust("ca").interval(2 * DAY)),
        (
            "settle",
            Files::builder().trust("ca").settle(Duration::ZERO),
        ),
        ("trust", Files::builder().trust("ca").trust("other")),
        (
            "trust",
            Files::builder().trust_domain(domain(), "ca").trust("other"),
        ),
        (
            "trust_domain",
            Files::builder()
                .trust_domain(domain(), "ca")
                .trust_domain(domain(), "x"),
        ),
        (
            "revocation_lists",
            Files::builder().credentials("a", "b").revocation_lists("c"),
        ),
    ];
    for (field, files) in cases {
        assert_eq!(files.build().unwrap_err().field(), field);
    }
}

/// What is done to a good file.
#[derive(Debug)]
enum Spoil<'a> {
    Remove,
    Folder,
    Halve,
    Write(&'a str),
    /// Another chain, and its key beside it.
    WithKey(&'a Issued),
}

impl Spoil<'_> {
    fn apply(&self, path: &Path) {
        match self {
            Self::Remove => fs::remove_file(path).unwrap(),
            Self::Folder => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            }
            Self::Halve => {
                let text = fs::read(path).unwrap();
                fs::write(path, &text[..text.len() / 2]).unwrap();
            }
            Self::Write(text) => fs::write(path, text).unwrap(),
            Self::WithKey(issued) => {
                fs::write(path.with_file_name(KEY), issued.key_pem()).unwrap();
                fs::write(path, issued.chain_pem()).unwrap();
            }
        }
    }
}
