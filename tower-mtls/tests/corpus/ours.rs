//! Our side, set up to judge the chain of a case.

use std::{error::Error, fmt};

use tokio::io::{AsyncRead, AsyncWrite};
use tower::{Layer, ServiceExt, service_fn};
use tower_mtls::{
    Expected, MtlsLayer, MtlsStream, accept::Acceptor, dev::Authority, error::HandshakeError,
};

use crate::{
    cases::{Case, Mode, Role, Verdict},
    setup::{Chain, PEER_NAME},
};

/// A case in one mode and one role.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub case: &'a Case,
    pub mode: Mode,
    pub role: Role,
}

/// What our side said of the peer.
#[derive(Debug)]
pub enum Outcome {
    Accepted { identity: Option<String> },
    Refused(HandshakeError),
}

impl<'a> Run<'a> {
    /// All of them.
    pub fn of(cases: &'a [Case]) -> Vec<Self> {
        let in_modes = cases.iter().flat_map(|case| {
            let modes = case.modes.iter().map(move |mode| (case, *mode));
            modes.flat_map(|(case, mode)| {
                let roles = case.roles.iter();
                roles.map(move |role| Run {
                    case,
                    mode,
                    role: *role,
                })
            })
        });
        in_modes.collect()
    }

    /// Where our verdict or the alert that the peer got differs from the expected one, how.
    pub fn judge(&self, outcome: &Outcome, alert: Option<u8>) -> Result<(), String> {
        let identity = match (self.mode, self.case.verdict) {
            (Mode::Spiffe, Verdict::Accept) => Some("spiffe://"),
            (Mode::Plain, Verdict::Accept) if self.role == Role::Server => {
                Some("dns:peer.example.org")
            }
            _ => None,
        };
        match (self.case.verdict, outcome) {
            (Verdict::Accept, Outcome::Accepted { identity: seen }) => {
                let seen = seen.as_deref().unwrap_or_default();
                match identity.is_none_or(|identity| seen.starts_with(identity)) {
                    true => Ok(()),
                    false => Err(format!("{self}: the identity is {seen}")),
                }
            }
            (Verdict::Refuse(reason, expected, words), Outcome::Refused(error)) => {
                if error.reason() != reason || !error.to_string().contains(words) {
                    return Err(format!("{self}: {error}, expected {reason}: {words}"));
                }
                match alert == Some(expected) {
                    true => Ok(()),
                    false => Err(format!("{self}: alert {alert:?}, expected {expected}")),
                }
            }
            (expected, outcome) => Err(format!("{self}: {outcome:?}, expected {expected:?}")),
        }
    }
}

impl fmt::Display for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, {}", self.mode, self.role, self.case.name)
    }
}

/// Judges the client at the other end.
pub async fn accept<IO>(chain: &Chain, own: &Authority, io: IO) -> (Outcome, Option<MtlsStream<IO>>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let acceptor = Acceptor::builder(own.dns(&["localhost"]).unwrap().credentials())
        .require_client(chain.trust.clone())
        .clock_skew(chain.clock_skew)
        .build()
        .unwrap();
    Outcome::of(acceptor.oneshot(io).await)
}

/// Judges the server at the other end.
pub async fn connect<IO>(chain: &Chain, io: IO) -> (Outcome, Option<MtlsStream<IO>>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let trust = chain.trust.clone();
    let expected = match trust.trust_domain() {
        Some(_) => Expected::TrustDomains(trust.trust_domains().cloned().collect()),
        None => Expected::ServerName(PEER_NAME.parse().unwrap()),
    };
    let layer = MtlsLayer::builder(trust)
        .expect(expected)
        .clock_skew(chain.clock_skew)
        .build()
        .unwrap();
    let connector = service_fn(|io: IO| std::future::ready(Ok::<_, std::convert::Infallible>(io)));
    let stream = layer.layer(connector).oneshot(io).await;
    Outcome::of(
        stream.map_err(|error| *error.downcast::<HandshakeError>().expect("of a handshake")),
    )
}

impl Outcome {
    fn of<IO>(handshake: Result<MtlsStream<IO>, HandshakeError>) -> (Self, Option<MtlsStream<IO>>) {
        match handshake {
            Ok(stream) => {
                let identity = stream.peer().map(ToString::to_string);
                (Self::Accepted { identity }, Some(stream))
            }
            Err(error) => (Self::Refused(error), None),
        }
    }
}

/// The number of the alert in an error of the TLS library.
pub fn alert_in(error: &(dyn Error + 'static)) -> Option<u8> {
    let io = error.downcast_ref::<std::io::Error>()?;
    match io.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(u8::from(*alert)),
        _ => None,
    }
}
