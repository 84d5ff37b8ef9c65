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
//!
//! [`MtlsListener`] is that loop.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::{
    Credentials, MtlsStream, TrustBundle,
    admission::Admission,
    config::{ServerTls, check_alpn},
    error::{HandshakeError, InvalidSetting},
    future::AcceptFuture,
    layer::{DEFAULT_HANDSHAKE_TIMEOUT, check_timeout},
    stats::Counters,
};

mod listener;

pub use self::listener::{Listen, MtlsListener};
pub use crate::stats::Stats;

/// A service that takes a connection and gives it back verified; see the [module](self).
///
/// It is always ready. What bounds its work is in the future, and shared by all clones: a handshake needs one
/// of `max_handshakes` slots from the client's first message to its end, and the handshake timeout covers
/// everything from the connection's arrival.
///
/// # Under attack
///
/// A client that connects and says nothing, or says it slowly, has no slot and takes none from others. At most
/// `max_waiting` connections are without a slot; one more, and the *oldest* of them is dropped. A free
/// slot goes to the *newest* that wants one. When all are taken and another connection wants one, a handshake
/// that has had its slot for longer than `patience` is dropped. So honest clients, who are quick, get through
/// while 5,000 others hold connections open at whatever point of the handshake. Under honest overload
/// those are served who still wait for the answer, not those who are about to give up.
///
/// What was dropped ends in [`Reason::Overloaded`](crate::error::Reason::Overloaded). Each refused client is one
/// line of the log at WARN: limit their rate where the log is written.
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
    credentials: Credentials,
    clients: Clients,
    alpn: Vec<Vec<u8>>,
    handshake_timeout: Duration,
    max_handshakes: usize,
    max_waiting: usize,
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Clients {
    Undecided,
    Anonymous,
    Verified(TrustBundle),
}

/// What all clones of an acceptor share.
pub(crate) struct Server {
    pub(crate) tls: ServerTls,
    pub(crate) handshake_timeout: Duration,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counters: Arc<Counters>,
}

impl Acceptor {
    /// Begins with the server's own certificate.
    pub fn builder(credentials: Credentials) -> AcceptorBuilder {
        AcceptorBuilder {
            credentials,
            clients: Clients::Undecided,
            alpn: Vec::new(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            max_handshakes: DEFAULT_MAX_HANDSHAKES,
            max_waiting: DEFAULT_MAX_WAITING,
            patience: DEFAULT_PATIENCE,
        }
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
            .field("max_handshakes", &self.server.admission.max_handshakes)
            .field("max_waiting", &self.server.admission.max_waiting)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl AcceptorBuilder {
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

    /// How many handshakes run at once: 1 to 1,000,000. Others wait; the newest is served first.
    /// Default: 256.
    pub fn max_handshakes(mut self, max: usize) -> Self {
        self.max_handshakes = max;
        self
    }

    /// How many connections wait at once, for their client's first message or for a slot: 1 to 1,000,000.
    /// Over it the oldest is dropped. Default: 4,096.
    pub fn max_waiting(mut self, max: usize) -> Self {
        self.max_waiting = max;
        self
    }

    /// How long a handshake keeps its slot when another connection wants it: 10 ms to 1 h. Default: 1 s,
    /// which is a few round trips around the world.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Checks the settings.
    pub fn build(self) -> Result<Acceptor, InvalidSetting> {
        check_timeout(self.handshake_timeout)?;
        check_alpn(&self.alpn)?;
        check_count("max_handshakes", self.max_handshakes)?;
        check_count("max_waiting", self.max_waiting)?;
        if !(MIN_PATIENCE..=MAX_PATIENCE).contains(&self.patience) {
            let value = format!("{:?}", self.patience);
            return Err(InvalidSetting::new("patience", value, "10 ms to 1 h"));
        }
        let clients = match self.clients {
            Clients::Verified(trust) => Some(trust),
            Clients::Anonymous => None,
            Clients::Undecided => {
                let allowed = "`require_client` or `no_client_auth`: there is no default";
                return Err(InvalidSetting::new(
                    "client authentication",
                    "missing",
                    allowed,
                ));
            }
        };
        Ok(Acceptor {
            server: Arc::new(Server {
                tls: ServerTls::new(&self.credentials, clients, self.alpn)?,
                handshake_timeout: self.handshake_timeout,
                admission: Arc::new(Admission::new(
                    self.max_handshakes,
                    self.max_waiting,
                    self.patience,
                )),
                counters: Arc::default(),
            }),
        })
    }
}

fn check_count(field: &'static str, count: usize) -> Result<(), InvalidSetting> {
    match (1..=MAX_COUNT).contains(&count) {
        true => Ok(()),
        false => Err(InvalidSetting::new(
            field,
            count.to_string(),
            "1 to 1000000",
        )),
    }
}

const DEFAULT_MAX_HANDSHAKES: usize = 256;
const DEFAULT_MAX_WAITING: usize = 4096;
const MAX_COUNT: usize = 1_000_000;
const DEFAULT_PATIENCE: Duration = Duration::from_secs(1);
const MIN_PATIENCE: Duration = Duration::from_millis(10);
const MAX_PATIENCE: Duration = Duration::from_secs(3600);
