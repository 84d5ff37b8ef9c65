//! The verdict on a peer's certificate, called by the TLS library in the middle of a handshake.

pub(crate) mod constraints;
pub(crate) mod cut;
mod path;
#[cfg(test)]
mod pkits;
pub(crate) mod verdict;

use std::time::{Duration, SystemTime};

use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::{
    DnsName, Identity, PeerIdentity, SpiffeId, Trust, TrustBundle, TrustDomain,
    error::{HandshakeError, Reason, Rejection},
    peer::{Issuer, Leaf, WEAK_KEY, system_time},
    provider::Sha256,
    verify::path::PathRules,
};

/// The bundle first, by the peer's trust domain; then the path, the rules of the leaf, and whether it is whom
/// this side wants.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    trust: Trust,
    accepted: Accepted,
    role: Role,
    clock_skew: Duration,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
    sha256: Sha256,
}

/// Which of the peers that the trust vouches for are accepted.
#[derive(Clone, Debug)]
pub(crate) enum Accepted {
    Any,
    OwnTrustDomain,
    TrustDomains(Vec<TrustDomain>),
    OneOf(Vec<SpiffeId>),
    Named(DnsName, ServerName<'static>),
}

/// What the peer is to this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client { required: bool },
}

impl PeerVerifier {
    pub(crate) fn new(
        trust: Trust,
        accepted: Accepted,
        role: Role,
        clock_skew: Duration,
        provider: &CryptoProvider,
    ) -> Option<Self> {
        Some(Self {
            hints: trust.hints(),
            trust,
            accepted,
            role,
            clock_skew,
            algorithms: provider.signature_verification_algorithms,
            sha256: Sha256::of(provider)?,
        })
    }

