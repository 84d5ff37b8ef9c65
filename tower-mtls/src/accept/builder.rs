use std::{sync::Arc, time::Duration};

use super::{Acceptor, Server};
use crate::{
    Credentials, Cryptography, Trust,
    admission::Admission,
    config::{Clients, ServerTls, TlsSettings},
    connections::Connections,
    error::InvalidSetting,
    layer::{DEFAULT_HANDSHAKE_TIMEOUT, check_timeout},
    live::Live,
    observer::{Observer, Side, Told},
    source::{Snapshot, Source},
    stats::Counters,
};

/// Settings of an [`Acceptor`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AcceptorBuilder {
    own: Own,
    clients: Asked,
    tls: TlsSettings,
    handshake_timeout: Duration,
    max_handshakes: usize,
    max_waiting: usize,
    patience: Duration,
    end_connections: bool,
    observer: Told,
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

impl AcceptorBuilder {
    pub(super) fn fixed(credentials: Credentials) -> Self {
        Self::new(Own::Fixed(credentials), Asked::Undecided)
    }

    pub(super) fn rotating(source: Source) -> Self {
        Self::new(Own::Rotating(source), Asked::BySource { required: true })
    }

    fn new(own: Own, clients: Asked) -> Self {
        Self {
            own,
            clients,
            tls: TlsSettings::default(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            max_handshakes: DEFAULT_MAX_HANDSHAKES,
            max_waiting: DEFAULT_MAX_WAITING,
            patience: DEFAULT_PATIENCE,
            end_connections: true,
            observer: Told::default(),
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

    /// Clients are asked for a certificate, and let in without one too: [`MtlsStream::peer`](crate::MtlsStream::peer) is `None` for those.
    /// A client whose certificate is not vouched for is refused all the same.
    pub fn optional_client(mut self, trust: impl Into<Trust>) -> Self {
        self.clients = Asked::Decided(Clients::Verified {
            trust: trust.into(),
            required: false,
        });
        self
    }

    /// No client is asked for a certificate: [`MtlsStream::peer`](crate::MtlsStream::peer) is `None` for all of them.
    pub fn no_client_auth(mut self) -> Self {
        self.clients = Asked::Decided(Clients::Anonymous);
        self
    }

    /// Clients are let in without a certificate too, where they would need one: [`MtlsStream::peer`](crate::MtlsStream::peer) is `None` for
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
    /// A client that offers no protocol at all is let in none the less: check [`MtlsStream::alpn`](crate::MtlsStream::alpn).
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

    /// Whether a connection ends when its client is no longer accepted: the certificate has expired, or is found
    /// at a rotation to be revoked or without a root. Default: true.
    ///
    /// Without it, [`MtlsStream::validity`](crate::MtlsStream::validity) and [`PeerIdentity::is_valid`](crate::PeerIdentity::is_valid) tell.
    pub fn end_connections(mut self, end: bool) -> Self {
        self.end_connections = end;
        self
    }

    /// Is told of each handshake that ends.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Told::to(observer);
        self
    }

    /// Checks the settings.
    pub fn build(self) -> Result<Acceptor, InvalidSetting> {
        check_timeout(self.handshake_timeout)?;
        self.tls.check()?;
        let admission = self.admission()?;
        let source = match self.own {
            Own::Rotating(source) => source,
            Own::Fixed(credentials) => Source::fixed(Snapshot::without_trust(credentials)),
        };
        let (clients, settings) = (self.clients, self.tls);
        let skew = settings.clock_skew;
        let make = move |snapshot: &Snapshot| server_tls(snapshot, &clients, &settings);
        let tls = Arc::new(Live::new(source, Box::new(make))?);
        let counters = Arc::new(Counters::new(Side::Server, self.observer));
        let connections =
            Connections::new(tls.clone(), counters.clone(), self.end_connections, skew);
        Ok(Acceptor {
            server: Arc::new(Server {
                tls,
                connections: Arc::new(connections),
                handshake_timeout: self.handshake_timeout,
                admission: Arc::new(admission),
                counters,
            }),
        })
    }

    fn admission(&self) -> Result<Admission, InvalidSetting> {
        check_count("max_handshakes", self.max_handshakes)?;
        check_count("max_waiting", self.max_waiting)?;
        if !(MIN_PATIENCE..=MAX_PATIENCE).contains(&self.patience) {
            let value = format!("{:?}", self.patience);
            return Err(InvalidSetting::new("patience", value, "10 ms to 1 h"));
        }
        let (slots, waiting) = (self.max_handshakes, self.max_waiting);
        Ok(Admission::new(slots, waiting, self.patience))
    }
}

fn check_count(field: &'static str, count: usize) -> Result<(), InvalidSetting> {
    match (1..=MAX_COUNT).contains(&count) {
        true => Ok(()),
        false => {
            let value = count.to_string();
            Err(InvalidSetting::new(field, value, "1 to 1000000"))
        }
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
const DEFAULT_MAX_WAITING: usize = 4096;
const MAX_COUNT: usize = 1_000_000;
const DEFAULT_PATIENCE: Duration = Duration::from_secs(1);
const MIN_PATIENCE: Duration = Duration::from_millis(10);
const MAX_PATIENCE: Duration = Duration::from_secs(3600);
