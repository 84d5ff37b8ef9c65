//! A bad setting is an error that names it, never a panic and never a default that is open.

#![cfg(any(feature = "aws-lc-rs", feature = "ring"))]

mod support;

use std::time::Duration;

use support::{API_ID, api, plain_trust, trust, web};
use tower_mtls::{
    Expected, MtlsBuilder, MtlsLayer, accept::Acceptor, accept::AcceptorBuilder,
    error::InvalidSetting,
};

#[test]
fn a_client_must_say_whom_it_expects() {
    let error = MtlsLayer::builder(trust())
        .credentials(web())
        .build()
        .unwrap_err();
    named(&error, "expect", "missing");
}

#[test]
fn what_is_expected_must_fit_the_trust_bundle() {
    let name = || Expected::ServerName("api.example.org".parse().unwrap());
    let spiffe = |id: &str| Expected::Spiffe(vec![id.parse().unwrap()]);
    for (trust, expected, value) in [
        (trust(), Expected::Spiffe(Vec::new()), "empty"),
        (
            trust(),
            spiffe("spiffe://elsewhere.org/api"),
            "spiffe://elsewhere.org/api",
        ),
        (trust(), name(), "api.example.org"),
        (plain_trust(), Expected::TrustDomain, "SPIFFE"),
        (plain_trust(), spiffe(API_ID), "SPIFFE"),
    ] {
        let error = MtlsLayer::builder(trust)
            .expect(expected)
            .build()
            .unwrap_err();
        named(&error, "expect", value);
    }
    for (trust, expected) in [
        (trust(), Expected::TrustDomain),
        (trust(), spiffe(API_ID)),
        (plain_trust(), name()),
    ] {
        assert!(MtlsLayer::builder(trust).expect(expected).build().is_ok());
    }
}

#[test]
fn a_server_must_say_whether_clients_are_verified() {
    let error = Acceptor::builder(api()).build().unwrap_err();
    named(&error, "client authentication", "missing");
}

#[test]
fn timeouts_have_bounds() {
    for (timeout, ok) in [
        (Duration::ZERO, false),
        (Duration::from_micros(999), false),
        (Duration::from_millis(1), true),
        (Duration::from_secs(3600), true),
        (Duration::from_millis(3_600_001), false),
        (Duration::MAX, false),
    ] {
        let built = client().handshake_timeout(timeout).build();
        check(
            built.map(drop),
            "handshake_timeout",
            &format!("{timeout:?}"),
            ok,
        );
        let built = server().handshake_timeout(timeout).build();
        check(
            built.map(drop),
            "handshake_timeout",
            &format!("{timeout:?}"),
            ok,
        );
    }
}

#[test]
fn the_number_of_handshakes_has_bounds() {
    for (max, ok) in [
        (0, false),
        (1, true),
        (1_000_000, true),
        (1_000_001, false),
        (usize::MAX, false),
    ] {
        let built = server().max_handshakes(max).build();
        check(built.map(drop), "max_handshakes", &max.to_string(), ok);
    }
}

#[test]
fn protocol_names_have_bounds() {
    for (length, ok) in [(0, false), (1, true), (255, true), (256, false)] {
        let names = ["h2".to_owned(), "x".repeat(length)];
        check(
            client().alpn(names.clone()).build().map(drop),
            "alpn",
            &length.to_string(),
            ok,
        );
        check(
            server().alpn(names).build().map(drop),
            "alpn",
            &length.to_string(),
            ok,
        );
    }
    for (count, ok) in [(64, true), (65, false)] {
        let names = vec!["h2"; count];
        check(
            client().alpn(names.clone()).build().map(drop),
            "alpn",
            &count.to_string(),
            ok,
        );
        check(
            server().alpn(names).build().map(drop),
            "alpn",
            &count.to_string(),
            ok,
        );
    }
}

#[test]
fn the_error_can_be_kept_by_more_than_one() {
    let error = server().max_handshakes(0).build().unwrap_err();
    let kept = error.clone();
    assert_eq!(kept.to_string(), error.to_string());
    named(&kept, "max_handshakes", "0");
}

fn client() -> MtlsBuilder {
    MtlsLayer::builder(trust()).expect(Expected::TrustDomain)
}

fn server() -> AcceptorBuilder {
    Acceptor::builder(api()).no_client_auth()
}

fn check(built: Result<(), InvalidSetting>, setting: &str, value: &str, ok: bool) {
    match built {
        Ok(()) => assert!(ok, "{setting} {value}"),
        Err(error) => {
            assert!(!ok, "{error}");
            named(&error, setting, value);
        }
    }
}

fn named(error: &InvalidSetting, setting: &str, value: &str) {
    assert_eq!(error.field(), setting);
    assert!(error.value().contains(value), "{error}");
    assert!(error.to_string().contains(error.allowed()), "{error}");
}
