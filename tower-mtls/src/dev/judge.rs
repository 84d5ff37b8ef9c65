use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{
    Trust,
    error::{HandshakeError, Reason},
    provider::provider,
    verify::{Accepted, PeerVerifier, Role},
};

/// Who presents a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client of a connection.
    Client,
    /// The server of a connection.
    Server,
}

/// The verdict of a handshake on a chain in DER, leaf first, but without the handshake: for tests of an issuer.
///
/// Whether the one who presents it has the key, and is the one that was expected, is not asked. So it gives nobody
/// an identity.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_mtls::{dev::{Authority, Side, judge}, error::Reason};
///
/// let authority = Authority::new("example.org".parse()?)?;
/// let web = authority.svid("/web")?;
/// let chain = web.chain_der();
/// let now = SystemTime::now();
/// assert!(judge(authority.trust_bundle(), &chain, Side::Client, now).is_ok());
///
/// let later = now + Duration::from_secs(2 * 86_400);
/// let error = judge(authority.trust_bundle(), &chain, Side::Client, later).unwrap_err();
/// assert_eq!(error.reason(), Reason::Expired);
/// # Ok::<(), tower_mtls::BoxError>(())
/// ```
pub fn judge(
    trust: impl Into<Trust>,
    chain: &[impl AsRef<[u8]>],
    presented_by: Side,
    at: SystemTime,
) -> Result<(), HandshakeError> {
    let chain = chain.iter().map(|der| CertificateDer::from(der.as_ref()));
    let chain = chain.collect::<Vec<_>>();
    let (leaf, intermediates) = chain.split_first().ok_or_else(|| {
        HandshakeError::new(
            Reason::NoCertificate,
            "there is no certificate in the chain",
        )
    })?;
    let role = match presented_by {
        Side::Client => Role::Client { required: true },
        Side::Server => Role::Server,
    };
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let verifier = provider().and_then(|provider| {
        PeerVerifier::new(trust.into(), Accepted::Any, role, Duration::ZERO, &provider)
    });
    let verifier = verifier
        .ok_or_else(|| HandshakeError::new(Reason::Protocol, "no cryptography is compiled in"))?;
    let verdict = verifier.verify(leaf, intermediates, UnixTime::since_unix_epoch(at));
    verdict.map(drop).map_err(|rejection| rejection.to_error())
}
