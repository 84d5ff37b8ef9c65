//! The test suite of NIST (PKITS, 2011) through the verifier: paths, constraints, policies and revocation lists.
//!
//! The data is public, but 1 MB large, so it is no part of this repository: `docs/evaluation/mtls.md` says how to get it,
//! and has what came of it.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::RevocationLists;

#[test]
#[ignore = "needs the data of PKITS, whose folder is in PKITS"]
fn every_difference_is_explained() {
    let folder = std::env::var_os("PKITS").expect("PKITS is the folder of the data");
    let folder = Path::new(&folder);
    let certificates = read(&folder.join("certs"));
    let verifier = verifier(&certificates, folder);
    let authorities = certificates
        .iter()
        .filter(|(name, _)| !name.ends_with("EE"));
    let authorities = authorities.map(|(_, der)| der.clone()).collect::<Vec<_>>();

    let now = UnixTime::since_unix_epoch(Duration::from_secs(MID_2026));
    let (mut right, mut explained, mut wrong) = (0, BTreeMap::<_, usize>::new(), Vec::new());
    for (name, leaf) in certificates.iter().filter(|(name, _)| name.ends_with("EE")) {
        let verdict = verifier.verify(leaf, &authorities, now);
        let expected = name.starts_with("Valid");
        let judged = expected || name.starts_with("Invalid");
        let why = EXPLAINED
            .iter()
            .find(|(_, names)| names.iter().any(|part| name.contains(part)));
        match (verdict.is_ok() == expected, why) {
            (true, _) if judged => right += 1,
            (_, Some((why, _))) => *explained.entry(why).or_default() += 1,
            (_, None) => wrong.push(format!("{name}: {verdict:?}")),
        }
        let accepted = verdict.is_ok() && judged && !expected;
        assert!(
            !accepted || name == REVOKED_BY_A_DELTA,
            "{name} is accepted"
        );
    }
    println!("{right} right");
    for (why, count) in explained {
        println!("{count} {why}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(right, RIGHT);
}

fn verifier(
    certificates: &BTreeMap<String, CertificateDer<'static>>,
    folder: &Path,
) -> PeerVerifier {
    let provider = crate::provider::provider().expect("a cryptography");
    let root = pem(&certificates["TrustAnchorRootCertificate"]);
    let bundle = TrustBundle::from_pem(&root).expect("the root");
    let mut lists: Option<RevocationLists> = None;
    for (name, der) in read(&folder.join("crls")) {
        match RevocationLists::from_der(&der) {
            Ok(list) => lists = Some(lists.map_or(list.clone(), |lists| lists.and(&list))),
            // Whoever has such a list learns it when it is loaded.
            Err(_) => assert!(
                REFUSED_LISTS.iter().any(|part| name.contains(part)),
                "{name}"
            ),
        }
    }
    let trust = Trust::from(bundle).with_revocation_lists(lists.expect("lists"));
    let role = Role::Client { required: true };
    PeerVerifier::new(trust, Accepted::Any, role, Duration::ZERO, &provider).expect("a verifier")
}

fn read(folder: &Path) -> BTreeMap<String, CertificateDer<'static>> {
    let files = fs::read_dir(folder).expect("the folder");
    let files = files.map(|file| file.expect("a file").path());
    let read = files.map(|file| {
        let name = file.file_stem().expect("a name").to_string_lossy();
        (name.into_owned(), fs::read(&file).expect("a file").into())
    });
    read.collect()
}

fn pem(der: &[u8]) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("pkits-root-{}", std::process::id()));
    fs::write(&file, der).expect("a file");
    let mut openssl = std::process::Command::new("openssl");
    let openssl = openssl.args(["x509", "-inform", "der", "-in"]).arg(&file);
    let output = openssl.output().expect("the openssl command");
    fs::remove_file(file).expect("the file");
    output.stdout
}

const MID_2026: u64 = 1_782_000_000;
const RIGHT: usize = 142;
const REVOKED_BY_A_DELTA: &str = "InvaliddeltaCRLTest4EE";

/// Lists that cannot be loaded: of a kind that is not supported, or damaged or unknown on purpose.
const REFUSED_LISTS: &[&str] = &[
    "BadCRLSignature",
    "UnknownCRL",
    "delta",
    "distributionPoint2",
    "indirect",
    "onlyContains",
    "onlySomeReasons",
];

/// Why a verdict differs from that of the suite, or why the suite has none, and in which tests.
const EXPLAINED: &[(&str, &[&str])] = &[
    (
        "on policies, which are no part of an identity: a critical extension about them is refused",
        &[
            "Polic",
            "PolicyMapping",
            "CPSPointer",
            "UserNotice",
            "requireExplicit",
        ],
    ),
    (
        "on constraints that exclude directory names, or on mail addresses: not evaluated, hence refused",
        &["DNnameConstraints", "RFC822"],
    ),
    ("with DSA keys, which TLS 1.3 has not", &["DSA"]),
    (
        "on names that are the same but for case, spaces or the kind of text: compared byte by byte",
        &["NameChaining", "UTF8String", "Rollover"],
    ),
    (
        "with a self-issued intermediate, which the path validation counts as it does others",
        &["SelfIssuedpathLen"],
    ),
    ("with a unique identifier of version 2", &["UIDs"]),
    ("with a year before 1970", &["pre2000UTCnotBefore"]),
    (
        "with an authority as the leaf, which is refused",
        &[
            "pathLenConstraintTest8",
            "pathLenConstraintTest14",
            "onlyContainsCACerts",
        ],
    ),
    ("with delta lists, which cannot be loaded", &["delta"]),
    (
        "with lists that another key or authority signs than the issuer's",
        &[
            "indirect",
            "cRLIssuer",
            "SeparateCertificate",
            "CRLSigningKey",
        ],
    ),
    (
        "with lists of some reasons, or of a distribution point that is no URI",
        &["onlySomeReasons", "distributionPoint", "BasicSelfIssued"],
    ),
];
