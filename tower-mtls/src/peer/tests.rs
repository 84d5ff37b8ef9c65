//! The reader of names on whatever bytes there are.

use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::*;

const WEB: &[u8] = include_bytes!("../../tests/support/fixtures/web.pem");
const CA: &[u8] = include_bytes!("../../tests/support/fixtures/ca.pem");

#[test]
fn the_names_of_a_good_leaf_are_read() {
    let leaf = der(WEB);
    let peer = examine(&leaf, Some(&domain("example.org"))).unwrap();
    assert_eq!(peer.to_string(), "spiffe://example.org/ns/shop/sa/web");
    let peer = examine(&leaf, None).unwrap();
    assert_eq!(peer.identities(), ["dns:web.example.org".parse().unwrap()]);
    let rejection = examine(&leaf, Some(&domain("elsewhere.org"))).unwrap_err();
    assert_eq!(rejection.to_error().reason(), Reason::WrongTrustDomain);
}

#[test]
fn an_authority_is_no_workload_but_may_sign() {
    let ca = der(CA);
    let rejection = examine(&ca, Some(&domain("example.org"))).unwrap_err();
    assert_eq!(rejection.to_error().reason(), Reason::NotAnSvid);
    assert!(may_sign_certificates(&ca));
    assert!(!may_sign_certificates(&der(WEB)));
    assert!(!may_sign_certificates(b""));
}

#[test]
fn bytes_behind_the_certificate_are_refused() {
    let mut leaf = der(WEB);
    leaf.push(0);
    assert!(examine(&leaf, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        read_all(&bytes);
    }

    /// A change of any bytes can only end in a refusal or in a name that follows the rules.
    #[test]
    fn a_mutated_certificate_never_panics_nor_gives_a_bad_name(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
        cut in prop::bool::weighted(0.1),
    ) {
        let mut leaf = der(WEB);
        for (at, byte) in changes {
            let at = at.index(leaf.len());
            leaf[at] = byte;
        }
        if cut {
            leaf.truncate(length.index(leaf.len()));
        }
        read_all(&leaf);
        let trust_domain = domain("example.org");
        if let Ok(peer) = examine(&leaf, Some(&trust_domain)) {
            prop_assert_eq!(peer.identities().len(), 1);
            let id = peer.spiffe_id().unwrap();
            prop_assert_eq!(id.trust_domain(), &trust_domain);
            prop_assert_eq!(id.as_str().parse::<SpiffeId>(), Ok(id.clone()));
        }
    }

    /// The same, aimed at the extensions, where most random changes would miss.
    #[test]
    fn mutated_names_never_panic(at in 0_usize..120, byte in any::<u8>()) {
        let mut leaf = der(WEB);
        let uri = b"spiffe://";
        let start = leaf.windows(uri.len()).position(|window| window == uri).unwrap();
        leaf[start - 16 + at] = byte;
        read_all(&leaf);
    }
}

fn read_all(bytes: &[u8]) {
    let _ = examine(bytes, Some(&domain("example.org")));
    let _ = examine(bytes, None);
    let _ = may_sign_certificates(bytes);
    let _ = validity(bytes);
}

fn der(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}

fn domain(name: &str) -> TrustDomain {
    name.parse().unwrap()
}
