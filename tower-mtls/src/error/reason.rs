use std::fmt;

/// Why a handshake failed: few and fixed, so that it can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// This side has no certificate or no roots: its source has not given any yet, or none that fit.
    NoCredentials,
    /// The client presented no certificate, and one is required.
    NoCertificate,
    /// No path leads from the peer's certificate to a root of the trust bundle.
    UnknownIssuer,
    /// A certificate of the path is past its `notAfter`.
    Expired,
    /// A certificate of the path is before its `notBefore`.
    NotYetValid,
    /// A certificate of the path is revoked by its issuer.
    Revoked,
    /// Whether a certificate of the path is revoked is not known: no list of its issuer, an outdated one, or one
    /// that is not signed by the issuer.
    RevocationUnknown,
    /// There is no bundle for the trust domain of the peer's SPIFFE ID.
    UnknownTrustDomain,
    /// The peer's certificate is verified, but it does not name the peer that was expected.
    WrongIdentity,
    /// The path is good, but the leaf breaks a rule of X.509-SVID: not exactly one URI name, not
    /// a workload's SPIFFE ID, a certificate authority, or the wrong key usage or extended key usage.
    NotAnSvid,
    /// The certificate, its key or its signature is bad in another way: damaged, for another purpose, outside of
    /// what its issuers may sign, or too weak.
    BadCertificate,
    /// The peer refused this side's certificate, or its absence, with a TLS alert.
    RejectedByPeer,
    /// The peer broke the TLS protocol, or there is no version, group or ALPN in common.
    Protocol,
    /// The handshake, or the wait for a slot, took longer than the handshake timeout.
    Timeout,
    /// Too many connections were shaking hands, and it was the one to make room for others.
    Overloaded,
    /// The connection failed or closed during the handshake.
    Io,
}

impl Reason {
    /// Every reason, for those who export one time series for each.
    pub const ALL: &'static [Self] = &[
        Self::NoCredentials,
        Self::NoCertificate,
        Self::UnknownIssuer,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::UnknownTrustDomain,
        Self::WrongIdentity,
        Self::NotAnSvid,
        Self::BadCertificate,
        Self::RejectedByPeer,
        Self::Protocol,
        Self::Timeout,
        Self::Overloaded,
        Self::Io,
    ];

    pub(crate) const COUNT: usize = Self::ALL.len();

    /// A short name in snake case, for logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::NoCertificate => "no_certificate",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::UnknownTrustDomain => "unknown_trust_domain",
            Self::WrongIdentity => "wrong_identity",
            Self::NotAnSvid => "not_an_svid",
            Self::BadCertificate => "bad_certificate",
            Self::RejectedByPeer => "rejected_by_peer",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Io => "io",
        }
    }

    /// Whether this side refused the peer for its certificate, or for the lack of one.
    pub(crate) fn is_refusal(self) -> bool {
        match self {
            Self::NoCertificate
            | Self::UnknownIssuer
            | Self::Expired
            | Self::NotYetValid
            | Self::Revoked
            | Self::RevocationUnknown
            | Self::UnknownTrustDomain
            | Self::WrongIdentity
            | Self::NotAnSvid
            | Self::BadCertificate => true,
            Self::NoCredentials
            | Self::RejectedByPeer
            | Self::Protocol
            | Self::Timeout
            | Self::Overloaded
            | Self::Io => false,
        }
    }

    /// What the reader of the error can do.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::NoCredentials => "see in the log why this side's source has none",
            Self::NoCertificate => "give the client credentials",
            Self::UnknownIssuer => "compare the trust bundle with the peer's issuer",
            Self::Expired => "renew the peer's certificate, or set this host's clock",
            Self::NotYetValid => "set the clocks of this host and of the issuer",
            Self::Revoked => "find out why, and issue the peer another certificate",
            Self::RevocationUnknown => "give a current list of each issuer of the path",
            Self::UnknownTrustDomain => {
                "issue the peer an SVID of a known trust domain, or federate with its own"
            }
            Self::WrongIdentity => "check the address that was dialled and the expected identity",
            Self::NotAnSvid => "have the peer's issuer follow the X.509-SVID standard",
            Self::BadCertificate => "have the peer's certificate issued anew",
            Self::RejectedByPeer => "check this side's credentials and the peer's trust bundle",
            Self::Protocol => "the peer must speak a TLS version and an ALPN name of this side",
            Self::Timeout => "check that the peer speaks TLS and is not overloaded",
            Self::Overloaded => {
                "find out who opens connections and does not use them, or raise the limit"
            }
            Self::Io => "check the network and the peer's own log",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
