use std::{fmt, net::Ipv6Addr, str::FromStr};

/// The `host` of a route: one name, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// A name or an IPv4 address, in lower case.
    Name(Box<str>),
    /// What comes after the `*.`, in lower case.
    Below(Box<str>),
    Ipv6(Ipv6Addr),
}

/// The host that a request names, without its port and without one dot at its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestHost<'a>(Host<'a>);

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    Name(&'a [u8]),
    Ipv6(Ipv6Addr),
}

impl HostPattern {
    /// Whether it takes requests for `host`.
    pub fn takes(&self, host: RequestHost<'_>) -> bool {
        match (&self.0, host.0) {
            (Pattern::Name(name), Host::Name(host)) => host.eq_ignore_ascii_case(name.as_bytes()),
            (Pattern::Below(parent), Host::Name(host)) => is_below(host, parent.as_bytes()),
            (Pattern::Ipv6(address), Host::Ipv6(host)) => *address == host,
            _ => false,
        }
    }

    /// Whether it takes every host that `other` takes.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Pattern::Below(parent), Pattern::Below(other)) => {
                parent == other || is_below(other.as_bytes(), parent.as_bytes())
            }
            (Pattern::Below(parent), Pattern::Name(name)) => {
                is_below(name.as_bytes(), parent.as_bytes())
            }
            (one, other) => one == other,
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("`*` is every host: leave host out".to_owned());
        }
        if let Some(address) = bracketed(text.as_bytes()) {
            return match address {
                (Some(address), []) if text.ends_with(']') => Ok(Self(Pattern::Ipv6(address))),
                _ => Err(not_a_host(text)),
            };
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) if is_name(parent) => Ok(Self(Pattern::Below(parent.into()))),
            None if is_name(&name) => Ok(Self(Pattern::Name(name.into()))),
            _ => Err(not_a_host(text)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Pattern::Name(name) => f.write_str(name),
            Pattern::Below(parent) => write!(f, "*.{parent}"),
            Pattern::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}

impl<'a> RequestHost<'a> {
    /// Out of the value of a `Host` field. Whatever is there: what is no host, no pattern takes.
    pub fn of(authority: &'a [u8]) -> Self {
        if let Some((Some(address), _)) = bracketed(authority) {
            return Self(Host::Ipv6(address));
        }
        let host = match authority.iter().rposition(|byte| *byte == b':') {
            Some(colon) => authority.get(..colon).unwrap_or(authority),
            None => authority,
        };
        Self(Host::Name(host.strip_suffix(b".").unwrap_or(host)))
    }
}

/// One label or more, and then `parent`.
fn is_below(host: &[u8], parent: &[u8]) -> bool {
    let Some(labels) = host.len().checked_sub(parent.len()) else {
        return false;
    };
    let Some((labels, end)) = host.split_at_checked(labels) else {
        return false;
    };
    let Some(labels) = labels.strip_suffix(b".") else {
        return false;
    };
    end.eq_ignore_ascii_case(parent)
        && labels
            .split(|byte| *byte == b'.')
            .all(|label| !label.is_empty())
}

/// The address in brackets, and what follows them.
fn bracketed(host: &[u8]) -> Option<(Option<Ipv6Addr>, &[u8])> {
    let inner = host.strip_prefix(b"[")?;
    let end = inner.iter().position(|byte| *byte == b']');
    let (address, rest) = inner.split_at_checked(end.unwrap_or(inner.len()))?;
    let address = str::from_utf8(address)
        .ok()
        .and_then(|text| text.parse().ok());
    Some((address, rest.strip_prefix(b"]").unwrap_or(rest)))
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn not_a_host(text: &str) -> String {
    format!(
        "`{text}` is not a host: write \"api.example.com\", or \"*.example.com\" for all names below it, without a port"
    )
}
