//! One request and its response, counted from the first to the last byte.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_mtls::PeerIdentity;

use super::{Door, activity::InUse};
use crate::{
    BoxError,
    cluster::Sent,
    endpoint::Met,
    http::{body::ResponseBody, refusal::Refusal},
    telemetry::{Ending, ListenerMetrics},
};

/// An exchange in progress. However it ends, it is counted once: when this is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    metrics: Arc<ListenerMetrics>,
    in_flight: Arc<AtomicUsize>,
    ahead: usize,
    started: Instant,
    ending: Ending,
    log: Option<Box<LogLine>>,
}

/// What the access log says; only made where somebody reads it.
#[derive(Debug)]
struct LogLine {
    method: Method,
    uri: Uri,
    client: SocketAddr,
    peer: Option<PeerIdentity>,
    status: Option<StatusCode>,
    sent: Sent,
    met: Met,
}

pin_project! {
    /// A response's body, which takes its exchange to the end.
    #[derive(Debug)]
    pub(super) struct ExchangeBody<B> {
        #[pin]
        body: ResponseBody<B>,
        exchange: Option<Exchange>,
        in_use: Option<InUse>,
        // What breaks off is told by trailers.
        grpc: bool,
        ended: bool,
    }
}

impl Exchange {
    pub(super) fn begin<B>(
        door: &Door,
        request: &Request<B>,
        client: SocketAddr,
        peer: Option<&PeerIdentity>,
    ) -> Self {
        let log = tracing::enabled!(target: "access", tracing::Level::INFO).then(|| {
            Box::new(LogLine {
                method: request.method().clone(),
                uri: request.uri().clone(),
                client,
                peer: peer.cloned(),
                status: None,
                sent: Sent::new(),
                met: Met::default(),
            })
        });
        door.metrics.request_began();
        Self {
            metrics: door.metrics.clone(),
            in_flight: door.in_flight.clone(),
            ahead: door.in_flight.fetch_add(1, Relaxed),
            started: Instant::now(),
            ending: Ending::Cancelled,
            log,
        }
    }

    /// Where the endpoints are to be noted that the request is sent to, and who is met there, if anybody
    /// wants to know.
    pub(super) fn sent(&self) -> Option<(Sent, Met)> {
        self.log
            .as_ref()
            .map(|log| (log.sent.clone(), log.met.clone()))
    }

    /// Whether as many as `limit` requests were in flight before this one.
    pub(super) fn is_over(&self, limit: usize) -> bool {
        self.ahead >= limit
    }

    /// Names the reason of a failure, and logs it.
    pub(super) fn failed(&self, error: &(dyn std::error::Error + 'static)) -> Refusal {
        let refusal = Refusal::of(error);
        tracing::debug!(listener = %self.metrics.name(), error, ?refusal, "request failed");
        refusal
    }

    /// Turns to the response: from here on, what is not passed on whole is broken off. A gRPC
    /// stream that breaks off ends with trailers that say so.
    pub(super) fn respond<B>(
        mut self,
        response: Response<ResponseBody<B>>,
        is_grpc_stream: bool,
    ) -> Response<ExchangeBody<B>>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        self.responded(response.status());
        response.map(|body| {
            if body.is_end_stream() {
                self.ending = Ending::Whole;
            }
            ExchangeBody {
                body,
                exchange: Some(self),
                in_use: None,
                grpc: is_grpc_stream,
                ended: false,
            }
        })
    }

    /// Turns into a tunnel.
    pub(super) fn switched(&mut self) {
        self.responded(StatusCode::SWITCHING_PROTOCOLS);
    }

    /// The tunnel has ended well.
    pub(super) fn tunnel_closed(mut self) {
        self.ending = Ending::Whole;
    }

    fn responded(&mut self, status: StatusCode) {
        let latency = Instant::now().saturating_duration_since(self.started);
        self.metrics.responded(status, latency);
        self.ending = Ending::BrokenOff;
        if let Some(log) = &mut self.log {
            log.status = Some(status);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.metrics.request_ended(self.ending);
        if let Some(log) = self.log.take() {
            let duration = Instant::now().saturating_duration_since(self.started);
            let endpoints = log.sent.endpoints();
            tracing::info!(
                target: "access",
                listener = %self.metrics.name(),
                method = %log.method,
                uri = %log.uri,
                status = log.status.map(|status| status.as_u16()),
                client = %log.client,
                peer = log.peer.as_ref().map(tracing::field::display),
                endpoint = endpoints.last().map(tracing::field::display),
                endpoint_peer = log.met.peer().as_ref().map(tracing::field::display),
                attempts = endpoints.len(),
                duration_ms = duration.as_secs_f64() * 1e3,
                ending = self.ending.as_str(),
            );
        }
    }
}

impl<B> ExchangeBody<B> {
    /// Of an answer whose exchange goes on elsewhere.
    pub(super) fn empty() -> Self {
        Self {
            body: ResponseBody::own(""),
            exchange: None,
            in_use: None,
            grpc: false,
            ended: false,
        }
    }

    /// Keeps the connection in use until the body has ended.
    pub(super) fn keep(mut self, in_use: InUse) -> Self {
        self.in_use = Some(in_use);
        self
    }
}

impl<B> Body for ExchangeBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let polled = this.body.as_mut().poll_frame(cx);
        let whole = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if whole && let Some(mut exchange) = this.exchange.take() {
            exchange.ending = Ending::Whole;
        }
        let Poll::Ready(Some(Err(error))) = polled else {
            return polled;
        };
        *this.ended = true;
        if let Some(exchange) = this.exchange.take() {
            exchange.metrics.broke_off(error.as_ref());
        }
        if *this.grpc {
            let trailers = Refusal::of(error.as_ref()).trailers();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
