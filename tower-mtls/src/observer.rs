//! Who is told of each handshake, for metrics and audits.
//!
//! ```
//! use tower_mtls::observer::{Handshake, Outcome};
//!
//! fn record(handshake: &Handshake<'_>) {
//!     let (side, took) = (handshake.side().as_str(), handshake.took());
//!     match handshake.outcome() {
//!         Outcome::Succeeded(session) => println!(
//!             "{side}: {:?} in {took:?}, {} {:?}",
//!             session.peer(), session.version().as_str(), session.group(),
//!         ),
//!         Outcome::Failed(error) => println!("{side}: {} in {took:?}", error.reason()),
//!         _ => println!("{side}: given up after {took:?}"),
//!     }
//! }
//! # let _ = record;
//! ```

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tracing::error;

use crate::{MtlsStream, PeerIdentity, error::HandshakeError};

/// Is told of each handshake that has ended, at the end of it.
///
/// Any `Fn(&Handshake<'_>)` is one. It is called where the handshake ends, so it must not block; if it
/// panics that is logged, and nothing else comes of it.
pub trait Observer: Send + Sync + 'static {
    /// A handshake has ended.
    fn handshake(&self, handshake: &Handshake<'_>);
}

impl<F: Fn(&Handshake<'_>) + Send + Sync + 'static> Observer for F {
    fn handshake(&self, handshake: &Handshake<'_>) {
        self(handshake);
    }
}

/// A handshake that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Handshake<'a> {
    side: Side,
    took: Duration,
    outcome: Outcome<'a>,
}

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that connects.
    Client,
    /// The one that accepts.
    Server,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// There is a connection.
    Succeeded(&'a Session<'a>),
    /// There is none.
    Failed(&'a HandshakeError),
    /// The caller dropped it.
    Cancelled,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    version: Version,
    group: Option<&'static str>,
    alpn: Option<&'a [u8]>,
    peer: Option<&'a PeerIdentity>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(side: Side, took: Duration, outcome: Outcome<'a>) -> Self {
        Self {
            side,
            took,
            outcome,
        }
    }

    /// Which side this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// How long it took: on the server's side from the connection's arrival, all waits included.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome<'a> {
        self.outcome
    }
}

impl<'a> Session<'a> {
    pub(crate) fn of<IO>(stream: &'a MtlsStream<IO>) -> Self {
        Self {
            version: stream.version(),
            group: stream.group(),
            alpn: stream.alpn(),
            peer: stream.peer(),
        }
    }

    /// The version of TLS.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The group of the key exchange, such as `X25519MLKEM768`.
    pub fn group(&self) -> Option<&'static str> {
        self.group
    }

    /// The application protocol; `None` where a side named none.
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.alpn
    }

    /// The verified peer.
    pub fn peer(&self) -> Option<&'a PeerIdentity> {
        self.peer
    }
}

impl Side {
    /// `client` or `server`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

impl Version {
    /// `1.2` or `1.3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }
}

/// The observer, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Told(Option<Arc<dyn Observer>>);

impl Told {
    pub(crate) fn to(observer: impl Observer) -> Self {
        Self(Some(Arc::new(observer)))
    }

    pub(crate) fn tell(&self, handshake: &Handshake<'_>) {
        let Some(observer) = &self.0 else { return };
        if catch_unwind(AssertUnwindSafe(|| observer.handshake(handshake))).is_err() {
            error!(side = handshake.side().as_str(), "the observer panicked");
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}
