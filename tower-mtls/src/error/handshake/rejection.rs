use std::{borrow::Cow, error::Error, fmt};

use rustls::CertificateError;
use rustls_pki_types::UnixTime;
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
        let rejection = Self::new(reason, text(error));
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

/// What the path validation found, for people.
fn text(error: &PathError) -> Cow<'static, str> {
    let seconds = |late: UnixTime, early: UnixTime| late.as_secs().saturating_sub(early.as_secs());
    Cow::Borrowed(match error {
        PathError::CertExpired { time, not_after } => {
            let ago = seconds(*time, *not_after);
            return format!("a certificate of the path expired {ago} s ago").into();
        }
        PathError::CertNotValidYet { time, not_before } => {
            let left = seconds(*not_before, *time);
            return format!("a certificate of the path is not valid for another {left} s").into();
        }
        PathError::CrlExpired { time, next_update } => {
            let ago = seconds(*time, *next_update);
            return format!("the next update of a revocation list was due {ago} s ago").into();
        }
        PathError::UnknownIssuer => "no path leads from it to a root",
        PathError::InvalidSignatureForPublicKey => {
            "a signature of the path is not by the key of the issuer"
        }
        PathError::EndEntityUsedAsCa => "an issuer of the path may not sign certificates",
        PathError::CaUsedAsEndEntity => "it is an authority's",
        PathError::PathLenConstraintViolated => "the path is longer than an issuer allows",
        PathError::MaximumPathDepthExceeded => "the path has too many certificates",
        PathError::NameConstraintViolation => {
            "a name is outside of the name constraints of an issuer"
        }
        PathError::RequiredEkuNotFoundContext(_) => {
            "a certificate of the path is for other purposes"
        }
        PathError::EmptyEkuExtension => "a certificate of the path is for no purpose",
        PathError::UnsupportedCriticalExtension => {
            "a certificate of the path has an unknown critical extension"
        }
        PathError::UnsupportedCertVersion => "a certificate of the path is not of version 3",
        PathError::SignatureAlgorithmMismatch => {
            "a certificate of the path names two signature algorithms"
        }
        PathError::UnsupportedSignatureAlgorithmContext(_)
        | PathError::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature of the path is of a kind that is not accepted, such as SHA-1"
        }
        PathError::ExtensionValueInvalid => "an extension is damaged, or there twice",
        PathError::InvalidCertValidity => "a certificate of the path ends before it begins",
        PathError::CertRevoked => "a certificate of the path is revoked",
        PathError::UnknownRevocationStatus => "there is no revocation list of an issuer",
        PathError::InvalidCrlSignatureForPublicKey => {
            "a revocation list is not signed by the key of the issuer"
        }
        PathError::UnsupportedCrlSignatureAlgorithmContext(_)
        | PathError::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            "the signature of a revocation list is of a kind that is not accepted"
        }
        PathError::IssuerNotCrlSigner => "an issuer may not sign its revocation list",
        PathError::BadDer | PathError::BadDerTime | PathError::TrailingData(_) => {
            "a certificate of the path is damaged"
        }
        other => return other.to_string().into(),
    })
}
