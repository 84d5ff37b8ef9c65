//! What certificates say, and whether it is by the rules: no I/O and no clock.

use std::time::SystemTime;

use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, X509Extension},
    oid_registry::{OID_X509_EXT_CRL_DISTRIBUTION_POINTS, OID_X509_EXT_NAME_CONSTRAINTS},
    parse_x509_certificate,
    prelude::FromDer,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use crate::{
    DnsName, Identity, SpiffeId,
    der::{self, SEQUENCE},
    peer::system_time,
    verify::constraints::Names,
};

/// A certificate that a peer presents as its own.
pub(crate) struct Leaf<'a>(X509Certificate<'a>);

/// A certificate of an authority between a leaf and a root.
pub(crate) struct Issuer<'a>(X509Certificate<'a>);

/// The rule that a certificate breaks.
pub(crate) type Broken = String;

impl<'a> Leaf<'a> {
    /// `None` where it is damaged.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        parse(der).map(Self)
    }

    /// When it expires, in seconds since 1970.
    pub(crate) fn not_after(&self) -> i64 {
        self.0.validity().not_after.timestamp()
    }

    /// The SPIFFE ID that it names as its own: its only URI name.
    pub(crate) fn spiffe_id(&self) -> Result<SpiffeId, Broken> {
        let mut uris = uris(&self.0).ok_or("its alternative names are damaged")?;
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri.parse::<SpiffeId>().map_err(|error| error.to_string()),
            (None, _) => Err("it has no URI name".into()),
            (Some(_), Some(_)) => Err("it has more than one URI name".into()),
        }
    }

    /// Its DNS names, without those that are no identity of anyone, such as wildcards.
    pub(crate) fn dns_names(&self) -> Result<Box<[Identity]>, Broken> {
        let names = names(&self.0).ok_or("its alternative names are damaged")?;
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => name.parse::<DnsName>().ok().map(Identity::Dns),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Adds the names that constraints may be about; `None` where they are damaged.
    pub(crate) fn add_names(&self, to: &mut Names) -> Option<()> {
        add_names(&self.0, to)
    }

    /// The name of its issuer in DER, if it names no distribution point of revocation lists.
    pub(crate) fn issuer_without_point(&self) -> Option<&[u8]> {
        issuer_without_point(&self.0)
    }

    /// What holds in every PKI: without a subject, the alternative names must be there and critical (RFC 5280, 4.1.2.6;
    /// X.509-SVID, 3.1), and only an authority constrains names (RFC 5280, 4.2.1.10).
    pub(crate) fn check_form(&self) -> Result<(), &'static str> {
        let mut extensions = self.0.extensions().iter();
        if extensions.any(|one| one.oid == OID_X509_EXT_NAME_CONSTRAINTS) {
            return Err("it has name constraints, which only authorities have");
        }
        let has_subject = self.0.subject().iter().next().is_some();
        match self.0.subject_alternative_name() {
            _ if has_subject => Ok(()),
            Ok(Some(names)) if names.critical => Ok(()),
            _ => Err("it has no subject, and no critical alternative names"),
        }
    }

    /// The rules of X.509-SVID for a leaf (sections 4 and 5.2), but for its ID and what the path validation
    /// and [`check_key`](Self::check_key) see to.
    pub(crate) fn check_svid(&self) -> Result<(), &'static str> {
        self.check_form()?;
        match self.0.basic_constraints() {
            Ok(Some(constraints)) if !constraints.value.ca => {}
            // An extension that cannot be read counts as absent in the parser, hence no mercy for that.
            _ => return Err("its basic constraints do not say that it is no authority"),
        }
        let Ok(Some(usage)) = self.0.key_usage() else {
            return Err("it has no key usage that can be read");
        };
        if !usage.critical {
            return Err("its key usage is not critical");
        }
        if !usage.value.digital_signature() {
            return Err("its key usage lacks digitalSignature");
        }
        if usage.value.key_cert_sign() || usage.value.crl_sign() {
            return Err("its key usage has keyCertSign or cRLSign, which only authorities have");
        }
        match self.0.extended_key_usage() {
            Ok(None) => Ok(()),
            Ok(Some(purposes)) if purposes.value.server_auth && purposes.value.client_auth => {
                Ok(())
            }
            Ok(Some(_)) => Err("its extended key usage lacks serverAuth or clientAuth"),
            Err(_) => Err("its extended key usage cannot be read"),
        }
    }

    /// Whether its key may sign a handshake, and is of a kind and a size that is accepted.
    pub(crate) fn check_key(
        &self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), &'static str> {
        match self.0.key_usage() {
            // RFC 8446, 4.4.2.2.
            Ok(Some(usage)) if !usage.value.digital_signature() => {
                return Err("its key usage lacks digitalSignature");
            }
            Ok(_) => {}
            Err(_) => return Err("its key usage cannot be read"),
        }
        let key = self.0.public_key();
        if is_weak(key) {
            return Err(WEAK_KEY);
        }
        let kind = key_kind(key.raw);
        let known = algorithms.iter().any(|algorithm| {
            let id = algorithm.public_key_alg_id();
            kind.is_some_and(|kind| kind == id.as_ref())
        });
        match known {
            true => Ok(()),
            false => Err("its key is of a kind or on a curve that is not accepted"),
        }
    }
}

