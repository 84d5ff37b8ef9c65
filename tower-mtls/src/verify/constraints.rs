//! Name constraints on URIs (RFC 5280, 4.2.1.10), which the path validation refuses to evaluate.
//!
//! Before the path is built, the constraints on URIs are cut out of the certificates that have them, and on each
//! path they are held against the URI names below. The signature is still verified over the bytes that the
//! issuer signed: see [`Cuts::algorithms`].

use std::{borrow::Cow, net::Ipv4Addr};

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
};

use crate::der::{self, BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE};

/// What an authority says about the hosts of URI names below it: each is `host.example` or `.domain.example`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UriConstraints {
    permitted: Vec<Box<str>>,
    excluded: Vec<Box<str>>,
}

impl UriConstraints {
    /// Whether a URI name may stand below. One without a host that is a name may not.
    pub(crate) fn allow(&self, uri: &str) -> bool {
        let Some(host) = host(uri) else {
            return false;
        };
        let within = |constraints: &[Box<str>]| constraints.iter().any(|one| matches(&host, one));
        (self.permitted.is_empty() || within(&self.permitted)) && !within(&self.excluded)
    }
}

/// The certificates of a chain that had constraints on URIs, without them.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Vec<Cut>);

/// A certificate and what was cut out of it.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) constraints: UriConstraints,
    signed: Box<[u8]>,
    signed_before: Box<[u8]>,
}

impl Cut {
    /// `None` where there is nothing to cut: no constraint on URIs, or one that is malformed, which the path
    /// validation then refuses.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let parts = der::all(der::only(SEQUENCE, certificate)?)?;
        let [signed, algorithm, signature] = parts[..] else {
            return None;
        };
        let (body, constraints) = cut_body(signed.content)?;
        let after = der::write(SEQUENCE, &body);
        let whole = [&after, algorithm.whole, signature.whole].concat();
        Some(Self {
            certificate: der::write(SEQUENCE, &whole).into(),
            constraints,
            signed: after.into(),
            signed_before: signed.whole.into(),
        })
    }
}

impl Cuts {
    /// Cuts where it must be done: the chain as the path validation may see it, and what was cut.
    ///
    /// `None` where a certificate was made to look like another one that is cut. It would borrow the signature of
    /// that one, but not its constraints.
    pub(crate) fn of<'a>(
        leaf: &CertificateDer<'_>,
        intermediates: &'a [CertificateDer<'a>],
    ) -> Option<(Cow<'a, [CertificateDer<'a>]>, Self)> {
        if !intermediates.iter().any(mentions_constraints) {
            return Some((Cow::Borrowed(intermediates), Self::default()));
        }
        let cuts = intermediates.iter().map(|certificate| Cut::of(certificate));
        let cuts = cuts.collect::<Vec<_>>();
        let chain = intermediates.iter().zip(&cuts);
        let chain = chain.map(|(whole, cut)| match cut {
            Some(cut) => cut.certificate.clone(),
            None => whole.clone(),
        });
        let chain = chain.collect::<Vec<_>>();

        let cuts = Self(cuts.into_iter().flatten().collect());
        let uncut = intermediates.iter().filter(|one| Cut::of(one).is_none());
        let mut uncut = uncut.chain([leaf]).filter_map(|one| signed_part(one));
        let borrowed = uncut.any(|signed| cuts.0.iter().any(|cut| *cut.signed == *signed));
        match borrowed || cuts.ambiguous() {
            true => None,
            false => Some((Cow::Owned(chain), cuts)),
        }
    }

    /// The constraints that were cut out of this certificate.
    pub(crate) fn constraints(&self, certificate: &[u8]) -> Option<&UriConstraints> {
        let cut = self.0.iter().find(|cut| *cut.certificate == *certificate)?;
        Some(&cut.constraints)
    }

    /// The algorithms, which put back what was cut out before they verify.
    pub(crate) fn algorithms(
        &self,
        inner: &'static [&'static dyn SignatureVerificationAlgorithm],
    ) -> Vec<OverWhole<'_>> {
        let over = |inner: &&'static _| OverWhole {
            inner: *inner,
            cuts: &self.0,
        };
        inner.iter().map(over).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether two different certificates look alike after the cut.
    fn ambiguous(&self) -> bool {
        self.0.iter().any(|one| {
            let differs = |other: &Cut| other.signed_before != one.signed_before;
            let alike = |other: &Cut| other.signed == one.signed;
            self.0.iter().any(|other| alike(other) && differs(other))
        })
    }
}

