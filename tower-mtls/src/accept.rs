//! The server's side: connections in, verified connections out.
//!
//! ```
//! # #[cfg(feature = "dev")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_mtls::BoxError> {
//! use tokio::net::TcpListener;
//! use tower_mtls::{accept::Acceptor, dev::Authority};
//! use tower_service::Service;
//!
//! let authority = Authority::new("example.org".parse()?)?;
//! let mut acceptor = Acceptor::builder(authority.svid("/api")?.credentials())
//!     .require_client(authority.trust_bundle())
//!     .build()?;
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! # let idle = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
//! # drop(idle);
//! let (connection, _) = listener.accept().await?;
//! // The acceptor is always ready: no need to poll it. Let a task of its own await each handshake.
//! let handshake = tokio::spawn(acceptor.call(connection));
//! match handshake.await? {
//!     Ok(stream) => println!("{:?} is connected", stream.peer()),
//!     Err(error) => println!("{error}"),
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "dev"))]
//! # fn main() {}
//! ```

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tower_service::Service;

use crate::{
    Credentials, Cryptography, MtlsStream, Trust,
    config::{Clients, ServerTls, TlsSettings},
    connections::{Connections, Register},
    error::{HandshakeError, InvalidSetting},
    future::AcceptFuture,
    handshake::Handshake,
    layer::{DEFAULT_HANDSHAKE_TIMEOUT, check_timeout},
    live::Live,
    source::{Snapshot, Source},
    stats::Counters,
};

pub use crate::stats::Stats;

/// A service that takes a connection and gives it back verified; see the [module](self).
///
/// It is always ready. What bounds its work is in the future: a slot among `max_handshakes`, shared
/// by all clones, and the handshake timeout, which covers the wait for the slot too.
///
/// # Under attack
///
/// A client that connects and says nothing holds a slot until the timeout, so at most
/// `max_handshakes` ÷ `handshake_timeout` of them are let go per second, and honest clients wait behind
/// them. Lower the timeout before raising the limit: a handshake's cost is in its signatures, and the
/// limit is what protects the processor. A connection that waits costs its own memory and no
/// cryptography; limit the number of open connections where they are accepted. Each refused client is one line
/// of the log at WARN: limit their rate where the log is written.
///
/// # Not polled, not freed
///
/// A future that is neither polled nor dropped keeps its slot: its timeout only fires when it is polled.
/// Give each one to a task.
#[derive(Clone)]
pub struct Acceptor {
    server: Arc<Server>,
}

/// Settings of an [`Acceptor`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AcceptorBuilder {
    own: Own,
    clients: Asked,
    tls: TlsSettings,
    handshake_timeout: Duration,
    max_handshakes: usize,
    end_connections: bool,
}

/// This side's certificate.
#[derive(Clone, Debug)]
enum Own {
    Fixed(Credentials),
    Rotating(Source),
}

/// Who is asked for a certificate.
#[derive(Clone, Debug)]
enum Asked {
    Undecided,
    Decided(Clients),
    /// Everybody, and the source says who vouches for it.
    BySource {
        required: bool,
    },
}

/// What all clones of an acceptor share.
pub(crate) struct Server {
    pub(crate) tls: Arc<Live<ServerTls>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_handshakes: usize,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) counters: Arc<Counters>,
}

impl Acceptor {
    /// Begins with the server's own certificate.
    pub fn builder(credentials: Credentials) -> AcceptorBuilder {
        AcceptorBuilder::new(Own::Fixed(credentials), Asked::Undecided)
    }

    /// Begins with a [`source`](crate::source) of the server's own certificate and of who vouches for clients.
    /// Clients need a certificate, if nothing else is said.
    ///
    /// While the source has no snapshot, handshakes fail.
    pub fn rotating(source: &Source) -> AcceptorBuilder {
        let clients = Asked::BySource { required: true };
        AcceptorBuilder::new(Own::Rotating(source.clone()), clients)
    }

    /// Counts of this acceptor's handshakes, all clones together.
    pub fn stats(&self) -> Stats {
        self.server.counters.snapshot()
    }
}

