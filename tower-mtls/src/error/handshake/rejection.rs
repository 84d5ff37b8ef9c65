use std::{error::Error, fmt};

use rustls::CertificateError;
use webpki::Error as PathError;

use crate::{
    Identity,
    error::{HandshakeError, Reason},
};

/// A verdict of this crate's verifier against a peer.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    reason: Reason,
    detail: Box<str>,
    claimed_peer: Option<Identity>,
    alert: Alert,
}

/// What the peer is told.
#[derive(Clone, Copy, Debug)]
enum Alert {
    BadCertificate,
    UnsupportedCertificate,
    CertificateExpired,
    CertificateRevoked,
    UnknownCa,
    AccessDenied,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            claimed_peer: None,
            alert: Alert::of(reason),
        }
    }

    /// A verdict of the path validation.
    pub(crate) fn from_path(error: &PathError) -> Self {
        let reason = match error {
            PathError::CertExpired { .. } => Reason::Expired,
            PathError::CertNotValidYet { .. } => Reason::NotYetValid,
            // Another authority under the name of a root: to us it is as unknown as any other.
            PathError::UnknownIssuer | PathError::InvalidSignatureForPublicKey => {
                Reason::UnknownIssuer
            }
            PathError::CertRevoked => Reason::Revoked,
            PathError::UnknownRevocationStatus
            | PathError::CrlExpired { .. }
            | PathError::InvalidCrlSignatureForPublicKey
            | PathError::UnsupportedCrlSignatureAlgorithmContext(_)
            | PathError::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
            | PathError::IssuerNotCrlSigner => Reason::RevocationUnknown,
            _ => Reason::BadCertificate,
        };
        let rejection = Self::new(reason, error.to_string());
        match error {
            PathError::RequiredEkuNotFoundContext(_) | PathError::EmptyEkuExtension => Self {
                alert: Alert::UnsupportedCertificate,
                ..rejection
            },
            _ => rejection,
        }
    }

    pub(crate) fn with_claimed_peer(mut self, peer: impl Into<Identity>) -> Self {
        self.claimed_peer = Some(peer.into());
        self
    }

    pub(crate) fn to_error(&self) -> HandshakeError {
        HandshakeError {
            reason: self.reason,
            detail: self.detail.clone(),
            claimed_peer: self.claimed_peer.clone(),
            source: None,
        }
    }

    /// The error for which the TLS library sends the right alert.
    pub(crate) fn to_tls(&self) -> rustls::Error {
        let error = match self.alert {
            Alert::BadCertificate => CertificateError::BadEncoding,
            Alert::UnsupportedCertificate => CertificateError::InvalidPurpose,
            Alert::CertificateExpired => CertificateError::Expired,
            Alert::CertificateRevoked => CertificateError::Revoked,
            Alert::UnknownCa => CertificateError::UnknownIssuer,
            Alert::AccessDenied => CertificateError::ApplicationVerificationFailure,
        };
        error.into()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl Error for Rejection {}

impl Alert {
    /// RFC 8446, 6.2.
    fn of(reason: Reason) -> Self {
        match reason {
            Reason::Expired | Reason::NotYetValid => Self::CertificateExpired,
            Reason::Revoked => Self::CertificateRevoked,
            // As other implementations do where a status is not known.
            Reason::UnknownIssuer | Reason::UnknownTrustDomain | Reason::RevocationUnknown => {
                Self::UnknownCa
            }
            Reason::WrongIdentity => Self::AccessDenied,
            Reason::NotAnSvid => Self::UnsupportedCertificate,
            _ => Self::BadCertificate,
        }
    }
}
