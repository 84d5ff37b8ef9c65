//! The client side's settings.

use std::{fmt, sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_layer::Layer;

use crate::{
    DnsName, Mtls, SpiffeId, Stats, Trust, TrustDomain,
    config::ClientTls,
    connections::{Connections, Register},
    error::{HandshakeError, InvalidSetting},
    handshake::Handshake,
    live::Live,
    source::Source,
    stats::Counters,
};

pub use self::builder::MtlsBuilder;

mod builder;

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
/// expected must fit the trust; a builder says so where it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Any one of these workloads. There must be a bundle for the trust domain of each.
    Spiffe(Vec<SpiffeId>),
    /// Any workload of this side's own trust domain, that of the [`Trust`]'s first bundle.
    TrustDomain,
    /// Any workload of these trust domains. There must be a bundle for each.
    TrustDomains(Vec<TrustDomain>),
    /// The server of this name, in a plain PKI: the trust bundle has no trust domain. The name is
    /// sent to the server (SNI).
    ServerName(DnsName),
}

/// What all clones of a layer and its services share.
pub(crate) struct Client {
    tls: Arc<Live<ClientTls>>,
    connections: Arc<Connections>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) counters: Arc<Counters>,
}

impl MtlsLayer {
    /// Begins with who vouches for servers: a [`TrustBundle`](crate::TrustBundle), or a [`Trust`] of several and
    /// of revocation lists.
    pub fn builder(trust: impl Into<Trust>) -> MtlsBuilder {
        MtlsBuilder::fixed(trust.into())
    }

    /// Begins with a [`source`](crate::source) of who vouches for servers and of this side's own certificate.
    ///
    /// While the source has no snapshot, or one without a certificate, handshakes fail.
    pub fn rotating(source: &Source) -> MtlsBuilder {
        MtlsBuilder::rotating(source.clone())
    }

    /// Counts of the handshakes of this layer's services.
    pub fn stats(&self) -> Stats {
        self.client.counters.snapshot()
    }

    /// Where the credentials come from, and how long they last: fixed ones are a source that never changes.
    pub fn source(&self) -> &Source {
        self.client.tls.source()
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

impl Client {
    /// A handshake with what is in force now.
    pub(crate) fn connect<IO>(
        &self,
        io: IO,
    ) -> Result<Handshake<tokio_rustls::Connect<IO>>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.tls.source().attend();
        let tls = self.tls.load()?;
        Ok(tls.connect(io, Register::new(&self.connections, tls.trust_serial())))
    }
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

pub(crate) const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(1);
const MAX_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3600);
