//! A chain of which any byte is changed is refused, and so is anything else that nobody signed.

#![allow(clippy::unwrap_used)]

mod support;

use std::{sync::LazyLock, time::SystemTime};

use proptest::prelude::*;
use rcgen::CustomExtension;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject};
use support::ca::{Ca, uri};
use tower_mtls::{
    RevocationLists, Trust, TrustBundle,
    dev::{Side, judge},
};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_chain_is_refused(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
        side in prop::sample::select(&[Side::Client, Side::Server]),
    ) {
        for chain in &WORLD.chains {
            let mut changed = chain.clone();
            let certificate = which.index(changed.len());
            let certificate = &mut changed[certificate];
            let at = at.index(certificate.len());
            certificate[at] ^= change;
            for trust in [&WORLD.spiffe, &WORLD.plain] {
                prop_assert!(judge(trust.clone(), chain, side, SystemTime::now()).is_ok());
                prop_assert!(judge(trust.clone(), &changed, side, SystemTime::now()).is_err());
            }
        }
    }

    #[test]
    fn certificates_in_any_order_and_number_never_panic(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let all = WORLD.chains.iter().flatten().collect::<Vec<_>>();
        let mut chain = picks.iter().map(|pick| pick.get(&all).to_vec()).collect::<Vec<_>>();
        let _ = judge(WORLD.spiffe.clone(), &chain, Side::Client, SystemTime::now());
        if let Some(last) = chain.last_mut() {
            last.truncate(cut.index(last.len()));
        }
        let _ = judge(WORLD.plain.clone(), &chain, Side::Server, SystemTime::now());
    }

    #[test]
    fn arbitrary_bytes_are_refused(chain in prop::collection::vec(any::<Vec<u8>>(), 0..4)) {
        prop_assert!(judge(WORLD.spiffe.clone(), &chain, Side::Client, SystemTime::now()).is_err());
        prop_assert!(judge(WORLD.plain.clone(), &chain, Side::Client, SystemTime::now()).is_err());
    }

    /// A list whose bytes are changed may still be one, but it then is not signed by its issuer.
    #[test]
    fn a_changed_list_counts_for_nothing(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let chain = &WORLD.chains[1];
        let refused = |lists: RevocationLists| {
            let trust = WORLD.spiffe.clone().with_revocation_lists(lists);
            judge(trust, chain, Side::Client, SystemTime::now()).is_err()
        };
        let [of_root, of_issuer] = &WORLD.lists;
        let good = RevocationLists::from_der(of_root).unwrap();
        let both = good.and(&RevocationLists::from_der(of_issuer).unwrap());
        prop_assert!(!refused(both));

        let mut changed = of_issuer.clone();
        let at = at.index(changed.len());
        changed[at] ^= change;
        if let Ok(list) = RevocationLists::from_der(&changed) {
            prop_assert!(refused(good.and(&list)));
        }
    }

    #[test]
    fn arbitrary_lists_never_panic(bytes in any::<Vec<u8>>(), pem in "[A-Za-z0-9+/=\n-]*") {
        let _ = RevocationLists::from_der(&bytes);
        let _ = RevocationLists::from_pem(&bytes);
        let pem = format!("-----BEGIN X509 CRL-----\n{pem}\n-----END X509 CRL-----\n");
        let _ = RevocationLists::from_pem(pem.as_bytes());
    }
}

/// Two chains that are good in both modes: by an intermediate, and by one with constraints on URIs.
struct World {
    chains: [Vec<Vec<u8>>; 2],
    lists: [Vec<u8>; 2],
    spiffe: Trust,
    plain: Trust,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root = Ca::new("root");
    let host = b"example.org";
    let mut constraints = vec![0x30, 17, 0xa0, 15, 0x30, 13, 0x86, 11];
    constraints.extend(host);
    let constraints = CustomExtension::from_oid_content(&[2, 5, 29, 30], constraints);
    let open = root.intermediate(|_| {});
    let constrained = root.intermediate(|ca| ca.custom_extensions = vec![constraints]);
    let lists = [&root, &constrained].map(|ca| {
        let list = support::ca::revocation_list(ca, &[]).pem().unwrap();
        let list = CertificateRevocationListDer::from_pem_slice(list.as_bytes());
        list.unwrap().to_vec()
    });
    let chain = |issuer: &Ca| {
        let (leaf, _) = issuer.leaf_pem(|leaf| {
            leaf.subject_alt_names = vec![uri("spiffe://example.org/web")];
        });
        [leaf, issuer.pem()].map(|pem| {
            CertificateDer::from_pem_slice(pem.as_bytes())
                .unwrap()
                .to_vec()
        })
    };
    let bundle = TrustBundle::from_pem(root.pem().as_bytes()).unwrap();
    World {
        chains: [chain(&open).into(), chain(&constrained).into()],
        lists,
        plain: Trust::from(bundle.clone()),
        spiffe: Trust::from(bundle.with_trust_domain("example.org".parse().unwrap())),
    }
});
