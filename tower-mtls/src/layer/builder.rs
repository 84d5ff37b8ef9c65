use std::{sync::Arc, time::Duration};

use rustls_pki_types::ServerName;

use super::{Client, DEFAULT_HANDSHAKE_TIMEOUT, Expected, MtlsLayer, check_timeout};
use crate::{
    Credentials, Cryptography, Trust, TrustDomain,
    config::{ClientTls, TlsSettings},
    connections::Connections,
    error::InvalidSetting,
    live::Live,
    observer::{Observer, Side, Told},
    source::{Snapshot, Source},
    stats::Counters,
    verify::Accepted,
};

/// Settings of an [`MtlsLayer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MtlsBuilder {
    servers: Servers,
    own: Own,
    expected: Option<Expected>,
    tls: TlsSettings,
    handshake_timeout: Duration,
    end_connections: bool,
    observer: Told,
}

/// Who vouches for servers.
#[derive(Clone, Debug)]
enum Servers {
    Fixed(Trust),
    Rotating(Source),
}

/// This side's certificate.
#[derive(Clone, Debug)]
enum Own {
    Anonymous,
    Fixed(Credentials),
    BySource,
}

impl MtlsBuilder {
    pub(super) fn fixed(trust: Trust) -> Self {
        Self::new(Servers::Fixed(trust), Own::Anonymous)
    }

    pub(super) fn rotating(source: Source) -> Self {
        Self::new(Servers::Rotating(source), Own::BySource)
    }

    fn new(servers: Servers, own: Own) -> Self {
        Self {
            servers,
            own,
            expected: None,
            tls: TlsSettings::default(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            end_connections: true,
            observer: Told::default(),
        }
    }

    /// This side's certificate, which takes the place of the source's, if there is one. With neither, only the
    /// server is authenticated: plain TLS.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.own = Own::Fixed(credentials);
        self
    }

    /// This side shows no certificate, whatever the source has: plain TLS.
    pub fn anonymous(mut self) -> Self {
        self.own = Own::Anonymous;
        self
    }

    /// Whether a connection ends when its server is no longer accepted: the certificate has expired, or is found
    /// at a rotation to be revoked or without a root. Default: true.
    ///
    /// Without it, [`MtlsStream::validity`](crate::MtlsStream::validity) and
    /// [`PeerIdentity::is_valid`](crate::PeerIdentity::is_valid) tell.
    pub fn end_connections(mut self, end: bool) -> Self {
        self.end_connections = end;
        self
    }

    /// Whom to talk to: required.
    pub fn expect(mut self, expected: Expected) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Application protocols to offer, the preferred first: at most 64 names of 1 to 255 bytes.
    /// Default: none.
    pub fn alpn<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Vec<u8>>,
    {
        self.tls.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How far this host's clock may be off: a certificate or a revocation list is accepted by this much before
    /// and after its time. 0 to 10 min. Default: 0, because SVIDs live short and issuers date them back.
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.tls.clock_skew = skew;
        self
    }

    /// Accepts TLS 1.2 too, for peers that know no better. Default: TLS 1.3 only.
    ///
    /// In TLS 1.2 everybody on the way sees the certificates of both sides, and the key exchange does not resist
    /// quantum computers. Sessions are not resumed in either version.
    pub fn allow_tls12(mut self, allow: bool) -> Self {
        self.tls.allow_tls12 = allow;
        self
    }

    /// The cryptography of the handshakes. Default: the first of [`Cryptography::AVAILABLE`].
    pub fn cryptography(mut self, cryptography: Cryptography) -> Self {
        self.tls.cryptography = Some(cryptography);
        self
    }

