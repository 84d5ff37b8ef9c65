//! Name constraints (RFC 5280, 4.2.1.10) that the path validation refuses to evaluate: on URIs, and on directory names
//! that are permitted.

use std::net::Ipv4Addr;

use crate::der::{self, SEQUENCE};

/// What an authority says about names below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    /// Hosts of URIs: each is `host.example`, or `.domain.example` for all below.
    permitted_hosts: Vec<Box<str>>,
    excluded_hosts: Vec<Box<str>>,
    /// Directory names, as DER. That two of them are the same but for case or spaces is not seen, so those that are
    /// excluded are left to the path validation, which refuses everything then.
    permitted_directories: Vec<Box<[u8]>>,
    /// Whether there are constraints on mail addresses. The path validation refuses alternative names of that kind
    /// then, but does not look for such an address in the subject.
    mail: bool,
}

/// The names of certificates that constraints are about.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) uris: Vec<Box<str>>,
    /// The subjects and alternative names that are directory names, as DER.
    pub(crate) directories: Vec<Box<[u8]>>,
    /// Whether a subject has a mail address.
    pub(crate) mail: bool,
}

impl Constraints {
    /// Splits the value of a name constraints extension: what it says here, which must be something, and what
    /// remains of it for the path validation, if anything does.
    ///
    /// `None` where it is malformed, or says nothing of this.
    pub(crate) fn split(value: &[u8]) -> Option<(Self, Option<Vec<u8>>)> {
        let mut constraints = Self::default();
        let mut rest = Vec::new();
        for list in der::all(der::only(SEQUENCE, value)?)? {
            let mut kept = Vec::new();
            for subtree in der::all(list.content)? {
                // Nothing may stand behind the base: RFC 5280 has no use for a minimum or a maximum.
                let (base, behind) = der::first(subtree.content)?;
                match (list.tag, base.tag, behind) {
                    (PERMITTED, URI, []) => {
                        constraints.permitted_hosts.push(constraint(base.content)?);
                    }
                    (EXCLUDED, URI, []) => {
                        constraints.excluded_hosts.push(constraint(base.content)?);
                    }
                    (PERMITTED, DIRECTORY, []) => {
                        der::only(SEQUENCE, base.content)?;
                        constraints.permitted_directories.push(base.content.into());
                    }
                    (PERMITTED | EXCLUDED, tag, []) => {
                        constraints.mail |= tag == MAIL;
                        kept.extend(subtree.whole);
                    }
                    _ => return None,
                }
            }
            if !kept.is_empty() {
                rest.extend(der::write(list.tag, &kept));
            }
        }
        let rest = (!rest.is_empty()).then(|| der::write(SEQUENCE, &rest));
        (constraints != Self::default()).then_some((constraints, rest))
    }

    /// Whether all of these names may stand below.
    pub(crate) fn allow(&self, names: &Names) -> bool {
        !(self.mail && names.mail)
            && names.uris.iter().all(|uri| self.allow_uri(uri))
            && names
                .directories
                .iter()
                .all(|name| self.allow_directory(name))
    }

    /// One without a host that is a name may not, where hosts are constrained.
    fn allow_uri(&self, uri: &str) -> bool {
        if self.permitted_hosts.is_empty() && self.excluded_hosts.is_empty() {
            return true;
        }
        let Some(host) = host(uri) else {
            return false;
        };
        let within = |constraints: &[Box<str>]| constraints.iter().any(|one| matches(&host, one));
        let permitted = self.permitted_hosts.is_empty() || within(&self.permitted_hosts);
        permitted && !within(&self.excluded_hosts)
    }

    fn allow_directory(&self, name: &[u8]) -> bool {
        let within = |base: &[u8]| is_below(name, base).unwrap_or(false);
        let mut bases = self.permitted_directories.iter();
        self.permitted_directories.is_empty() || bases.any(|base| within(base))
    }
}

/// Whether a name begins with all the parts of another.
fn is_below(name: &[u8], base: &[u8]) -> Option<bool> {
    let parts = |name| der::all(der::only(SEQUENCE, name)?);
    let (name, base) = (parts(name)?, parts(base)?);
    let mut pairs = name.iter().zip(&base);
    let alike = pairs.all(|(part, of_base)| part.whole == of_base.whole);
    Some(alike && name.len() >= base.len())
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

const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;
const DIRECTORY: u8 = 0xa4;
const MAIL: u8 = 0x81;
const URI: u8 = 0x86;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_or_all_below_a_domain() {
        let hosts = |hosts: &[&str]| hosts.iter().map(|one| (*one).into()).collect();
        let constraints = |permitted: &[&str], excluded: &[&str]| Constraints {
            permitted_hosts: hosts(permitted),
            excluded_hosts: hosts(excluded),
            ..Constraints::default()
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
            assert_eq!(constraints.allow_uri(uri), allowed, "{uri} {constraints:?}");
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