impl<IO> Service<IO> for Acceptor
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    type Response = MtlsStream<IO>;
    type Error = HandshakeError;
    type Future = AcceptFuture<IO>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, io: IO) -> AcceptFuture<IO> {
        AcceptFuture::new(io, self.server.clone())
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("handshake_timeout", &self.server.handshake_timeout)
            .field("max_handshakes", &self.server.max_handshakes)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl AcceptorBuilder {
    fn new(own: Own, clients: Asked) -> Self {
        Self {
            own,
            clients,
            tls: TlsSettings::default(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            max_handshakes: DEFAULT_MAX_HANDSHAKES,
            end_connections: true,
        }
    }

    /// Only clients with a certificate that is vouched for are let in: by a
    /// [`TrustBundle`](crate::TrustBundle), or by a [`Trust`] of several and of revocation lists.
    pub fn require_client(mut self, trust: impl Into<Trust>) -> Self {
        self.clients = Asked::Decided(Clients::Verified {
            trust: trust.into(),
            required: true,
        });
        self
    }

    /// Clients are asked for a certificate, and let in without one too: [`MtlsStream::peer`] is `None` for those.
    /// A client whose certificate is not vouched for is refused all the same.
    pub fn optional_client(mut self, trust: impl Into<Trust>) -> Self {
        self.clients = Asked::Decided(Clients::Verified {
            trust: trust.into(),
            required: false,
        });
        self
    }

    /// No client is asked for a certificate: [`MtlsStream::peer`] is `None` for all of them.
    pub fn no_client_auth(mut self) -> Self {
        self.clients = Asked::Decided(Clients::Anonymous);
        self
    }

    /// Clients are let in without a certificate too, where they would need one: [`MtlsStream::peer`] is `None` for
    /// those. A client whose certificate is not vouched for is refused all the same.
    pub fn allow_anonymous(mut self) -> Self {
        if let Asked::Decided(Clients::Verified { required, .. }) | Asked::BySource { required } =
            &mut self.clients
        {
            *required = false;
        }
        self
    }

    /// Application protocols to accept, the preferred first: at most 64 names of 1 to 255 bytes.
    /// Default: none, which takes clients whatever they offer.
    ///
    /// A client that offers no protocol at all is let in none the less: check [`MtlsStream::alpn`].
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

    /// How long a connection may take from its arrival to the end of the handshake, the wait for a
    /// slot included: 1 ms to 1 h. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How many handshakes run at once: 1 to 1,000,000. Others wait, first come first served.
    /// Default: 256.
    pub fn max_handshakes(mut self, max: usize) -> Self {
        self.max_handshakes = max;
        self
    }

    /// Whether a connection ends when its client is no longer accepted: the certificate has expired, or is found
    /// at a rotation to be revoked or without a root. Default: true.
    ///
    /// Without it, [`MtlsStream::validity`] and [`PeerIdentity::is_valid`](crate::PeerIdentity::is_valid) tell.
    pub fn end_connections(mut self, end: bool) -> Self {
        self.end_connections = end;
        self
    }

    /// Checks the settings.
    pub fn build(self) -> Result<Acceptor, InvalidSetting> {
        check_timeout(self.handshake_timeout)?;
        self.tls.check()?;
        if !(1..=MAX_MAX_HANDSHAKES).contains(&self.max_handshakes) {
            let value = self.max_handshakes.to_string();
            return Err(InvalidSetting::new("max_handshakes", value, "1 to 1000000"));
        }
        let source = match self.own {
            Own::Rotating(source) => source,
            Own::Fixed(credentials) => Source::fixed(Snapshot::without_trust(credentials)),
        };
        let (clients, settings) = (self.clients, self.tls);
        let skew = settings.clock_skew;
        let make = move |snapshot: &Snapshot| server_tls(snapshot, &clients, &settings);
        let tls = Arc::new(Live::new(source, Box::new(make))?);
        let counters = Arc::<Counters>::default();
        let connections =
            Connections::new(tls.clone(), counters.clone(), self.end_connections, skew);
        Ok(Acceptor {
            server: Arc::new(Server {
                tls,
                connections: Arc::new(connections),
                handshake_timeout: self.handshake_timeout,
                max_handshakes: self.max_handshakes,
                slots: Arc::new(Semaphore::new(self.max_handshakes)),
                counters,
            }),
        })
    }
}

impl Server {
    /// A handshake with what is in force now.
    pub(crate) fn accept<IO>(
        &self,
        io: IO,
    ) -> Result<Handshake<tokio_rustls::Accept<IO>>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.tls.source().attend();
        let tls = self.tls.load()?;
        Ok(tls.accept(io, Register::new(&self.connections, tls.trust_serial())))
    }
}

fn server_tls(
    snapshot: &Snapshot,
    clients: &Asked,
    settings: &TlsSettings,
) -> Result<ServerTls, InvalidSetting> {
    let lacks = |what, allowed| InvalidSetting::new("source", what, allowed);

    let Some(credentials) = snapshot.credentials() else {
        return Err(lacks(
            "a snapshot without credentials",
            "one with a certificate: a server needs it",
        ));
    };
    let clients = match clients {
        Asked::Decided(clients) => clients.clone(),
        Asked::BySource { required } => Clients::Verified {
            trust: snapshot.trust().cloned().ok_or_else(|| {
                lacks(
                    "a snapshot without trust",
                    "one with roots, or `no_client_auth`",
                )
            })?,
            required: *required,
        },
        Asked::Undecided => return Err(undecided()),
    };
    ServerTls::new(credentials, clients, settings)
}

fn undecided() -> InvalidSetting {
    let allowed = "`require_client`, `optional_client` or `no_client_auth`: there is no default";
    InvalidSetting::new("client authentication", "missing", allowed)
}

const DEFAULT_MAX_HANDSHAKES: usize = 256;
const MAX_MAX_HANDSHAKES: usize = 1_000_000;
