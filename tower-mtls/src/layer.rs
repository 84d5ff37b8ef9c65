//! The client side's settings.

use std::{fmt, sync::Arc, time::Duration};

use rustls_pki_types::ServerName;
use tower_layer::Layer;

use crate::{
    Credentials, DnsName, Mtls, SpiffeId, Stats, TrustBundle,
    config::{ClientTls, check_alpn},
    connections::Connections,
    error::InvalidSetting,
    live::Live,
    source::{Snapshot, Source},
    stats::Counters,
    verify::Accepted,
};

/// Mutual TLS for a connector: a [`Layer`] over a service that opens connections.
///
/// The [crate's documentation](crate) has an example of both sides. A client of a plain PKI, without a
/// certificate of its own:
///
/// ```
/// # #[cfg(feature = "dev")]
/// # fn main() -> Result<(), tower_mtls::BoxError> {
/// use tower_layer::Layer;
/// use tower_mtls::{Expected, MtlsLayer, dev::Authority};
///
/// let authority = Authority::new("example.org".parse()?)?;
/// let layer = MtlsLayer::builder(authority.plain_trust_bundle())
///     .expect(Expected::ServerName("api.example.org".parse()?))
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// # let connector = ();
/// let connector = layer.layer(connector);
/// # let _ = connector;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "dev"))]
/// # fn main() {}
/// ```
///
/// All services of one layer, and their clones, share its settings and its [`stats`](Self::stats).
/// A layer is for one kind of server: make another one to expect another identity.
#[derive(Clone)]
#[must_use]
pub struct MtlsLayer {
    client: Arc<Client>,
}

/// Whom the client wants to talk to. There is no default, and no way to accept everyone.
///
/// The identity of a server is a property of the service that is dialled, not of its address: name the
/// workload, and any address that discovery gives may be tried, for a wrong one is refused. What is
/// expected must fit the trust bundle; a builder says so where it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Any one of these workloads. Each must belong to the trust bundle's trust domain.
    Spiffe(Vec<SpiffeId>),
    /// Any workload of the trust bundle's trust domain.
    TrustDomain,
    /// The server of this name, in a plain PKI: the trust bundle has no trust domain. The name is
    /// sent to the server (SNI).
    ServerName(DnsName),
}

/// Settings of an [`MtlsLayer`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MtlsBuilder {
    servers: Servers,
    own: Own,
    expected: Option<Expected>,
    alpn: Vec<Vec<u8>>,
    handshake_timeout: Duration,
    end_connections: bool,
}

/// By what servers are verified.
#[derive(Clone, Debug)]
enum Servers {
    Fixed(TrustBundle),
    Rotating(Source),
}

/// This side's certificate.
#[derive(Clone, Debug)]
enum Own {
    Anonymous,
    Fixed(Credentials),
    /// What the source says at the time.
    BySource,
}

/// What all clones of a layer and its services share.
pub(crate) struct Client {
    pub(crate) tls: Arc<Live<ClientTls>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) counters: Arc<Counters>,
}

impl MtlsLayer {
    /// Begins with the roots that vouch for servers.
    pub fn builder(trust: TrustBundle) -> MtlsBuilder {
        MtlsBuilder::new(Servers::Fixed(trust), Own::Anonymous)
    }

    /// Begins with a source of the trust in servers and of this side's own certificate.
    ///
    /// While the source has no snapshot, or one without a certificate, handshakes fail.
    pub fn rotating(source: &Source) -> MtlsBuilder {
        MtlsBuilder::new(Servers::Rotating(source.clone()), Own::BySource)
    }

    /// Counts of the handshakes of this layer's services.
    pub fn stats(&self) -> Stats {
        self.client.counters.snapshot()
    }
}

impl<C> Layer<C> for MtlsLayer {
    type Service = Mtls<C>;

    fn layer(&self, connector: C) -> Mtls<C> {
        Mtls::new(connector, self.client.clone())
    }
}

impl fmt::Debug for MtlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsLayer")
            .field("handshake_timeout", &self.client.handshake_timeout)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl MtlsBuilder {
    fn new(servers: Servers, own: Own) -> Self {
        Self {
            servers,
            own,
            expected: None,
            alpn: Vec::new(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            end_connections: true,
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
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How long a handshake may take after the connection below is open: 1 ms to 1 h. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Checks the settings against each other.
    pub fn build(self) -> Result<MtlsLayer, InvalidSetting> {
        check_timeout(self.handshake_timeout)?;
        check_alpn(&self.alpn)?;
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
        let (own, alpn) = (self.own, self.alpn);
        let tls = Arc::new(Live::new(
            source,
            Box::new(move |snapshot| client_tls(snapshot, &own, &expected, &alpn)),
        )?);
        let counters = Arc::<Counters>::default();
        Ok(MtlsLayer {
            client: Arc::new(Client {
                connections: Arc::new(Connections::new(
                    tls.clone(),
                    counters.clone(),
                    self.end_connections,
                )),
                tls,
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
    alpn: &[Vec<u8>],
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
    ClientTls::new(trust.clone(), accepted, credentials, alpn.to_vec())
}

/// Accepts a handshake timeout within the bounds.
pub(crate) fn check_timeout(timeout: Duration) -> Result<(), InvalidSetting> {
    match (MIN_HANDSHAKE_TIMEOUT..=MAX_HANDSHAKE_TIMEOUT).contains(&timeout) {
        true => Ok(()),
        false => {
            let value = format!("{timeout:?}");
            Err(InvalidSetting::new(
                "handshake_timeout",
                value,
                "1 ms to 1 h",
            ))
        }
    }
}

fn accepted(trust: &TrustBundle, expected: Expected) -> Result<Accepted, InvalidSetting> {
    let invalid = |value: String, allowed| Err(InvalidSetting::new("expect", value, allowed));
    let needs_domain = "this on a trust bundle with a trust domain: see `with_trust_domain`";

    match (expected, trust.trust_domain()) {
        (Expected::Spiffe(_) | Expected::TrustDomain, None) => {
            invalid("a SPIFFE identity".into(), needs_domain)
        }
        (Expected::Spiffe(ids), Some(domain)) => {
            if ids.is_empty() {
                return invalid("an empty list".into(), "at least one SPIFFE ID");
            }
            match ids.iter().find(|id| id.trust_domain() != domain) {
                Some(id) => invalid(id.to_string(), "IDs of the trust bundle's trust domain"),
                None => Ok(Accepted::OneOf(ids)),
            }
        }
        (Expected::TrustDomain, Some(_)) => Ok(Accepted::Any),
        (Expected::ServerName(name), Some(_)) => invalid(
            format!("the server name {name}"),
            "a SPIFFE identity, because the trust bundle has a trust domain",
        ),
        (Expected::ServerName(name), None) => {
            match ServerName::try_from(name.as_str().to_owned()) {
                Ok(server_name) => Ok(Accepted::Named(name, server_name)),
                Err(_) => invalid(name.to_string(), "a DNS name that TLS can carry"),
            }
        }
    }
}

pub(crate) const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(1);
const MAX_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3600);
