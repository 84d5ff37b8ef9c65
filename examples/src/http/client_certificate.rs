//! What an endpoint is told of the client's certificate: `x-forwarded-client-cert`, as Envoy writes it.

use std::fmt::Write;

use http::{HeaderName, HeaderValue};
use tower_mtls::{Identity, PeerIdentity, SpiffeId};

/// `By=…;Hash=…;URI=…`: by whom the certificate was verified, its SHA-256 hash, and whom it names.
///
/// Neither a SPIFFE ID nor a DNS name can hold a character that would have to be quoted.
pub(super) fn describe(peer: &PeerIdentity, own: Option<&SpiffeId>) -> Option<HeaderValue> {
    let mut text = match own {
        Some(own) => format!("By={own};Hash={}", peer.fingerprint()),
        None => format!("Hash={}", peer.fingerprint()),
    };
    for identity in peer.identities() {
        let written = match identity {
            Identity::Spiffe(id) => write!(text, ";URI={id}"),
            Identity::Dns(name) => write!(text, ";DNS={name}"),
            _ => Ok(()),
        };
        written.ok()?;
    }
    HeaderValue::try_from(text).ok()
}

/// The field's name.
pub(super) const CLIENT_CERTIFICATE: HeaderName =
    HeaderName::from_static("x-forwarded-client-cert");
