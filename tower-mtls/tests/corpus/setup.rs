//! A good chain and the trust that fits it, for a case to change.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use tower_mtls::{RevocationLists, Trust, TrustBundle, UnknownStatus};

use crate::{
    cases::{Case, Mode},
    pki::{
        certificate::{Certificate, Name},
        der,
        key::{Hash, Key},
        list::RevocationList,
    },
};

/// Keys for all cases, because they are slow to make.
pub struct Keys {
    pub root: Key,
    pub other: Key,
    pub intermediate: Key,
    pub second: Key,
    pub leaf: Key,
    pub p384: Key,
    pub p224: Key,
    pub secp256k1: Key,
    pub ed25519: Key,
    pub rsa: Key,
    pub rsa_1024: Key,
    pub rsa_2040: Key,
}

/// Root, intermediate and leaf, and how the other side is set up.
pub struct Setup<'a> {
    pub keys: &'a Keys,
    pub now: i64,
    pub mode: Mode,
    pub root: Certificate,
    /// The root of the trust domain `partner.example`, beside the own one.
    pub federated: Option<Certificate>,
    /// From the root down.
    pub intermediates: Vec<Certificate>,
    pub leaf: Certificate,
    /// The key that the leaf is signed with, where it is not that of the last intermediate.
    pub leaf_issuer: Option<Key>,
    /// How many of the intermediates are presented, from the leaf up.
    pub presented: usize,
    /// Certificates that are presented in front of the intermediates.
    pub extra: Vec<Certificate>,
    /// Presents a copy of the last intermediate too, changed like this, but with the same signature.
    pub copy: Option<fn(&mut Certificate)>,
    /// The key that signs the handshake, where it is not that of the leaf.
    pub presented_key: Option<Key>,
    pub lists: Vec<RevocationList>,
    pub unknown_status: UnknownStatus,
    pub clock_skew: Duration,
}

/// What comes out of a setup.
pub struct Chain {
    /// In DER, leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: String,
    pub trust: Trust,
    pub clock_skew: Duration,
}

impl Keys {
    pub fn generate() -> Self {
        Self {
            root: Key::p256(),
            other: Key::p256(),
            intermediate: Key::p256(),
            second: Key::p256(),
            leaf: Key::p256(),
            p384: Key::ecdsa("P-384"),
            p224: Key::ecdsa("P-224"),
            secp256k1: Key::ecdsa("secp256k1"),
            ed25519: Key::ed25519(),
            rsa: Key::rsa(2048),
            rsa_1024: Key::rsa(1024),
            rsa_2040: Key::rsa(2040),
        }
    }
}

impl<'a> Setup<'a> {
    /// The chain of a case.
    pub fn of(case: &Case, mode: Mode, keys: &'a Keys) -> Self {
        let mut setup = Self::good(mode, keys);
        (case.change)(&mut setup);
        setup
    }

    fn good(mode: Mode, keys: &'a Keys) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("after 1970").as_secs() as i64;
        let validity = (now - HOUR, now + HOUR);
        let name = match mode {
            Mode::Spiffe => Name::Uri("spiffe://example.org/peer"),
            Mode::Plain => Name::Dns(PEER_NAME),
        };
        Self {
            keys,
            now,
            mode,
            root: Certificate::authority("root", "root", &keys.root, validity),
            federated: None,
            intermediates: vec![Certificate::authority(
                "intermediate",
                "root",
                &keys.intermediate,
                validity,
            )],
            leaf: Certificate::leaf("intermediate", &keys.leaf, validity, &[name]),
            leaf_issuer: None,
            presented: usize::MAX,
            extra: Vec::new(),
            copy: None,
            presented_key: None,
            lists: Vec::new(),
            unknown_status: UnknownStatus::Refuse,
            clock_skew: Duration::ZERO,
        }
    }

    /// The intermediate that signs the leaf.
    pub fn intermediate(&mut self) -> &mut Certificate {
        self.intermediates.last_mut().expect("there is one")
    }