impl<'a> Issuer<'a> {
    /// `None` where it is damaged.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        parse(der).map(Self)
    }

    /// Whether it may sign others: RFC 5280, 6.1.4 (n).
    pub(crate) fn may_sign_certificates(&self) -> bool {
        match self.0.key_usage() {
            Ok(Some(usage)) => usage.value.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether it bears the name of its own issuer.
    pub(crate) fn is_self_issued(&self) -> bool {
        self.0.subject().as_raw() == self.0.issuer().as_raw()
    }

    /// Adds the names that constraints may be about; `None` where they are damaged.
    pub(crate) fn add_names(&self, to: &mut Names) -> Option<()> {
        add_names(&self.0, to)
    }

    /// When it expires, in seconds since 1970.
    pub(crate) fn not_after(&self) -> i64 {
        self.0.validity().not_after.timestamp()
    }

    /// The name of its issuer in DER, if it names no distribution point of revocation lists.
    pub(crate) fn issuer_without_point(&self) -> Option<&[u8]> {
        issuer_without_point(&self.0)
    }

    /// Whether its key is an RSA key of less than 2,048 bits.
    pub(crate) fn is_weak(&self) -> bool {
        is_weak(self.0.public_key())
    }
}

/// From when until when a certificate is valid, if it can be read at all.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let certificate = parse(certificate)?;
    let validity = certificate.validity();
    Some((
        system_time(validity.not_before.timestamp())?,
        system_time(validity.not_after.timestamp())?,
    ))
}

/// Whether this is an RSA key, with its algorithm, of less than 2,048 bits.
pub(crate) fn is_weak_key(info: &[u8]) -> bool {
    SubjectPublicKeyInfo::from_der(info).is_ok_and(|(_, key)| is_weak(&key))
}

fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

fn add_names(certificate: &X509Certificate<'_>, to: &mut Names) -> Option<()> {
    let subject = certificate.subject();
    if subject.iter().next().is_some() {
        to.directories.push(subject.as_raw().into());
        to.mail |= subject.iter_email().next().is_some();
    }
    for name in names(certificate)? {
        match name {
            GeneralName::URI(uri) => to.uris.push((*uri).into()),
            GeneralName::DirectoryName(name) => to.directories.push(name.as_raw().into()),
            _ => {}
        }
    }
    Some(())
}

fn issuer_without_point<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    let point = |one: &X509Extension<'_>| one.oid == OID_X509_EXT_CRL_DISTRIBUTION_POINTS;
    (!extensions.any(point)).then(|| certificate.issuer().as_raw())
}

fn uris<'a>(certificate: &'a X509Certificate<'_>) -> Option<impl Iterator<Item = &'a str>> {
    let uris = names(certificate)?.filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    Some(uris)
}

/// The subject's alternative names; `None` where any is damaged.
fn names<'a, 'b>(
    certificate: &'a X509Certificate<'b>,
) -> Option<impl Iterator<Item = &'a GeneralName<'b>>> {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.as_slice(),
        Ok(None) => &[],
        Err(_) => return None,
    };
    let invalid = |name: &GeneralName<'_>| matches!(name, GeneralName::Invalid(..));
    (!names.iter().any(invalid)).then(|| names.iter())
}

fn is_weak(key: &SubjectPublicKeyInfo<'_>) -> bool {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => bits(rsa.modulus) < MIN_RSA_BITS,
        _ => false,
    }
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match &number[zeros..] {
        [] => 0,
        significant => significant.len() * 8 - significant[0].leading_zeros() as usize,
    }
}

/// The identifier of the key's algorithm and parameters, as the cryptography has it.
fn key_kind(info: &[u8]) -> Option<&[u8]> {
    let (algorithm, _) = der::first(der::only(SEQUENCE, info)?)?;
    Some(algorithm.content)
}

pub(crate) const WEAK_KEY: &str = "its RSA key has less than 2,048 bits";
const MIN_RSA_BITS: usize = 2048;
