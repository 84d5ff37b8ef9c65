//! The reader of certificates on whatever bytes there are.

use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::*;
use crate::verify::constraints::Names;

const WEB: &[u8] = include_bytes!("../../tests/support/fixtures/web.pem");
const CA: &[u8] = include_bytes!("../../tests/support/fixtures/ca.pem");

#[test]
fn the_names_of_a_good_leaf_are_read() {
    let der = der(WEB);
    let leaf = Leaf::read(&der).unwrap();
    let id = leaf.spiffe_id().unwrap();
    assert_eq!(id.as_str(), "spiffe://example.org/ns/shop/sa/web");
    assert_eq!(leaf.check_svid(), Ok(()));
    let names = leaf.dns_names().unwrap();
    assert_eq!(*names, ["dns:web.example.org".parse().unwrap()]);
    assert_eq!(
        leaf.check_key(&[]).unwrap_err(),
        "its key is of a kind or on a curve that is not accepted"
    );
}

#[test]
fn an_authority_is_no_workload_but_may_sign() {
    let (ca, web) = (der(CA), der(WEB));
    assert!(Leaf::read(&ca).unwrap().spiffe_id().is_err());
    assert!(Leaf::read(&ca).unwrap().check_svid().is_err());
    let issuer = Issuer::read(&ca).unwrap();
    assert!(issuer.may_sign_certificates() && issuer.is_self_issued() && !issuer.is_weak());
    assert!(!Issuer::read(&web).unwrap().may_sign_certificates());
    assert!(Issuer::read(b"").is_none());
}

#[test]
fn bytes_behind_the_certificate_are_refused() {
    let mut leaf = der(WEB);
    leaf.push(0);
    assert!(Leaf::read(&leaf).is_none());
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
        if let Some(Ok(id)) = Leaf::read(&leaf).map(|leaf| leaf.spiffe_id()) {
            let again = id.as_str().parse::<SpiffeId>();
            prop_assert_eq!(again, Ok(id));
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
    if let Some(leaf) = Leaf::read(bytes) {
        let _ = (
            leaf.spiffe_id(),
            leaf.dns_names(),
            leaf.add_names(&mut Names::default()),
        );
        let _ = (leaf.check_svid(), leaf.check_key(&[]), leaf.not_after());
    }
    if let Some(issuer) = Issuer::read(bytes) {
        let _ = (issuer.may_sign_certificates(), issuer.is_self_issued());
        let _ = (
            issuer.add_names(&mut Names::default()),
            issuer.is_weak(),
            issuer.not_after(),
        );
    }
    let _ = validity(bytes);
}

fn der(pem: &[u8]) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem).unwrap().to_vec()
}
