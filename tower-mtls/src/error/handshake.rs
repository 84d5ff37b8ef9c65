use std::{error::Error, fmt, io};

use rustls::AlertDescription;

use crate::{
    Identity,
    error::{BoxError, Reason},
};

mod rejection;

pub(crate) use self::rejection::Rejection;

/// A handshake that ended without a verified connection.
///
/// The text says what happened and what to do; [`reason`](Self::reason) is for programs. The
/// [`source`](Error::source) is the error of the connection or of the TLS library, where there is one; its
/// type may change in any release.
#[derive(Debug)]
pub struct HandshakeError {
    reason: Reason,
    detail: Box<str>,
    claimed_peer: Option<Identity>,
    source: Option<BoxError>,
}

impl HandshakeError {
    pub(crate) fn new(reason: Reason, detail: impl Into<Box<str>>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            claimed_peer: None,
            source: None,
        }
    }

    /// Reads the reason out of what the TLS library gave.
    pub(crate) fn from_tls(error: io::Error) -> Self {
        let kind = error.kind();
        let Some(inner) = error.into_inner() else {
            let error = io::Error::from(kind);
            return Self::new(Reason::Io, error.to_string()).with_source(error);
        };
        match inner.downcast::<rustls::Error>() {
            Ok(tls) => Self::from_rustls(*tls),
            Err(other) => {
                let error = io::Error::new(kind, other);
                Self::new(Reason::Io, error.to_string()).with_source(error)
            }
        }
    }

    /// Explains an error of an established stream: the peer's late refusal, if it is that.
    pub(crate) fn explain_read(error: io::Error) -> io::Error {
        let refusal = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::AlertReceived(alert)) if is_refusal(*alert) => *alert,
            _ => return error,
        };
        let kind = io::ErrorKind::PermissionDenied;
        io::Error::new(
            kind,
            Self::from_rustls(rustls::Error::AlertReceived(refusal)),
        )
    }

    /// Why it failed.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whom the refused certificate names: named by a certificate that a root vouches for; possession
    /// of its key was not checked.
    ///
    /// Certificates are public, so anyone can present another's: good for a log, and not for blaming or
    /// blocking the one named.
    pub fn claimed_peer(&self) -> Option<&Identity> {
        self.claimed_peer.as_ref()
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn from_rustls(error: rustls::Error) -> Self {
        use rustls::Error::{AlertReceived, InvalidCertificate, NoCertificatesPresented};

        let reason = match &error {
            NoCertificatesPresented => Reason::NoCertificate,
            // Verdicts on the certificate come another way: this one is on the signature of the handshake.
            InvalidCertificate(_) => Reason::BadCertificate,
            AlertReceived(alert) if is_refusal(*alert) => Reason::RejectedByPeer,
            _ => Reason::Protocol,
        };
        Self::new(reason, error.to_string()).with_source(error)
    }

    fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS handshake failed ({}): {}", self.reason, self.detail)?;
        if let Some(peer) = &self.claimed_peer {
            write!(f, "; the peer claims to be {peer}")?;
        }
        write!(f, "; {}", self.reason.advice())
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}