/// An algorithm that verifies what was signed, not what is left of it.
#[derive(Debug)]
pub(crate) struct OverWhole<'a> {
    inner: &'static dyn SignatureVerificationAlgorithm,
    cuts: &'a [Cut],
}

impl SignatureVerificationAlgorithm for OverWhole<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let cut = self.cuts.iter().find(|cut| *cut.signed == *message);
        let message = cut.map_or(message, |cut| &cut.signed_before);
        self.inner.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

fn mentions_constraints(certificate: &CertificateDer<'_>) -> bool {
    certificate
        .windows(NAME_CONSTRAINTS_ID.len())
        .any(|window| window == NAME_CONSTRAINTS_ID)
}

fn signed_part<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (signed, _) = der::first(der::only(SEQUENCE, certificate)?)?;
    Some(signed.whole)
}

/// The content of a TBSCertificate without the constraints, and these.
fn cut_body(body: &[u8]) -> Option<(Vec<u8>, UriConstraints)> {
    let parts = der::all(body)?;
    let list = parts.iter().find(|part| part.tag == EXTENSIONS)?;
    let extensions = der::all(der::only(SEQUENCE, list.content)?)?;

    let (mut kept, mut found) = (Vec::new(), None);
    for extension in extensions {
        match extension_of(extension.content)? {
            Extension::Other => kept.extend(extension.whole),
            // Twice the same one: let the path validation refuse it.
            Extension::NameConstraints(_) if found.is_some() => return None,
            Extension::NameConstraints(parts) => {
                let (rest, constraints) = cut_constraints(parts.value)?;
                if let Some(rest) = rest {
                    let value = der::write(OCTET_STRING, &rest);
                    kept.extend(der::write(SEQUENCE, &[parts.head, &value].concat()));
                }
                found = Some(constraints);
            }
        }
    }
    let list_after = der::write(EXTENSIONS, &der::write(SEQUENCE, &kept));
    let parts = parts.iter().map(|part| match part.tag == EXTENSIONS {
        true => list_after.as_slice(),
        false => part.whole,
    });
    Some((parts.collect::<Vec<_>>().concat(), found?))
}

enum Extension<'a> {
    NameConstraints(Parts<'a>),
    Other,
}

struct Parts<'a> {
    /// All but the value: the identifier, and whether it is critical.
    head: &'a [u8],
    value: &'a [u8],
}

fn extension_of(content: &[u8]) -> Option<Extension<'_>> {
    let parts = der::all(content)?;
    let (id, value) = match parts[..] {
        [id, value] => (id, value),
        [id, critical, value] if critical.tag == BOOLEAN => (id, value),
        _ => return None,
    };
    if id.tag != OBJECT_IDENTIFIER || value.tag != OCTET_STRING {
        return None;
    }
    if id.whole != NAME_CONSTRAINTS_ID {
        return Some(Extension::Other);
    }
    let head = content.get(..content.len() - value.whole.len())?;
    Some(Extension::NameConstraints(Parts {
        head,
        value: value.content,
    }))
}

