//! TCP connections by happy eyeballs ([RFC 8305]), as a maker of connections.
//!
//! [`Tcp`] is a `Service` from addresses, or from a [`Host`] that it resolves at each dial, to a
//! [`TcpStream`]. It tries the addresses in turn, alternating between IPv6 and IPv4 from the family
//! of the first one on. The next attempt starts when one fails, or after the
//! [`attempt_delay`](Builder::attempt_delay); the first to succeed wins, and the others are
//! dropped. A dead family, or a host that is down behind one of several addresses, so costs a
//! quarter of a second and not a timeout.
//!
//! ```rust,no_run
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! use tower_reconnect::{ReconnectLayer, error::BoxError, tcp::{Host, Tcp}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let mut tcp = Tcp::new();
//! let dial = service_fn(move |host: Host| {
//!     let connecting = tcp.call(host);
//!     async move {
//!         // Here goes a handshake. This connection sends bytes, and that is all.
//!         let stream = connecting.await?;
//!         let connection = service_fn(move |byte: u8| {
//!             let sent = stream.try_write(&[byte]);
//!             std::future::ready(sent.map(drop))
//!         });
//!         Ok::<_, BoxError>(connection)
//!     }
//! });
//! let layer = ReconnectLayer::builder(Host::new("db.example.com", 5432));
//! let service = layer.build_exclusive()?.layer(dial);
//! service.oneshot(7).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The resolver is the system's, by [`tokio::net::lookup_host`]; its order of addresses, which is
//! that of RFC 6724 on most systems, decides which family comes first. Both families are asked at
//! once, and connecting begins when both have answered: the part of RFC 8305 on asynchronous
//! queries needs another resolver.
//!
//! There is no timeout here: [`connect_timeout`](crate::Builder::connect_timeout) covers all of it. If
//! no attempt ends, four begin within its default of 1 s: give it 250 ms more for each further address.
//!
//! [RFC 8305]: https://www.rfc-editor.org/rfc/rfc8305

mod error;
mod order;
mod race;

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

pub use self::error::{ConnectError, ResolveError};
use crate::error::{BoxError, InvalidSetting};

/// Connects to the first of several addresses that can be connected to.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    settings: Settings,
}

impl Tcp {
    /// With every setting at its default.
    pub fn new() -> Self {
        let settings = Settings::default();
        Self { settings }
    }

    /// With settings of your own.
    pub fn builder() -> Builder {
        let settings = Settings::default();
        Builder { settings }
    }

    async fn connect(self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let Settings {
            attempt_delay,
            first_family_count,
            nodelay,
        } = self.settings;
        let mut order = order::interleave(addresses, first_family_count);
        let addresses = order.make_contiguous().to_vec();
        let connect = async |address| {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(nodelay)?;
            io::Result::Ok(stream)
        };
        race::race(order, attempt_delay, connect)
            .await
            .map_err(|failures| ConnectError::new(failures, &addresses))
    }

    async fn connect_to(self, host: Host) -> Result<TcpStream, BoxError> {
        let addresses = host.resolve().await?;
        Ok(self.connect(&addresses).await?)
    }
}

impl Default for Tcp {
    fn default() -> Self {
        Self::new()
    }
}

/// A name to resolve at each dial, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    name: Arc<str>,
    port: u16,
}

impl Host {
    /// A name as the system's resolver takes it, or an IP address in text.
    pub fn new(name: impl Into<Arc<str>>, port: u16) -> Self {
        let name = name.into();
        Self { name, port }
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ResolveError> {
        match lookup_host((&*self.name, self.port)).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(source) => Err(ResolveError::new(self.name.clone(), source)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        match name.contains(':') {
            true => write!(f, "[{name}]:{port}"),
            false => write!(f, "{name}:{port}"),
        }
    }
}

impl Service<Vec<SocketAddr>> for Tcp {
    type Response = TcpStream;
    type Error = ConnectError;
    type Future = Connecting<ConnectError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, addresses: Vec<SocketAddr>) -> Self::Future {
        let tcp = *self;
        Connecting(Box::pin(async move { tcp.connect(&addresses).await }))
    }
}

impl Service<Arc<[SocketAddr]>> for Tcp {
    type Response = TcpStream;
    type Error = ConnectError;
    type Future = Connecting<ConnectError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, addresses: Arc<[SocketAddr]>) -> Self::Future {
        let tcp = *self;
        Connecting(Box::pin(async move { tcp.connect(&addresses).await }))
    }
}

impl Service<SocketAddr> for Tcp {
    type Response = TcpStream;
    type Error = ConnectError;
    type Future = Connecting<ConnectError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: SocketAddr) -> Self::Future {
        let tcp = *self;
        Connecting(Box::pin(async move { tcp.connect(&[address]).await }))
    }
}

impl Service<Host> for Tcp {
    type Response = TcpStream;
    /// A [`ConnectError`] or a [`ResolveError`].
    type Error = BoxError;
    type Future = Connecting<BoxError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, host: Host) -> Self::Future {
        Connecting(Box::pin((*self).connect_to(host)))
    }
}

/// The making of one [`TcpStream`].
///
/// # Cancel safety
///
/// Dropping it ends every attempt.
#[must_use = "futures do nothing unless polled"]
pub struct Connecting<E>(Pin<Box<dyn Future<Output = Result<TcpStream, E>> + Send>>);

impl<E> Future for Connecting<E> {
    type Output = Result<TcpStream, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<E> fmt::Debug for Connecting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

/// The settings of a [`Tcp`].
///
/// Nothing is checked before [`build`](Self::build).
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    /// How long after an attempt that has not ended the next one starts: the Connection Attempt
    /// Delay of RFC 8305.
    ///
    /// 250 ms by default, 10 ms to 2 s, which are the RFC's bounds.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.settings.attempt_delay = delay;
        self
    }

    /// How many addresses of the family that comes first are tried before one of the other: the
    /// First Address Family Count of RFC 8305.
    ///
    /// 1 by default, 1 to 16.
    pub fn first_family_count(mut self, count: usize) -> Self {
        self.settings.first_family_count = count;
        self
    }

    /// Whether small writes are sent at once, by `TCP_NODELAY`. `true` by default.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.settings.nodelay = nodelay;
        self
    }

    /// The service that connects.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] when a setting is out of its range.
    pub fn build(self) -> Result<Tcp, InvalidSetting> {
        let Self { settings } = self;
        let delay = settings.attempt_delay;
        if !(SHORTEST_DELAY..=LONGEST_DELAY).contains(&delay) {
            let value = format!("{delay:?}");
            return Err(InvalidSetting::new("attempt_delay", value, "10 ms to 2 s"));
        }
        let count = settings.first_family_count;
        if !(1..=16).contains(&count) {
            let value = count.to_string();
            return Err(InvalidSetting::new("first_family_count", value, "1 to 16"));
        }
        Ok(Tcp { settings })
    }
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    attempt_delay: Duration,
    first_family_count: usize,
    nodelay: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempt_delay: Duration::from_millis(250),
            first_family_count: 1,
            nodelay: true,
        }
    }
}

/// RFC 8305, section 5: it must not be shorter.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