    /// How long a handshake may take after the connection below is open: 1 ms to 1 h. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Is told of each handshake that ends.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Told::to(observer);
        self
    }

    /// Checks the settings against each other.
    pub fn build(self) -> Result<MtlsLayer, InvalidSetting> {
        check_timeout(self.handshake_timeout)?;
        self.tls.check()?;
        let Some(expected) = self.expected else {
            let allowed = "one of `Expected`: there is no default";
            return Err(InvalidSetting::new("expect", "missing", allowed));
        };
        let source = match self.servers {
            Servers::Rotating(source) => source,
            Servers::Fixed(trust) => Source::fixed(match &self.own {
                Own::Fixed(credentials) => Snapshot::new(credentials.clone(), trust),
                Own::Anonymous | Own::BySource => Snapshot::without_credentials(trust),
            }),
        };
        let (own, settings) = (self.own, self.tls);
        let skew = settings.clock_skew;
        let make = move |snapshot: &Snapshot| client_tls(snapshot, &own, &expected, &settings);
        let tls = Arc::new(Live::new(source, Box::new(make))?);
        let counters = Arc::new(Counters::new(Side::Client, self.observer));
        let connections =
            Connections::new(tls.clone(), counters.clone(), self.end_connections, skew);
        Ok(MtlsLayer {
            client: Arc::new(Client {
                tls,
                connections: Arc::new(connections),
                handshake_timeout: self.handshake_timeout,
                counters,
            }),
        })
    }
}

fn client_tls(
    snapshot: &Snapshot,
    own: &Own,
    expected: &Expected,
    settings: &TlsSettings,
) -> Result<ClientTls, InvalidSetting> {
    let lacks = |what, allowed| InvalidSetting::new("source", what, allowed);

    let Some(trust) = snapshot.trust() else {
        return Err(lacks("a snapshot without trust", "one with roots"));
    };
    let credentials = match own {
        Own::Anonymous => None,
        Own::Fixed(credentials) => Some(credentials),
        Own::BySource => Some(snapshot.credentials().ok_or_else(|| {
            let allowed = "one with a certificate, or `anonymous` on the builder";
            lacks("a snapshot without credentials", allowed)
        })?),
    };
    let accepted = accepted(trust, expected.clone())?;
    ClientTls::new(trust.clone(), accepted, credentials, settings)
}

/// What of the trust's peers is accepted, if that fits it.
fn accepted(trust: &Trust, expected: Expected) -> Result<Accepted, InvalidSetting> {
    let invalid = |value: String, allowed| Err(InvalidSetting::new("expect", value, allowed));
    let foreign = |domain: &&TrustDomain| trust.bundle_of(domain).is_none();
    let needs_bundle = "identities of trust domains that there is a bundle for";

    match (expected, trust.trust_domain()) {
        (Expected::ServerName(name), None) => {
            match ServerName::try_from(name.as_str().to_owned()) {
                Ok(server_name) => Ok(Accepted::Named(name, server_name)),
                Err(_) => invalid(name.to_string(), "a DNS name that TLS can carry"),
            }
        }
        (Expected::ServerName(name), Some(_)) => invalid(
            format!("the server name {name}"),
            "a SPIFFE identity, because the trust bundle has a trust domain",
        ),
        (_, None) => invalid(
            "a SPIFFE identity".into(),
            "this on a trust bundle with a trust domain: see `with_trust_domain`",
        ),
        (Expected::TrustDomain, Some(_)) => Ok(Accepted::OwnTrustDomain),
        (Expected::TrustDomains(domains), Some(_)) => match domains.iter().find(foreign) {
            _ if domains.is_empty() => invalid("an empty list".into(), "at least one trust domain"),
            Some(domain) => invalid(domain.to_string(), needs_bundle),
            None => Ok(Accepted::TrustDomains(domains)),
        },
        (Expected::Spiffe(ids), Some(_)) => {
            let mut ids_of = ids.iter();
            match ids_of.find(|id| foreign(&id.trust_domain())) {
                _ if ids.is_empty() => invalid("an empty list".into(), "at least one SPIFFE ID"),
                Some(id) => invalid(id.to_string(), needs_bundle),
                None => Ok(Accepted::OneOf(ids)),
            }
        }
    }
}
