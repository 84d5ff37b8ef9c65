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
use tokio_rustls::StartHandshake;
use tower_service::Service;

use crate::{
    Credentials, MtlsStream,
    admission::Admission,
    config::ServerTls,
    connections::{Connections, Register},
    error::HandshakeError,
    future::AcceptFuture,
    handshake::{Accepting, Handshake},
    live::Live,
    source::Source,
    stats::Counters,
};

pub use self::{
    builder::AcceptorBuilder,
    listener::{Listen, MtlsListener},
};
pub use crate::stats::Stats;

mod builder;
mod listener;

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

/// What all clones of an acceptor share.
pub(crate) struct Server {
    pub(crate) tls: Arc<Live<ServerTls>>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counters: Arc<Counters>,
}

impl Acceptor {
    /// Begins with the server's own certificate.
    pub fn builder(credentials: Credentials) -> AcceptorBuilder {
        AcceptorBuilder::fixed(credentials)
    }

    /// Begins with a [`source`](crate::source) of the server's own certificate and of who vouches for clients.
    /// Clients need a certificate, if nothing else is said.
    ///
    /// While the source has no snapshot, handshakes fail.
    pub fn rotating(source: &Source) -> AcceptorBuilder {
        AcceptorBuilder::rotating(source.clone())
    }

    /// Counts of this acceptor's handshakes, all clones together.
    pub fn stats(&self) -> Stats {
        self.server.counters.snapshot()
    }

    /// Where the credentials come from, and how long they last: fixed ones are a source that never changes.
    pub fn source(&self) -> &Source {
        self.server.tls.source()
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

impl Server {
    /// A handshake with what is in force now.
    pub(crate) fn accept<IO>(
        &self,
        start: StartHandshake<IO>,
    ) -> Result<Handshake<Accepting<IO>>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        self.tls.source().attend();
        let tls = self.tls.load()?;
        Ok(tls.accept(start, Register::new(&self.connections, tls.trust_serial())))
    }
}