    /// Lets the root sign the leaf.
    pub fn without_intermediate(&mut self) {
        self.intermediates.clear();
        self.leaf.issuer = self.root.subject.clone();
    }

    /// One more authority between the intermediate and the leaf.
    pub fn second_intermediate(&mut self) -> &mut Certificate {
        let validity = self.leaf.validity;
        self.leaf.issuer = der::name("second");
        let second = Certificate::authority("second", "intermediate", &self.keys.second, validity);
        self.intermediates.push(second);
        self.intermediate()
    }

    /// A root for the trust domain `partner.example`, trusted beside our own.
    pub fn federate(&mut self) {
        let validity = self.root.validity;
        let root = Certificate::authority("partner", "partner", &self.keys.other, validity);
        self.federated = Some(root);
    }

    /// Good lists of the root and of the intermediate.
    pub fn lists(&mut self) -> &mut [RevocationList] {
        let list = |issuer: &Certificate| RevocationList {
            issuer: issuer.subject.clone(),
            updates: (self.now - HOUR, self.now + HOUR),
            revoked: vec![vec![0x66]],
            key: issuer.key.clone(),
            hash: Hash::Sha256,
            point: None,
        };
        let issuers = [&self.root].into_iter().chain(&self.intermediates);
        self.lists = issuers.map(list).collect();
        &mut self.lists
    }

    pub fn sign(&self) -> Chain {
        let mut issuer = &self.root.key;
        let mut chain = Vec::new();
        for intermediate in &self.intermediates {
            chain.insert(0, intermediate.sign(issuer));
            issuer = &intermediate.key;
        }
        chain.truncate(self.presented);
        if let (Some(change), Some(original)) = (self.copy, self.intermediates.last()) {
            let mut copy = original.clone();
            change(&mut copy);
            let [copy, original] = [&copy.sign(issuer), &chain[0]].map(|whole| der::parts(whole));
            let copy = der::sequence(&[&copy[0], &original[1], &original[2]]);
            chain.insert(0, copy);
        }
        let extra = self.extra.iter().map(|extra| extra.sign(issuer));
        let leaf = self.leaf.sign(self.leaf_issuer.as_ref().unwrap_or(issuer));
        let certificates = [leaf].into_iter().chain(extra).chain(chain);
        Chain {
            certificates: certificates.map(CertificateDer::from).collect(),
            key: self
                .presented_key
                .as_ref()
                .unwrap_or(&self.leaf.key)
                .pem
                .clone(),
            trust: self.trust(),
            clock_skew: self.clock_skew,
        }
    }

    fn trust(&self) -> Trust {
        let bundle = |root: &Certificate| {
            let pem = pem("CERTIFICATE", &root.sign(&root.key));
            TrustBundle::from_pem(pem.as_bytes()).expect("a root")
        };
        let of = |root: &Certificate, domain: &str| {
            bundle(root).with_trust_domain(domain.parse().expect("a trust domain"))
        };
        let trust = match self.mode {
            Mode::Spiffe => Trust::from(of(&self.root, "example.org")),
            Mode::Plain => Trust::from(bundle(&self.root)),
        };
        let trust = match &self.federated {
            Some(root) => trust
                .federate(of(root, "partner.example"))
                .expect("another"),
            None => trust,
        };
        let lists = self.lists.iter().map(|list| {
            RevocationLists::from_der(&list.sign()).expect("a list that can be loaded")
        });
        match lists.reduce(|all, list| all.and(&list)) {
            Some(lists) => trust.with_revocation_lists(lists),
            None => trust,
        }
        .unknown_status(self.unknown_status)
    }
}

/// One block of PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let bits = group
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for place in 0..4 {
                let digit = BASE64[(bits >> (18 - 6 * place)) as usize & 0x3f];
                text.push(if place <= group.len() {
                    char::from(digit)
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    writeln!(text, "-----END {label}-----").expect("memory");
    text
}

pub const PEER_NAME: &str = "peer.example.org";
pub const HOUR: i64 = 3600;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