/// What remains of the extension's value, if anything does, and the constraints on URIs: at least one.
fn cut_constraints(value: &[u8]) -> Option<(Option<Vec<u8>>, UriConstraints)> {
    let mut constraints = UriConstraints::default();
    let mut rest = Vec::new();
    for list in der::all(der::only(SEQUENCE, value)?)? {
        let hosts = match list.tag {
            PERMITTED => &mut constraints.permitted,
            EXCLUDED => &mut constraints.excluded,
            _ => return None,
        };
        let mut kept = Vec::new();
        for subtree in der::all(list.content)? {
            // Nothing may stand behind the base: RFC 5280 has no use for a minimum or a maximum.
            let (base, behind) = der::first(subtree.content)?;
            match base.tag {
                URI if behind.is_empty() => hosts.push(constraint(base.content)?),
                URI => return None,
                _ => kept.extend(subtree.whole),
            }
        }
        if !kept.is_empty() {
            rest.extend(der::write(list.tag, &kept));
        }
    }
    let found = !constraints.permitted.is_empty() || !constraints.excluded.is_empty();
    let rest = (!rest.is_empty()).then(|| der::write(SEQUENCE, &rest));
    found.then_some((rest, constraints))
}

/// A host or a domain, in lower case: a name, with a dot in front for all that is below it.
fn constraint(text: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    is_name(text.strip_prefix('.').unwrap_or(&text)).then(|| text.into())
}

/// The host of a URI, in lower case, if it is a name.
fn host(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, _port) = host.split_once(':').unwrap_or((host, ""));
    is_name(host).then(|| host.to_ascii_lowercase())
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(allowed)
    };
    name.split('.').all(label) && name.parse::<Ipv4Addr>().is_err()
}

fn matches(host: &str, constraint: &str) -> bool {
    match constraint.starts_with('.') {
        true => host.ends_with(constraint),
        false => host == constraint,
    }
}

// 2.5.29.30, as an element.
const NAME_CONSTRAINTS_ID: &[u8] = &[OBJECT_IDENTIFIER, 3, 0x55, 0x1d, 0x1e];
const EXTENSIONS: u8 = 0xa3;
const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
const URI: u8 = 0x86;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_or_all_below_a_domain() {
        let constraints = |permitted: &[&str], excluded: &[&str]| UriConstraints {
            permitted: permitted.iter().map(|one| (*one).into()).collect(),
            excluded: excluded.iter().map(|one| (*one).into()).collect(),
        };
        for (permitted, excluded, uri, allowed) in [
            (
                &["example.org"][..],
                &[][..],
                "spiffe://example.org/web",
                true,
            ),
            (&["example.org"], &[], "spiffe://EXAMPLE.org/web", true),
            (&["example.org"], &[], "https://me@example.org:443?x", true),
            (&["example.org"], &[], "spiffe://a.example.org/web", false),
            (&["example.org"], &[], "spiffe://badexample.org/web", false),
            (&["example.org", "b.org"], &[], "spiffe://b.org/web", true),
            (&[".example.org"], &[], "spiffe://a.b.example.org/web", true),
            (&[".example.org"], &[], "spiffe://example.org/web", false),
            (&[], &["example.org"], "spiffe://example.org/web", false),
            (&[], &["example.org"], "spiffe://b.org/web", true),
            (&[".org"], &["b.org"], "spiffe://b.org/web", false),
            (&[], &["example.org"], "urn:example.org", false),
            (&[], &["example.org"], "spiffe:///web", false),
            (&[], &["example.org"], "https://10.0.0.1/", false),
            (&[], &["example.org"], "https://[::1]/", false),
        ] {
            let constraints = constraints(permitted, excluded);
            assert_eq!(constraints.allow(uri), allowed, "{uri} {constraints:?}");
        }
    }

    #[test]
    fn a_malformed_constraint_is_none() {
        for bad in ["", ".", "a..b", "spiffe://a", "a:1", "10.0.0.1", "a/b", "ä"] {
            assert_eq!(constraint(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(constraint(b".A_b.org").as_deref(), Some(".a_b.org"));
    }
}
