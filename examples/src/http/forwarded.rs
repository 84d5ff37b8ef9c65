//! What an endpoint is told about the client: `forwarded` (RFC 7239), its forerunners, and `via`.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Version,
    header::{self, Entry},
};

use tower_mtls::{PeerIdentity, SpiffeId};

use super::{
    DeadlineTrusted,
    client_certificate::{CLIENT_CERTIFICATE, describe},
};
use crate::config::{Nets, TrustConfig};

/// Who sends the requests of one connection, and what endpoints are told about it.
///
/// Made once for each connection; its fields are shared by all requests.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    forwarded: HeaderValue,
    forwarded_for: HeaderValue,
    proto: HeaderValue,
    /// Where endpoints are to be told of it.
    certificate: Option<HeaderValue>,
    may_forward: bool,
    may_lengthen: bool,
}

impl Client {
    /// Of a connection from `peer`, who may have announced another's by the PROXY protocol.
    ///
    /// Then both must be trusted for a field to be believed: behind a balancer that passes bytes
    /// on, fields are the announced client's own words.
    pub fn new(
        peer: SocketAddr,
        announced: Option<SocketAddr>,
        secure: bool,
        trust: &TrustConfig,
    ) -> Self {
        let (peer, address) = (peer.ip(), canonical(announced.unwrap_or(peer)));
        let believed = |nets: &Nets| nets.contain(peer) && nets.contain(address.ip());
        let proto = if secure { "https" } else { "http" };
        let node = match address.ip() {
            IpAddr::V4(ip) => format!("for={ip};proto={proto}"),
            IpAddr::V6(ip) => format!("for=\"[{ip}]\";proto={proto}"),
        };
        Self {
            address,
            forwarded: value(node),
            forwarded_for: value(address.ip().to_string()),
            proto: HeaderValue::from_static(proto),
            certificate: None,
            may_forward: believed(&trust.forwarded),
            may_lengthen: believed(&trust.deadline),
        }
    }

    /// The same, whose endpoints are told of the certificate that it has shown us, who are `own`.
    #[must_use]
    pub fn with_certificate(&self, peer: &PeerIdentity, own: Option<&SpiffeId>) -> Self {
        Self {
            certificate: describe(peer, own),
            ..self.clone()
        }
    }

    /// Where the client is, as far as we know; an IPv4-mapped address is told as IPv4.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the endpoint of an admitted request who the client is.
    pub fn introduce<B>(&self, request: &mut Request<B>) {
        let version = request.version();
        let headers = request.headers_mut();
        match self.may_forward {
            // Of the certificate nobody's word counts: what we have not verified is not told.
            true => drop(headers.remove(CLIENT_CERTIFICATE)),
            false => remove_claims(headers),
        }
        if let Some(certificate) = &self.certificate {
            headers.insert(CLIENT_CERTIFICATE, certificate.clone());
        }
        append(headers, header::FORWARDED, &self.forwarded);
        append(headers, FORWARDED_FOR, &self.forwarded_for);
        headers
            .entry(FORWARDED_PROTO)
            .or_insert_with(|| self.proto.clone());
        pass_via(headers, version);
        if self.may_lengthen {
            request.extensions_mut().insert(DeadlineTrusted);
        }
    }
}

/// Adds this proxy to `via`, for a message that came by `version`.
pub fn pass_via(headers: &mut HeaderMap, version: Version) {
    let via = match version {
        Version::HTTP_10 => "1.0 proxy",
        Version::HTTP_2 => "2.0 proxy",
        _ => "1.1 proxy",
    };
    append(headers, header::VIA, &HeaderValue::from_static(via));
}

/// Whether a field tells who the client is, so that nobody may tell us to drop it.
pub(super) fn is_claim(name: &HeaderName) -> bool {
    *name == header::FORWARDED || *name == REAL_IP || name.as_str().starts_with("x-forwarded")
}

fn remove_claims(headers: &mut HeaderMap) {
    // Without a claim this allocates nothing.
    let claims: Vec<_> = headers
        .keys()
        .filter(|name| is_claim(name))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Makes one list of what is there and `ours`.
fn append(headers: &mut HeaderMap, name: HeaderName, ours: &HeaderValue) {
    let mut theirs = match headers.entry(name) {
        Entry::Occupied(theirs) => theirs,
        Entry::Vacant(nothing) => {
            nothing.insert(ours.clone());
            return;
        }
    };
    let elements = theirs.iter().map(HeaderValue::as_bytes);
    let elements: Vec<_> = elements
        .filter(|value| !value.trim_ascii().is_empty())
        .chain([ours.as_bytes()])
        .collect();
    let swallows = elements.iter().any(|element| has_open_quote(element));
    match HeaderValue::from_maybe_shared(bytes::Bytes::from(elements.join(&b", "[..]))) {
        Ok(list) if !swallows => _ = theirs.insert(list),
        // In a line of its own, ours cannot become a part of what they have left open.
        _ => theirs.append(ours.clone()),
    }
}

/// Whether a quoted string (RFC 9110, section 5.6.4) does not end within the value.
fn has_open_quote(value: &[u8]) -> bool {
    let mut bytes = value.iter();
    let mut open = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => open = !open,
            b'\\' if open => _ = bytes.next(),
            _ => {}
        }
    }
    open
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn value(text: String) -> HeaderValue {
    // An address is plain ASCII; RFC 7239 has a word for one that cannot be told.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"))
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_lengthen_a_timeout_is_marked_and_nobody_else() {
        let trust: TrustConfig = toml::from_str("deadline = [\"10.0.0.0/8\"]").unwrap();
        for (peer, announced, marked) in [
            ("10.0.0.1:1", None, true),
            ("[::ffff:10.0.0.1]:1", None, true),
            ("192.0.2.1:1", None, false),
            ("10.0.0.1:1", Some("10.0.0.2:1"), true),
            // The words of whom a trusted balancer announces are not the balancer's.
            ("10.0.0.1:1", Some("192.0.2.1:1"), false),
            ("192.0.2.1:1", Some("10.0.0.1:1"), false),
        ] {
            let announced = announced.map(|address| address.parse().unwrap());
            let client = Client::new(peer.parse().unwrap(), announced, false, &trust);
            let mut request = Request::new(());
            client.introduce(&mut request);
            let found = request.extensions().get::<DeadlineTrusted>().is_some();
            assert_eq!(found, marked, "{peer} {announced:?}");
        }
    }

    #[test]
    fn an_open_quote_is_seen() {
        for (value, open) in [
            ("", false),
            ("for=a", false),
            ("for=\"a\"", false),
            ("for=\"a\\\"\"", false),
            ("\\\"a", true),
            ("for=\"a", true),
            ("for=\"a\\\"", true),
            ("for=\"a\"; \"", true),
            ("for=\"a\\", true),
        ] {
            assert_eq!(has_open_quote(value.as_bytes()), open, "{value}");
        }
    }
}
