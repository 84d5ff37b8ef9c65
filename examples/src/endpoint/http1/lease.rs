//! The right to one connection, and one exchange over it.

use std::{
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit};

use super::{
    link::Link,
    pooled::{Made, Pooled},
    shared::Shared,
};
use crate::{
    BoxError,
    endpoint::{body::EndpointBody, connection::RequestBody, dials::Held, ended::Ended},
    http::{body::BodyFate, list},
};

/// The right to one connection, kept until its response has ended.
///
/// A lease that is dropped instead of given back closes its connection.
pub struct Lease<B> {
    /// None after a connection that has ended.
    pub(super) sender: Option<http1::SendRequest<B>>,
    pub(super) link: Arc<Link>,
    pub(super) held: Option<Held<Made<B>>>,
    /// How long the last response lets us keep it unused.
    pub(super) told: Option<Duration>,
    /// Of the request's body, where there is one.
    pub(super) fate: Option<BodyFate>,
    /// Whether the answer is a success.
    pub(super) is_taken: bool,
    pub(super) shared: Arc<Shared<B>>,
    pub(super) slot: OwnedSemaphorePermit,
}

impl<B: RequestBody> Lease<B> {
    /// What becomes of the connection by this response.
    pub(super) fn answer(
        self,
        response: Response<Incoming>,
        asked: Option<&HeaderValue>,
    ) -> Result<Response<EndpointBody<B>>, BoxError> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response.map(|body| EndpointBody::leased(body, self)));
        }
        if !asked.is_some_and(|asked| is_one_of(response.headers(), asked)) {
            self.link.cut();
            return Err("the endpoint switched to a protocol that nobody asked for".into());
        }
        Ok(response.map(|body| EndpointBody::tunnel(body, self)))
    }

    /// The response has ended: the connection may carry another request.
    pub(in crate::endpoint) fn give_back(self) {
        let Self {
            sender,
            link,
            held,
            told,
            fate,
            is_taken,
            shared,
            slot,
        } = self;
        let Some(sender) = sender else {
            return report(held);
        };
        let mut pooled = Pooled { sender, link, held };
        // The endpoint has answered without the rest of the request, and nobody knows whether it would
        // take that rest for the next request. One that takes the request may still want the rest.
        let is_whole = fate.is_none_or(|fate| fate.is_whole());
        if !is_whole && !is_taken {
            return pooled.link.cut();
        }
        if is_whole && pooled.sender.is_ready() {
            shared.keep(pooled, told);
        } else if pooled.sender.is_closed() {
            report(pooled.held);
        } else if let Ok(runtime) = Handle::try_current() {
            // The end of the request's body may still be on its way, or the connection's task a step
            // behind.
            runtime.spawn(async move {
                match pooled.sender.ready().await {
                    Ok(()) if is_whole => shared.keep(pooled, told),
                    Ok(()) => {}
                    Err(_) => report(pooled.held),
                }
                drop(slot);
            });
        }
    }
}

/// A connection has ended after its answer, which is no failure.
fn report<B: RequestBody>(held: Option<Held<Made<B>>>) {
    if let Some(mut held) = held {
        held.report_lost(Ended::new(true, "closed after its answer"));
    }
}

/// Whether an endpoint switches to a protocol that was asked for.
fn is_one_of(answer: &HeaderMap, asked: &HeaderValue) -> bool {
    let asked = asked.to_str().unwrap_or_default();
    let mut switched = list(answer, &header::UPGRADE).peekable();
    switched.peek().is_some()
        && switched.all(|protocol| {
            let mut asked = asked.split(',').map(str::trim);
            asked.any(|asked| asked.eq_ignore_ascii_case(protocol))
        })
}

/// Sends a request, and keeps the connection only as long as it lives.
///
/// A request that is handed over at the moment when its connection ends may be stuck between the
/// two: it comes back when the sender is gone.
pub(super) async fn exchange<B: RequestBody>(
    mut sender: http1::SendRequest<B>,
    request: Request<B>,
) -> (Sent<B>, Option<http1::SendRequest<B>>) {
    let mut sent = std::pin::pin!(sender.try_send_request(request));
    let mut sender = Some(sender);
    let sent = poll_fn(|cx| {
        let polled = sent.as_mut().poll(cx);
        let ended = match &mut sender {
            Some(sender) if polled.is_pending() => sender.poll_ready(cx),
            _ => return polled,
        };
        if let Poll::Ready(Err(_)) = ended {
            sender = None;
            return sent.as_mut().poll(cx);
        }
        polled
    });
    let sent = sent.await;
    (sent, sender)
}

type Sent<B> = Result<Response<Incoming>, TrySendError<Request<B>>>;

impl<B> fmt::Debug for Lease<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}
