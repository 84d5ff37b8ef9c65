//! Certificates and keys from files and from memory: good, bad and arbitrary.

#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use support::{CA, WEB, WEB_KEY};
use tower_mtls::{
    Credentials, TrustBundle,
    error::{CredentialsError, CredentialsProblem as Problem},
};

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
mod with_cryptography {
    use super::*;

    #[test]
    fn files_are_loaded() {
        let folder = folder("loaded");
        let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        fs::write(&chain, WEB).unwrap();
        fs::write(&key, WEB_KEY).unwrap();
        let credentials = Credentials::from_files(&chain, &key).unwrap();
        assert!(credentials.not_after() > std::time::SystemTime::now());
        // A chain and its key may share a file.
        fs::write(&chain, [WEB, WEB_KEY].concat()).unwrap();
        assert!(Credentials::from_files(&chain, &chain).is_ok());
    }

    #[test]
    fn the_key_must_belong_to_the_leaf() {
        let error = Credentials::from_pem(WEB, support::API_KEY).unwrap_err();
        assert_eq!(error.problem(), Problem::KeyMismatch);
        // The chain begins with its leaf, not with its root.
        let error = Credentials::from_pem(&[CA, WEB].concat(), WEB_KEY).unwrap_err();
        assert_eq!(error.problem(), Problem::KeyMismatch);
        assert!(Credentials::from_pem(&[WEB, CA].concat(), WEB_KEY).is_ok());
    }

    #[test]
    fn the_error_names_the_file_at_fault() {
        let folder = folder("fault");
        let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        fs::write(&chain, WEB).unwrap();
        fs::write(&key, support::API_KEY).unwrap();
        let error = Credentials::from_files(&chain, &key).unwrap_err();
        assert_eq!(error.path(), Some(key.as_path()));
        assert!(error.to_string().contains("tls.key"), "{error}");

        fs::write(
            &chain,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let error = Credentials::from_files(&chain, &key).unwrap_err();
        assert_eq!(error.problem(), Problem::MalformedCertificate);
        assert_eq!(error.path(), Some(chain.as_path()));
    }

    #[test]
    fn a_key_of_no_known_kind_is_refused() {
        let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let error = Credentials::from_pem(WEB, key).unwrap_err();
        assert_eq!(error.problem(), Problem::UnusableKey);
    }

    #[test]
    fn debug_shows_no_byte_of_the_key() {
        let credentials = support::web();
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(shown.contains("not_after"));
        let body = key_body();
        for start in 0..body.len() - 8 {
            assert!(!shown.contains(&body[start..start + 8]), "{shown}");
        }
        assert!(shown.len() < 400, "{shown}");
    }
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
#[test]
fn without_cryptography_the_error_names_the_features() {
    let error = Credentials::from_pem(WEB, WEB_KEY).unwrap_err();
    assert_eq!(error.problem(), Problem::NoProvider);
    let text = error.to_string();
    assert!(
        text.contains("aws-lc-rs") && text.contains("ring"),
        "{text}"
    );

    let error = tower_mtls::MtlsLayer::builder(support::trust())
        .expect(tower_mtls::Expected::TrustDomain)
        .build()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("aws-lc-rs") && text.contains("ring"),
        "{text}"
    );
}

#[test]
fn what_is_missing_is_named() {
    let cases: [(&[u8], &[u8], Problem); 5] = [
        (b"", WEB_KEY, Problem::NoCertificate),
        (WEB_KEY, WEB_KEY, Problem::NoCertificate),
        (WEB, b"", Problem::NoPrivateKey),
        (WEB, WEB, Problem::NoPrivateKey),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n",
            WEB_KEY,
            Problem::MalformedPem,
        ),
    ];
    for (chain, key, problem) in cases {
        let error = Credentials::from_pem(chain, key).unwrap_err();
        assert_eq!(error.problem(), problem);
        assert_eq!(error.path(), None);
        assert!(error.to_string().starts_with("PEM in memory"), "{error}");
    }
}

#[test]
fn a_missing_file_is_named_with_its_cause() {
    let missing = folder("missing").join("nothing.pem");
    let errors: [CredentialsError; 2] = [
        TrustBundle::from_file(&missing).unwrap_err(),
        Credentials::from_files(&missing, &missing).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.problem(), Problem::Unreadable);
        assert_eq!(error.path(), Some(missing.as_path()));
        let source = std::error::Error::source(&error).unwrap();
        let source = source.downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    }
}

