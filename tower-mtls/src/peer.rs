//! From a leaf certificate to the identity it carries: no I/O and no clock.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, time::ASN1Time,
};

use crate::{
    DnsName, Identity, SpiffeId, TrustDomain, Validity,
    error::{Reason, Rejection},
};

/// The identity of the peer of one connection; cheap to clone.
///
/// There is no way to make one but a handshake in which this crate verified the peer's certificate,
/// so a request that carries it was received on such a connection, if it was put there by the server.
/// It is read once per connection, and shared by all clones.
#[derive(Clone)]
pub struct PeerIdentity {
    identities: Arc<[Identity]>,
    not_after: SystemTime,
    /// There is one in each that leaves the crate.
    validity: Option<Validity>,
}

impl PeerIdentity {
    /// Every identity of the peer, the primary first.
    ///
    /// With a trust domain it is exactly one SPIFFE ID. In a plain PKI these are the DNS names of the
    /// certificate, without wildcards; a client's certificate may have none.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The first identity.
    pub fn primary(&self) -> Option<&Identity> {
        self.identities.first()
    }

    /// The SPIFFE ID, if the trust bundle has a trust domain.
    pub fn spiffe_id(&self) -> Option<&SpiffeId> {
        self.identities.iter().find_map(Identity::as_spiffe)
    }

    /// When the peer's certificate expires. By default its connections end then.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether the peer would still be accepted: its certificate has not expired, and at the last rotation
    /// it was not found to be revoked or without a root.
    ///
    /// It is cheap enough to ask for each request: it looks at the clock, and neither locks nor allocates.
    pub fn is_valid(&self) -> bool {
        self.validity.as_ref().is_some_and(Validity::is_valid)
    }

    /// Tells when the peer is no longer accepted, and why.
    pub fn validity(&self) -> Option<&Validity> {
        self.validity.as_ref()
    }

    pub(crate) fn with_validity(mut self, validity: Validity) -> Self {
        self.validity = Some(validity);
        self
    }

    /// The same peer, with the name under which it was just verified in front.
    pub(crate) fn verified_as(self, name: &DnsName) -> Self {
        let name = Identity::Dns(name.clone());
        let others = self.identities.iter().filter(|other| **other != name);
        Self {
            identities: std::iter::once(&name).chain(others).cloned().collect(),
            ..self
        }
    }
}

/// Two connections of one peer have equal identities, whether or not they are still valid.
impl PartialEq for PeerIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.identities == other.identities && self.not_after == other.not_after
    }
}

impl Eq for PeerIdentity {}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.primary() {
            Some(identity) => identity.fmt(f),
            None => f.write_str("(a certificate without a DNS name)"),
        }
    }
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerIdentity")
            .field(&self.identities)
            .finish()
    }
}

/// Reads a leaf whose path is already verified, by the rules of X.509-SVID if there is a trust
/// domain.
pub(crate) fn examine(
    leaf: &[u8],
    trust_domain: Option<&TrustDomain>,
) -> Result<PeerIdentity, Rejection> {
    let certificate = parse(leaf)
        .ok_or_else(|| Rejection::new(Reason::BadCertificate, "the certificate is damaged"))?;
    let identities = match trust_domain {
        Some(trust_domain) => Arc::new([Identity::Spiffe(svid(&certificate, trust_domain)?)]),
        None => dns_names(&certificate)?,
    };
    let not_after = system_time(certificate.validity().not_after)
        .ok_or_else(|| Rejection::new(Reason::BadCertificate, "its notAfter is out of range"))?;
    Ok(PeerIdentity {
        identities,
        not_after,
        validity: None,
    })
}

/// From when until when a certificate is valid, if it can be read at all.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let certificate = parse(certificate)?;
    let validity = certificate.validity();
    Some((
        system_time(validity.not_before)?,
        system_time(validity.not_after)?,
    ))
}

/// Whether an issuing certificate may sign others: RFC 5280, 6.1.4 (n).
pub(crate) fn may_sign_certificates(issuer: &[u8]) -> bool {
    parse(issuer).is_some_and(|issuer| match issuer.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    })
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

fn svid(
    certificate: &X509Certificate<'_>,
    trust_domain: &TrustDomain,
) -> Result<SpiffeId, Rejection> {
    let id = sole_uri(certificate)?
        .parse::<SpiffeId>()
        .map_err(|error| Rejection::new(Reason::NotAnSvid, error.to_string()))?;
    if let Err(broken) = check_leaf(certificate) {
        return Err(Rejection::new(Reason::NotAnSvid, broken).with_claimed_peer(id));
    }
    if id.trust_domain() != trust_domain {
        let detail = format!("only the trust domain {trust_domain} is accepted");
        return Err(Rejection::new(Reason::WrongTrustDomain, detail).with_claimed_peer(id));
    }
    Ok(id)
}

fn sole_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, Rejection> {
    let mut uris = names(certificate, Reason::NotAnSvid)?.filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        (None, _) => Err(Rejection::new(
            Reason::NotAnSvid,
            "the certificate has no URI name",
        )),
        (Some(_), Some(_)) => Err(Rejection::new(
            Reason::NotAnSvid,
            "the certificate has more than one URI name",
        )),
    }
}

/// X.509-SVID, sections 4 and 5.2, for what is not in the path validation.
fn check_leaf(certificate: &X509Certificate<'_>) -> Result<(), &'static str> {
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if !constraints.value.ca => {}
        // An extension that cannot be read counts as absent in the parser, hence no mercy for that.
        _ => return Err("its basic constraints do not say that it is no authority"),
    }
    let usage = match certificate.key_usage() {
        Ok(Some(usage)) => usage.value,
        _ => return Err("it has no key usage that can be read"),
    };
    if !usage.digital_signature() {
        return Err("its key usage lacks digitalSignature");
    }
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err("its key usage has keyCertSign or cRLSign, which only authorities have");
    }
    Ok(())
}

fn dns_names(certificate: &X509Certificate<'_>) -> Result<Arc<[Identity]>, Rejection> {
    let names = names(certificate, Reason::BadCertificate)?.filter_map(|name| match name {
        // A wildcard matches names, but it is not itself the name of anyone.
        GeneralName::DNSName(name) => name.parse::<DnsName>().ok().map(Identity::Dns),
        _ => None,
    });
    Ok(names.collect())
}

/// The subject's alternative names, none of which may be damaged.
fn names<'a, 'b>(
    certificate: &'a X509Certificate<'b>,
    reason: Reason,
) -> Result<impl Iterator<Item = &'a GeneralName<'b>>, Rejection> {
    let damaged = || Rejection::new(reason, "the certificate's alternative names are damaged");

    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.as_slice(),
        Ok(None) => &[],
        Err(_) => return Err(damaged()),
    };
    let invalid = |name: &GeneralName<'_>| matches!(name, GeneralName::Invalid(..));
    match names.iter().any(invalid) {
        true => Err(damaged()),
        false => Ok(names.iter()),
    }
}

fn system_time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    }
}
