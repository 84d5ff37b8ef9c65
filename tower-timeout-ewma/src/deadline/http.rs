//! Deadlines in `http` requests.

use std::time::Duration;

use ::http::{HeaderMap, Request, header::HeaderName};
use tokio::time::Instant;

use crate::{
    deadline::{Deadline, Source},
    grpc_timeout::GrpcTimeout,
    http::is_grpc,
};

/// The earliest of three: a [`Deadline`] in the request's extensions, the `grpc-timeout` header,
/// and a local limit.
///
/// Forwarding puts the [`Deadline`] into the extensions, for the layers below, and the time left
/// into the `grpc-timeout` header, rounded up, of requests that had one or whose content type is
/// `application/grpc`.
///
/// A malformed `grpc-timeout` is ignored, and replaced if there is another deadline. Of several
/// the shortest counts.
///
/// The header is trusted by default: a peer can only shorten what the local limit allows. Without
/// a local limit a peer chooses freely, up to 99,999,999 hours.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a source does nothing without a `DeadlineLayer`"]
pub struct HttpDeadline {
    local: Option<Duration>,
    ignore_incoming: bool,
}

impl HttpDeadline {
    /// No local limit; the header is trusted.
    pub fn new() -> Self {
        Self {
            local: None,
            ignore_incoming: false,
        }
    }

    /// The local limit: the most time that any request gets. Default none; zero refuses every request.
    pub fn local(mut self, limit: Duration) -> Self {
        self.local = Some(limit);
        self
    }

    /// Ignores the `grpc-timeout` header, for peers that are not trusted. The extension, which
    /// only this process can set, still counts.
    ///
    /// The header that goes out is then replaced by the local limit; set one as well, because
    /// without any deadline the request goes on as it came.
    pub fn ignore_incoming(mut self) -> Self {
        self.ignore_incoming = true;
        self
    }

    fn incoming(&self, headers: &HeaderMap) -> Option<Duration> {
        if self.ignore_incoming {
            return None;
        }
        headers
            .get_all(GRPC_TIMEOUT)
            .iter()
            .filter_map(|value| match GrpcTimeout::parse(value.as_bytes()) {
                Ok(timeout) => Some(timeout.duration()),
                Err(error) => {
                    tracing::debug!(?value, %error, "ignored");
                    None
                }
            })
            .min()
    }
}

impl<B> Source<Request<B>> for HttpDeadline {
    fn deadline(&self, request: &Request<B>, now: Instant) -> Option<Deadline> {
        let extension = request.extensions().get::<Deadline>().copied();
        let limit = [self.incoming(request.headers()), self.local]
            .into_iter()
            .flatten()
            .min()
            .map(|limit| Deadline::from(now, limit));
        [extension, limit].into_iter().flatten().min()
    }

    fn forward(&self, request: &mut Request<B>, deadline: Deadline, now: Instant) {
        if request.headers().contains_key(GRPC_TIMEOUT) || is_grpc(request.headers()) {
            let left = GrpcTimeout::round_up(deadline.remaining(now));
            request
                .headers_mut()
                .insert(GRPC_TIMEOUT, left.to_header_value());
        }
        request.extensions_mut().insert(deadline);
    }
}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