    /// Whether a handshake now would accept this peer, and until when.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<SystemTime, HandshakeError> {
        let Some((leaf, intermediates)) = chain.split_first() else {
            let detail = "the peer presented no certificate";
            return Err(HandshakeError::new(Reason::NoCertificate, detail));
        };
        match self.verify(leaf, intermediates, UnixTime::now()) {
            Ok(peer) => Ok(peer.not_after()),
            Err(rejection) => Err(rejection.to_error()),
        }
    }

    /// The verdict on a chain, leaf first, at a time: the same that a handshake gets.
    pub(crate) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, Rejection> {
        let certificate = leaf;
        let leaf = Leaf::read(certificate)
            .ok_or_else(|| Rejection::new(Reason::BadCertificate, "the certificate is damaged"))?;
        let (bundle, id) = self.bundle(&leaf)?;
        let not_after = PathRules {
            trust: &self.trust,
            bundle,
            algorithms: self.algorithms.all,
            purpose: self.purpose(),
            clock_skew: self.clock_skew,
        }
        .verify(&leaf, certificate, intermediates, now)
        .map_err(|error| self.path_rejection(error, &leaf, intermediates))?;

        let identities = self.identities(&leaf, id)?;
        leaf.check_key(self.algorithms.all)
            .map_err(|broken| Rejection::new(Reason::BadCertificate, broken))?;
        self.accept(certificate, identities.first())?;
        let not_after = system_time(not_after).ok_or_else(|| {
            Rejection::new(Reason::BadCertificate, "its notAfter is out of range")
        })?;
        let peer = PeerIdentity::new(
            identities,
            self.sha256.of_all([certificate]),
            self.sha256
                .of_all([certificate].into_iter().chain(intermediates)),
            not_after,
        );
        Ok(match &self.accepted {
            Accepted::Named(name, _) => peer.verified_as(name),
            _ => peer,
        })
    }

    /// The roots that may vouch for a leaf, which its own name tells, and that name.
    fn bundle(&self, leaf: &Leaf<'_>) -> Result<(&TrustBundle, Option<SpiffeId>), Rejection> {
        if let Some(bundle) = self.trust.plain() {
            return Ok((bundle, None));
        }
        let id = leaf
            .spiffe_id()
            .map_err(|broken| Rejection::new(Reason::NotAnSvid, broken))?;
        match self.trust.bundle_for(&id) {
            Some(bundle) => Ok((bundle, Some(id))),
            None => {
                let detail = format!("there is no bundle for {}", id.trust_domain());
                Err(Rejection::new(Reason::UnknownTrustDomain, detail))
            }
        }
    }

    fn identities(
        &self,
        leaf: &Leaf<'_>,
        id: Option<SpiffeId>,
    ) -> Result<Box<[Identity]>, Rejection> {
        let Some(id) = id else {
            let bad = |broken: String| Rejection::new(Reason::BadCertificate, broken);
            leaf.check_form().map_err(|broken| bad(broken.into()))?;
            return leaf.dns_names().map_err(bad);
        };
        match leaf.check_svid() {
            Ok(()) => Ok(Box::new([Identity::Spiffe(id)])),
            Err(broken) => Err(Rejection::new(Reason::NotAnSvid, broken).with_claimed_peer(id)),
        }
    }

    fn accept(&self, leaf: &CertificateDer<'_>, peer: Option<&Identity>) -> Result<(), Rejection> {
        let id = peer.and_then(Identity::as_spiffe);
        let domain = id.map(SpiffeId::trust_domain);
        let (accepted, wanted) = match &self.accepted {
            Accepted::Any => return Ok(()),
            Accepted::OwnTrustDomain => {
                let own = self.trust.trust_domain();
                (own.is_some() && own == domain, listed(own.into_iter()))
            }
            Accepted::TrustDomains(domains) => (
                domain.is_some_and(|domain| domains.contains(domain)),
                listed(domains.iter()),
            ),
            Accepted::OneOf(ids) => (id.is_some_and(|id| ids.contains(id)), listed(ids.iter())),
            Accepted::Named(name, server_name) => (
                EndEntityCert::try_from(leaf)
                    .and_then(|leaf| leaf.verify_is_valid_for_subject_name(server_name))
                    .is_ok(),
                format!("dns:{name}"),
            ),
        };
        if accepted {
            return Ok(());
        }
        let rejection = Rejection::new(Reason::WrongIdentity, format!("expected {wanted}"));
        match peer {
            Some(identity) => Err(rejection.with_claimed_peer(identity.clone())),
            None => Err(rejection),
        }
    }

    /// Why there is no path, which the path validation does not always know.
    fn path_rejection(
        &self,
        error: webpki::Error,
        leaf: &Leaf<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Rejection {
        use webpki::Error::{CaUsedAsEndEntity, InvalidSignatureForPublicKey};

        let is_spiffe = self.trust.trust_domain().is_some();
        match error {
            CaUsedAsEndEntity if is_spiffe => {
                Rejection::new(Reason::NotAnSvid, "it is an authority's, not a workload's")
            }
            // Too short a key counts as a signature that is not its own.
            InvalidSignatureForPublicKey if self.has_weak_issuer(leaf, intermediates) => {
                let detail = format!("an issuer is weak: {WEAK_KEY}");
                Rejection::new(Reason::BadCertificate, detail)
            }
            error => Rejection::from_path(&error),
        }
    }

    fn has_weak_issuer(&self, leaf: &Leaf<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        let bundle = self.bundle(leaf).ok().map(|(bundle, _)| bundle);
        let mut issuers = intermediates.iter().filter_map(|one| Issuer::read(one));
        issuers.any(|issuer| issuer.is_weak()) || bundle.is_some_and(TrustBundle::has_weak_root)
    }

    fn purpose(&self) -> KeyUsage {
        match self.role {
            Role::Server => KeyUsage::server_auth(),
            Role::Client { .. } => KeyUsage::client_auth(),
        }
    }

    /// Leaves the verdict for the handshake, and tells the library what to tell the peer.
    fn pass(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let verdict = self.verify(leaf, intermediates, now);
        let answer = match &verdict {
            Ok(_) => Ok(()),
            Err(rejection) => Err(rejection.to_tls()),
        };
        verdict::leave(verdict);
        answer
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.pass(end_entity, intermediates, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.role != Role::Client { required: false }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.pass(end_entity, intermediates, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn listed<'a, T: AsRef<str> + 'a>(names: impl ExactSizeIterator<Item = &'a T>) -> String {
    let more = names.len().saturating_sub(MAX_LISTED);
    let shown = names.take(MAX_LISTED).map(AsRef::as_ref);
    let mut list = shown.collect::<Vec<_>>().join(" or ");
    if more > 0 {
        list.push_str(&format!(" or {more} others"));
    }
    list
}

const MAX_LISTED: usize = 4;