#[test]
fn an_error_quotes_no_byte_of_the_key() {
    let body = key_body();
    // Newlines lost on the way, as in a badly quoted environment variable.
    let one_line = format!("-----BEGIN PRIVATE KEY-----{body}-----END PRIVATE KEY-----");
    let broken = format!("-----BEGIN PRIVATE KEY-----\n{body}!\n-----END PRIVATE KEY-----\n");
    let no_end = format!("-----BEGIN PRIVATE KEY-----\n{body}\n");
    // A chain and its key in one text that lost its newlines, with or without what is around it.
    let whole = std::str::from_utf8(WEB_KEY).unwrap().to_owned();
    let flat = [WEB, WEB_KEY].concat();
    let flat = String::from_utf8(flat).unwrap().replace('\n', "");
    let flat_key = whole.replace('\n', "");
    let cut = flat.trim_end_matches('-').to_owned();
    let broken_certificate =
        format!("-----BEGIN CERTIFICATE-----\n{body}!\n-----END CERTIFICATE-----\n");
    for key in [one_line, broken, no_end, flat, flat_key, cut] {
        quotes_no_key(&Credentials::from_pem(WEB, key.as_bytes()).unwrap_err());
        // The arguments the wrong way round, and what is no bundle.
        for error in as_certificates(&key) {
            quotes_no_key(&error);
        }
    }
    for text in [whole, broken_certificate] {
        for error in as_certificates(&text) {
            quotes_no_key(&error);
        }
    }
}

/// The errors of a text where certificates belong.
fn as_certificates(text: &str) -> [CredentialsError; 2] {
    [
        Credentials::from_pem(text.as_bytes(), WEB_KEY).unwrap_err(),
        TrustBundle::from_pem(text.as_bytes()).unwrap_err(),
    ]
}

/// Neither as text nor as a list of numbers, in the error and all of its sources.
fn quotes_no_key(error: &CredentialsError) {
    let mut shown = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        shown += &format!("{error} {error:?} {error:#?} ");
        next = error.source();
    }
    // `{:#?}` puts each number on a line of its own.
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let body = key_body();
    for start in 0..body.len() - 8 {
        let part = &body[start..start + 8];
        assert!(!shown.contains(part), "{shown}");
        let bytes = format!("{:?}", part.as_bytes());
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}

#[test]
fn a_trust_bundle_holds_authorities_only() {
    assert!(TrustBundle::from_pem(&[CA, CA].concat()).is_ok());
    let error = TrustBundle::from_pem(&[CA, WEB].concat()).unwrap_err();
    assert_eq!(error.problem(), Problem::NotAnAuthority);
    let error = TrustBundle::from_pem(b"no PEM at all").unwrap_err();
    assert_eq!(error.problem(), Problem::NoCertificate);
    let bundle = support::trust();
    assert_eq!(bundle.trust_domain().unwrap().as_str(), "example.org");
    assert!(support::plain_trust().trust_domain().is_none());
    assert!(format!("{bundle:?}").contains("roots: 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(chain in any::<Vec<u8>>(), key in any::<Vec<u8>>()) {
        let _ = Credentials::from_pem(&chain, &key);
        let _ = Credentials::from_pem(WEB, &key);
        let _ = Credentials::from_pem(&chain, WEB_KEY);
        let _ = TrustBundle::from_pem(&chain);
    }

    #[test]
    fn damaged_texts_never_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        for (good, is_key) in [(WEB, false), (WEB_KEY, true), (CA, false)] {
            let mut text = good.to_vec();
            text[at.index(good.len())] = byte;
            let cut = &good[..cut.index(good.len())];
            for text in [text.as_slice(), cut] {
                let _ = match is_key {
                    true => Credentials::from_pem(WEB, text),
                    false => Credentials::from_pem(text, WEB_KEY),
                };
                let _ = TrustBundle::from_pem(text);
            }
        }
    }
}

fn key_body() -> String {
    let text = std::str::from_utf8(WEB_KEY).unwrap();
    text.lines().filter(|line| !line.starts_with('-')).collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("credentials")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
