//! The verdict on a peer's certificate, called by the TLS library in the middle of a handshake.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::{
    DnsName, PeerIdentity, SpiffeId, TrustBundle,
    error::{HandshakeError, Reason, Rejection},
    peer::{examine, may_sign_certificates},
};

/// Path first, then the rules of the leaf, then whether it is whom this side wants.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    trust: TrustBundle,
    accepted: Accepted,
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Which of the peers that the bundle vouches for are accepted.
#[derive(Clone, Debug)]
pub(crate) enum Accepted {
    Any,
    OneOf(Vec<SpiffeId>),
    Named(DnsName, ServerName<'static>),
}

impl PeerVerifier {
    pub(crate) fn new(
        trust: TrustBundle,
        accepted: Accepted,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            hints: trust.hints(),
            trust,
            accepted,
            algorithms,
        }
    }

    /// Who the peer is, from a leaf that this verifier has let pass.
    pub(crate) fn identify(&self, leaf: &CertificateDer<'_>) -> Result<PeerIdentity, Rejection> {
        let peer = examine(leaf, self.trust.trust_domain())?;
        match &self.accepted {
            Accepted::Any | Accepted::OneOf(_) => Ok(peer),
            Accepted::Named(name, _) => Ok(peer.verified_as(name)),
        }
    }

    /// Whether a handshake now would accept this peer.
    pub(crate) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        usage: KeyUsage,
    ) -> Result<(), HandshakeError> {
        let verdict = match chain.split_first() {
            Some((leaf, intermediates)) => self.verify(leaf, intermediates, UnixTime::now(), usage),
            None => Err(rustls::Error::NoCertificatesPresented),
        };
        verdict.map_err(HandshakeError::from_rustls)
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), rustls::Error> {
        let certificate = EndEntityCert::try_from(leaf).map_err(|error| self.path_error(error))?;
        certificate
            .verify_for_usage(
                self.algorithms.all,
                self.trust.roots(),
                intermediates,
                now,
                usage,
                None,
                Some(&issuers_may_sign),
            )
            .map_err(|error| self.path_error(error))?;

        let peer = examine(leaf, self.trust.trust_domain()).map_err(rejected)?;
        self.accept(&certificate, &peer).map_err(rejected)
    }

    fn accept(&self, leaf: &EndEntityCert<'_>, peer: &PeerIdentity) -> Result<(), Rejection> {
        let wanted = match &self.accepted {
            Accepted::Any => return Ok(()),
            Accepted::OneOf(ids) => match peer.spiffe_id() {
                Some(id) if ids.contains(id) => return Ok(()),
                _ => listed(ids),
            },
            Accepted::Named(name, server_name) => {
                match leaf.verify_is_valid_for_subject_name(server_name) {
                    Ok(()) => return Ok(()),
                    Err(_) => format!("dns:{name}"),
                }
            }
        };
        let rejection = Rejection::new(Reason::WrongIdentity, format!("expected {wanted}"));
        match peer.primary() {
            Some(identity) => Err(rejection.with_claimed_peer(identity.clone())),
            None => Err(rejection),
        }
    }

    /// Keeps the library's own kinds where there is one, because they choose the alert that tells
    /// the peer what is wrong.
    fn path_error(&self, error: webpki::Error) -> rustls::Error {
        use webpki::Error as Path;

        let error = match error {
            Path::CertExpired { time, not_after } => {
                CertificateError::ExpiredContext { time, not_after }
            }
            Path::CertNotValidYet { time, not_before } => {
                CertificateError::NotValidYetContext { time, not_before }
            }
            // Another authority under the name of a root: to us it is as unknown as any other.
            Path::UnknownIssuer | Path::InvalidSignatureForPublicKey => {
                CertificateError::UnknownIssuer
            }
            Path::BadDer | Path::BadDerTime | Path::TrailingData(_) => {
                CertificateError::BadEncoding
            }
            Path::CaUsedAsEndEntity if self.trust.trust_domain().is_some() => {
                let detail = "the certificate is an authority's, not a workload's";
                return rejected(Rejection::new(Reason::NotAnSvid, detail));
            }
            other => return rejected(Rejection::new(Reason::BadCertificate, other.to_string())),
        };
        error.into()
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
        self.verify(end_entity, intermediates, now, KeyUsage::server_auth())
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
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
        true
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
        self.verify(end_entity, intermediates, now, KeyUsage::client_auth())
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls12())
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

/// The path validation ignores the key usage of issuers, so it is checked on each candidate.
fn issuers_may_sign(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    let mut issuers = path.intermediate_certificates();
    match issuers.all(|issuer| may_sign_certificates(&issuer.der())) {
        true => Ok(()),
        false => Err(webpki::Error::EndEntityUsedAsCa),
    }
}

fn rejected(rejection: Rejection) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(rejection))).into()
}

fn tls12() -> rustls::Error {
    rustls::Error::General("TLS 1.2 is not offered".to_owned())
}

fn listed(ids: &[SpiffeId]) -> String {
    let shown = ids.iter().take(MAX_LISTED).map(SpiffeId::as_str);
    let mut list = shown.collect::<Vec<_>>().join(" or ");
    if let Some(more) = ids.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
        list.push_str(&format!(" or {more} others"));
    }
    list
}

const MAX_LISTED: usize = 4;
