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
    Credentials, MtlsStream, TrustBundle,
    config::{ServerTls, check_alpn},
    connections::Connections,
    error::{HandshakeError, InvalidSetting},
    future::AcceptFuture,
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
    clients: Clients,
    alpn: Vec<Vec<u8>>,
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

/// Whose certificates are verified.
#[derive(Clone, Debug)]
enum Clients {
    Undecided,
    Anonymous,
    Verified(TrustBundle),
    /// By what the source says at the time.
    VerifiedBySource,
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
        AcceptorBuilder::new(Own::Fixed(credentials), Clients::Undecided)
    }

    /// Begins with a source of the server's own certificate and of the trust in clients, who need a certificate
    /// that it vouches for.
    ///
    /// While the source has no snapshot, handshakes fail.
    pub fn rotating(source: &Source) -> AcceptorBuilder {
        AcceptorBuilder::new(Own::Rotating(source.clone()), Clients::VerifiedBySource)
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
    fn new(own: Own, clients: Clients) -> Self {
        Self {
            own,
            clients,
            alpn: Vec::new(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            max_handshakes: DEFAULT_MAX_HANDSHAKES,
            end_connections: true,
        }
    }

    /// Only clients with a certificate that this bundle vouches for are let in.
    pub fn require_client(mut self, trust: TrustBundle) -> Self {
        self.clients = Clients::Verified(trust);
        self
    }

    /// No client is asked for a certificate: [`MtlsStream::peer`] is `None` for all of them.
    pub fn no_client_auth(mut self) -> Self {
        self.clients = Clients::Anonymous;
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
        self.alpn = protocols.into_iter().map(Into::into).collect();
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
        check_alpn(&self.alpn)?;
        if !(1..=MAX_MAX_HANDSHAKES).contains(&self.max_handshakes) {
            let value = self.max_handshakes.to_string();
            return Err(InvalidSetting::new("max_handshakes", value, "1 to 1000000"));
        }
        let source = match (self.own, &self.clients) {
            (_, Clients::Undecided) => {
                let allowed = "`require_client` or `no_client_auth`: there is no default";
                return Err(InvalidSetting::new(
                    "client authentication",
                    "missing",
                    allowed,
                ));
            }
            (Own::Rotating(source), _) => source,
            (Own::Fixed(credentials), _) => Source::fixed(Snapshot::without_trust(credentials)),
        };
        let (clients, alpn) = (self.clients, self.alpn);
        let tls = Arc::new(Live::new(
            source,
            Box::new(move |snapshot| server_tls(snapshot, &clients, &alpn)),
        )?);
        let counters = Arc::<Counters>::default();
        Ok(Acceptor {
            server: Arc::new(Server {
                connections: Arc::new(Connections::new(
                    tls.clone(),
                    counters.clone(),
                    self.end_connections,
                )),
                tls,
                handshake_timeout: self.handshake_timeout,
                max_handshakes: self.max_handshakes,
                slots: Arc::new(Semaphore::new(self.max_handshakes)),
                counters,
            }),
        })
    }
}

fn server_tls(
    snapshot: &Snapshot,
    clients: &Clients,
    alpn: &[Vec<u8>],
) -> Result<ServerTls, InvalidSetting> {
    let Some(credentials) = snapshot.credentials() else {
        return Err(InvalidSetting::new(
            "source",
            "a snapshot without credentials",
            "one with a certificate: a server needs it",
        ));
    };
    let clients = match clients {
        Clients::Undecided | Clients::Anonymous => None,
        Clients::Verified(trust) => Some(trust),
        Clients::VerifiedBySource => Some(snapshot.trust().ok_or_else(|| {
            InvalidSetting::new(
                "source",
                "a snapshot without trust",
                "one with roots, or `no_client_auth`",
            )
        })?),
    };
    ServerTls::new(credentials, clients.cloned(), alpn.to_vec())
}

const DEFAULT_MAX_HANDSHAKES: usize = 256;
const MAX_MAX_HANDSHAKES: usize = 1_000_000;
