//! Names that cannot hold a bad value.

use std::{fmt, str::FromStr, sync::Arc};

use crate::error::InvalidIdentity;

/// Who a verified peer is: a SPIFFE ID or a DNS name.
///
/// The text form is the SPIFFE ID itself, or the DNS name after `dns:`.
///
/// ```
/// use tower_mtls::Identity;
///
/// let web: Identity = "spiffe://example.org/ns/shop/sa/web".parse()?;
/// let api: Identity = "dns:api.example.org".parse()?;
/// assert_eq!(api.to_string(), "dns:api.example.org");
/// assert_ne!(web, api);
/// # Ok::<(), tower_mtls::error::InvalidIdentity>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// A workload's SPIFFE ID, from the one URI name of an X.509-SVID.
    Spiffe(SpiffeId),
    /// A DNS name, from a certificate of a plain PKI.
    Dns(DnsName),
}

/// The SPIFFE ID of a workload: `spiffe://<trust domain>/<path>`.
///
/// The rules of the SPIFFE-ID standard hold for every value: the scheme is `spiffe`, the trust
/// domain and the path follow [`TrustDomain`] and `[a-zA-Z0-9._-]+` per segment, no segment is
/// empty, `.` or `..`, the path is not empty, and the whole has at most 2,048 bytes. There is no
/// escape (`%`), query, fragment, user or port. Two IDs are equal when their bytes are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    trust_domain: TrustDomain,
}

/// The name of a SPIFFE trust domain: 1 to 255 bytes of `[a-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Arc<str>);

/// A DNS name, in lower case, without a wildcard and without the dot at the end.
///
/// It has at most 253 bytes, in labels of 1 to 63 bytes of `[a-z0-9_-]` which do not begin or end
/// with `-`; the last label is not a number, so that an IP address is never a DNS name. Letters in
/// upper case are accepted and made lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DnsName(Arc<str>);

impl Identity {
    /// The SPIFFE ID, if this is one.
    pub fn as_spiffe(&self) -> Option<&SpiffeId> {
        match self {
            Self::Spiffe(id) => Some(id),
            Self::Dns(_) => None,
        }
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        if text.starts_with(SPIFFE_SCHEME) {
            return text.parse().map(Self::Spiffe);
        }
        match text.strip_prefix(DNS_PREFIX) {
            Some(name) => name.parse().map(Self::Dns),
            None => Err(InvalidIdentity::new(text, UNKNOWN_KIND)),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(id) => id.fmt(f),
            Self::Dns(name) => write!(f, "{DNS_PREFIX}{name}"),
        }
    }
}

impl From<SpiffeId> for Identity {
    fn from(id: SpiffeId) -> Self {
        Self::Spiffe(id)
    }
}

impl From<DnsName> for Identity {
    fn from(name: DnsName) -> Self {
        Self::Dns(name)
    }
}

impl SpiffeId {
    /// The trust domain that issues this ID.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The path, with its leading `/`.
    pub fn path(&self) -> &str {
        let start = SPIFFE_SCHEME.len() + self.trust_domain.as_str().len();
        self.text.get(start..).unwrap_or_default()
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let invalid = |rule| InvalidIdentity::new(text, rule);

        if text.len() > MAX_SPIFFE_ID {
            return Err(invalid("a SPIFFE ID has at most 2048 bytes"));
        }
        let rest = text
            .strip_prefix(SPIFFE_SCHEME)
            .ok_or_else(|| invalid("a SPIFFE ID begins with spiffe:// in lower case"))?;
        let (domain, path) = rest
            .split_once('/')
            .ok_or_else(|| invalid("a workload's SPIFFE ID has a path after the trust domain"))?;
        check_trust_domain(domain).map_err(invalid)?;
        path.split('/')
            .try_for_each(check_path_segment)
            .map_err(invalid)?;

        Ok(Self {
            text: text.into(),
            trust_domain: TrustDomain(domain.into()),
        })
    }
}

impl TrustDomain {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        match check_trust_domain(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(rule) => Err(InvalidIdentity::new(text, rule)),
        }
    }
}

impl DnsName {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        match check_dns_name(text) {
            Ok(()) => Ok(Self(text.to_ascii_lowercase().into())),
            Err(rule) => Err(InvalidIdentity::new(text, rule)),
        }
    }
}

macro_rules! text_traits {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}

macro_rules! parse_and_debug {
    ($($name:ident),*) => {$(
        impl TryFrom<&str> for $name {
            type Error = InvalidIdentity;

            fn try_from(text: &str) -> Result<Self, InvalidIdentity> {
                text.parse()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

text_traits!(SpiffeId, TrustDomain, DnsName);
parse_and_debug!(Identity, SpiffeId, TrustDomain, DnsName);

type Rule = &'static str;

fn check_trust_domain(name: &str) -> Result<(), Rule> {
    if name.is_empty() || name.len() > MAX_TRUST_DOMAIN {
        return Err("a trust domain has 1 to 255 bytes");
    }
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    match name.bytes().all(allowed) {
        true => Ok(()),
        false => Err("a trust domain holds only a-z, 0-9, dot, hyphen and underscore"),
    }
}

fn check_path_segment(segment: &str) -> Result<(), Rule> {
    if matches!(segment, "" | "." | "..") {
        return Err("a path segment is not empty, `.` or `..`");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match segment.bytes().all(allowed) {
        true => Ok(()),
        false => Err("a path holds only letters, digits, dot, hyphen and underscore"),
    }
}

fn check_dns_name(name: &str) -> Result<(), Rule> {
    if name.is_empty() || name.len() > MAX_DNS_NAME {
        return Err("a DNS name has 1 to 253 bytes");
    }
    name.split('.').try_for_each(check_dns_label)?;
    let last = name.rsplit('.').next().unwrap_or_default();
    match last.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Err("the last label of a DNS name is not a number (an IP address is not a name)"),
        false => Ok(()),
    }
}

fn check_dns_label(label: &str) -> Result<(), Rule> {
    if label.is_empty() || label.len() > MAX_DNS_LABEL {
        return Err("a DNS label has 1 to 63 bytes");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !label.bytes().all(allowed) {
        return Err("a DNS name holds only letters, digits, hyphen, underscore and dots");
    }
    match label.starts_with('-') || label.ends_with('-') {
        true => Err("a DNS label does not begin or end with a hyphen"),
        false => Ok(()),
    }
}

const SPIFFE_SCHEME: &str = "spiffe://";
const DNS_PREFIX: &str = "dns:";
const UNKNOWN_KIND: &str = "an identity begins with spiffe:// or dns:";
const MAX_SPIFFE_ID: usize = 2048;
const MAX_TRUST_DOMAIN: usize = 255;
const MAX_DNS_NAME: usize = 253;
const MAX_DNS_LABEL: usize = 63;
