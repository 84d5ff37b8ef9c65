//! An authority that makes whatever certificate it is asked for, right or wrong.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList,
    CertificateRevocationListParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use tower_mtls::{Credentials, TrustBundle};

pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    /// A root of this name.
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate().expect("key"))
    }

    /// A root of this name and key.
    pub fn with_key(name: &str, key: KeyPair) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), key);
        Self(issuer.expect("root"))
    }

    /// A second authority below this one.
    pub fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority("intermediate");
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        Self(CertifiedIssuer::signed_by(params, key, self.issuer()).expect("intermediate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn trust(&self) -> TrustBundle {
        self.plain_trust()
            .with_trust_domain("example.org".parse().expect("trust domain"))
    }

    pub fn plain_trust(&self) -> TrustBundle {
        TrustBundle::from_pem(self.pem().as_bytes()).expect("root")
    }

    /// A good X.509-SVID, after `change`.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let (chain, key) = self.leaf_pem(change);
        Credentials::from_pem(chain.as_bytes(), key.as_bytes()).expect("leaf")
    }

    /// The same with this authority's own certificate behind the leaf.
    pub fn chained_leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
        let (leaf, key) = self.leaf_pem(change);
        let chain = leaf + &self.pem();
        Credentials::from_pem(chain.as_bytes(), key.as_bytes()).expect("chain")
    }

    pub fn leaf_pem(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.is_ca = IsCa::ExplicitNoCa;
        params.subject_alt_names = vec![uri("spiffe://example.org/web")];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().expect("key");
        let leaf = params.signed_by(&key, self.issuer()).expect("leaf");
        (leaf.pem(), key.serialize_pem())
    }

    /// A list of this authority that revokes these serial numbers, in PEM.
    pub fn revoke(&self, serials: &[u64]) -> String {
        revocation_list(self, serials).pem().expect("list")
    }

    fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.0
    }
}

/// A list of this authority that revokes these serial numbers.
pub fn revocation_list(ca: &Ca, serials: &[u64]) -> CertificateRevocationList {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(2040, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(ca.issuer()).expect("list")
}

pub fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("ASCII"))
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
