use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::{Sleep, sleep},
};
use tower_service::Service;
use tracing::{debug, warn};

use super::Acceptor;
use crate::{MtlsStream, error::HandshakeError};

/// Where connections come from: a TCP or Unix listener, or your own.
pub trait Listen {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Whose connection it is.
    type Addr: Send + 'static;

    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, Self::Addr)>>;
}

/// Accepts connections, verifies them beside each other, and gives out those that are verified.
///
/// Each handshake is a task, so that a slow one keeps no other waiting; how many there are is bounded by the
/// [`Acceptor`]. Those that fail are counted and logged there. An error of the listener itself, such
/// as too many open files, ends nothing: it is logged, and tried again after 100 ms.
///
/// New connections are accepted while [`accept`](Self::accept) is awaited, and not between the calls:
/// serve each connection in a task of its own. Dropping it ends the handshakes in progress.
///
/// ```no_run
/// use tokio::net::TcpListener;
/// use tower_mtls::accept::{Acceptor, MtlsListener};
///
/// # async fn serve(acceptor: Acceptor) -> std::io::Result<()> {
/// let mut listener = MtlsListener::new(TcpListener::bind("0.0.0.0:8443").await?, acceptor);
/// loop {
///     let (stream, address) = listener.accept().await;
///     tokio::spawn(async move {
///         println!("{address} is {:?}", stream.peer());
///     });
/// }
/// # }
/// # fn main() { let _ = serve; }
/// ```
pub struct MtlsListener<L: Listen> {
    listener: L,
    acceptor: Acceptor,
    handshakes: JoinSet<Outcome<L>>,
    pause: Option<Pin<Box<Sleep>>>,
}

type Verified<L> = (MtlsStream<<L as Listen>::Io>, <L as Listen>::Addr);
type Outcome<L> = Result<Verified<L>, HandshakeError>;

impl<L: Listen> MtlsListener<L> {
    /// Verifies the connections of this listener by this acceptor.
    pub fn new(listener: L, acceptor: Acceptor) -> Self {
        Self {
            listener,
            acceptor,
            handshakes: JoinSet::new(),
            pause: None,
        }
    }

    /// The next verified connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no connection: the next call goes on with the handshakes in progress.
    pub async fn accept(&mut self) -> Verified<L> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// The next verified connection, for those who poll.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Verified<L>> {
        loop {
            while let Poll::Ready(Some(ended)) = self.handshakes.poll_join_next(cx) {
                match ended {
                    Ok(Ok(verified)) => return Poll::Ready(verified),
                    // Counted and logged where it failed.
                    Ok(Err(_)) => {}
                    Err(error) => debug!(%error, "a handshake's task ended early"),
                }
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((io, address)) => {
                    let handshake = self.acceptor.call(io);
                    self.handshakes
                        .spawn(async move { handshake.await.map(|stream| (stream, address)) });
                }
                Err(error) if is_of_one_connection(&error) => {
                    debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    warn!(%error, "cannot accept; trying again soon");
                    self.pause = Some(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }

    /// The listener below.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }
}

impl<L: Listen + fmt::Debug> fmt::Debug for MtlsListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsListener")
            .field("listener", &self.listener)
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}

impl Listen for TcpListener {
    type Io = tokio::net::TcpStream;
    type Addr = std::net::SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, Self::Addr)>> {
        Self::poll_accept(self, cx)
    }
}

#[cfg(unix)]
impl Listen for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;
    type Addr = tokio::net::unix::SocketAddr;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, Self::Addr)>> {
        Self::poll_accept(self, cx)
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

const PAUSE: Duration = Duration::from_millis(100);
