//! Deadlines in `http` requests.

mod trust;

use std::{error::Error, fmt, time::Duration};

use ::http::{HeaderMap, Request, header::HeaderName};
use tokio::time::Instant;

pub use self::trust::{EveryPeer, Incoming, NoPeer, Trust};
use crate::{
    deadline::{Deadline, Source},
    envoy_timeout::EnvoyTimeout,
    grpc_timeout::GrpcTimeout,
    http::is_grpc,
};

/// The earliest of a [`Deadline`] in the request's extensions, the headers `grpc-timeout` and
/// `x-envoy-expected-rq-timeout-ms`, and a local limit.
///
/// Forwarding puts the [`Deadline`] into the extensions, for the layers below, and the time left,
/// rounded up, into those of the headers that the request had; into `grpc-timeout` also if its
/// content type is `application/grpc`.
///
/// A malformed header is ignored, and replaced if there is another deadline. Of several the
/// shortest counts.
///
/// Headers are trusted by default: a peer can only shorten what the local limit allows. Without a
/// local limit a peer chooses freely. [`trust`](Self::trust) tells peers apart:
///
/// ```
/// use std::time::Duration;
///
/// use http::Request;
/// use tower_timeout_ewma::deadline::{
///     DeadlineLayer,
///     http::{HttpDeadline, Incoming},
/// };
///
/// // As a layer that knows the peer has put it there.
/// #[derive(Clone)]
/// struct Peer(&'static str);
///
/// let source = HttpDeadline::new()
///     .default(Duration::from_secs(15))
///     .trust(|request: &Request<()>| match request.extensions().get() {
///         Some(Peer("gateway")) => Incoming::Trusted,
///         Some(_) => Incoming::AtMost(Duration::from_secs(60)),
///         None => Incoming::Ignored,
///     });
/// let layer = DeadlineLayer::new(source);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Default)]
#[must_use = "a source does nothing without a `DeadlineLayer`"]
pub struct HttpDeadline<T = EveryPeer> {
    local: Option<Duration>,
    default: Option<Duration>,
    envoy: bool,
    trust: T,
}

impl HttpDeadline {
    /// No limits; headers are trusted.
    pub fn new() -> Self {
        Self {
            local: None,
            default: None,
            envoy: false,
            trust: EveryPeer,
        }
    }
}

impl<T> HttpDeadline<T> {
    /// The local limit: the most time that any request gets. Default none; zero refuses every request.
    pub fn local(mut self, limit: Duration) -> Self {
        self.local = Some(limit);
        self
    }

    /// The time that a request gets which brings no deadline. Default: no limit, or the
    /// [local](Self::local) one.
    pub fn default(mut self, limit: Duration) -> Self {
        self.default = Some(limit);
        self
    }

    /// Whether requests are to have `x-envoy-expected-rq-timeout-ms` that came without it. Default no.
    pub fn add_envoy(mut self, add: bool) -> Self {
        self.envoy = add;
        self
    }

    /// What the headers of a request are worth: any `Fn(&Request<B>) -> Incoming`. Default
    /// [`EveryPeer`] is trusted. The extension, which only this process can set, always counts.
    pub fn trust<T2>(self, trust: T2) -> HttpDeadline<T2> {
        HttpDeadline {
            local: self.local,
            default: self.default,
            envoy: self.envoy,
            trust,
        }
    }

    /// Ignores the headers of all peers, and takes them away where there is nothing to replace them.
    pub fn ignore_incoming(self) -> HttpDeadline<NoPeer> {
        self.trust(NoPeer)
    }
}

impl<B, T: Trust<Request<B>>> Source<Request<B>> for HttpDeadline<T> {
    fn deadline(&self, request: &Request<B>, now: Instant) -> Option<Deadline> {
        let extension = request.extensions().get::<Deadline>().copied();
        let incoming = match self.trust.trust(request) {
            Incoming::Trusted => incoming(request.headers()),
            Incoming::AtMost(cap) => incoming(request.headers()).map(|limit| limit.min(cap)),
            Incoming::Ignored => None,
        };
        let brought = extension.is_some() || incoming.is_some();
        let limit = [incoming, self.local, self.default.filter(|_| !brought)]
            .into_iter()
            .flatten()
            .min()
            .map(|limit| Deadline::from(now, limit));
        [extension, limit].into_iter().flatten().min()
    }

    fn forward(&self, request: &mut Request<B>, deadline: Deadline, now: Instant) {
        let left = deadline.remaining(now);
        let headers = request.headers_mut();
        if headers.contains_key(GRPC_TIMEOUT) || is_grpc(headers) {
            let left = GrpcTimeout::round_up(left);
            headers.insert(GRPC_TIMEOUT, left.to_header_value());
        }
        if self.envoy || headers.contains_key(ENVOY_TIMEOUT) {
            let left = EnvoyTimeout::round_up(left);
            headers.insert(ENVOY_TIMEOUT, left.to_header_value());
        }
        request.extensions_mut().insert(deadline);
    }

    /// Takes headers away that are ignored: they must not be believed further on.
    fn without(&self, request: &mut Request<B>) {
        if self.trust.trust(request) == Incoming::Ignored {
            request.headers_mut().remove(GRPC_TIMEOUT);
            request.headers_mut().remove(ENVOY_TIMEOUT);
        }
    }
}

/// A closure has no `Debug`.
impl<T> fmt::Debug for HttpDeadline<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDeadline")
            .field("local", &self.local)
            .field("default", &self.default)
            .field("envoy", &self.envoy)
            .finish_non_exhaustive()
    }
}

/// The shortest of what the headers say.
fn incoming(headers: &HeaderMap) -> Option<Duration> {
    let grpc = all(headers, GRPC_TIMEOUT, |value| {
        GrpcTimeout::parse(value).map(GrpcTimeout::duration)
    });
    let envoy = all(headers, ENVOY_TIMEOUT, |value| {
        EnvoyTimeout::parse(value).map(EnvoyTimeout::duration)
    });
    grpc.chain(envoy).min()
}

fn all<E: Error>(
    headers: &HeaderMap,
    name: HeaderName,
    parse: impl Fn(&[u8]) -> Result<Duration, E>,
) -> impl Iterator<Item = Duration> {
    let values = headers.get_all(&name).iter();
    values.filter_map(move |value| match parse(value.as_bytes()) {
        Ok(timeout) => Some(timeout),
        Err(error) => {
            tracing::debug!(%name, ?value, %error, "ignored");
            None
        }
    })
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ENVOY_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
