//! HTTP/1.1 and HTTP/2 on one client connection, what bounds its life, and what it may turn into.

mod activity;
mod answer;
mod connection;
mod departure;
mod exchange;
mod tunnel;
mod upgrade;
mod watched;
mod words;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tower_mtls::PeerIdentity;
use tower_service::Service;

use self::{
    activity::Activity,
    answer::answer,
    connection::{Connection, End, Http},
    tunnel::Tunnel,
    watched::Watched,
};
pub(crate) use self::{activity::InUse, departure::QUIET};
use crate::{
    BoxError,
    config::Limits,
    drain::Draining,
    http::{body::ClientBody, forwarded::Client, interim::Interims, refusal::Refusal},
    telemetry::{Limit, ListenerMetrics},
};

/// Where an admitted request goes, from any task.
pub trait RequestStack:
    Service<
        Request<ClientBody>,
        Response = Response<<Self as RequestStack>::Body>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> RequestStack for S
where
    S: Service<Request<ClientBody>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Door {
    /// What a client may ask for.
    pub limits: Limits,
    /// Requests in flight in the whole process.
    pub in_flight: Arc<AtomicUsize>,
    /// What happened here.
    pub metrics: Arc<ListenerMetrics>,
    http: Http,
}

/// What all requests of a connection share.
struct Shared<B> {
    door: Arc<Door>,
    client: Arc<Client>,
    peer: Option<PeerIdentity>,
    activity: Arc<Activity>,
    interims: Interims,
    /// What this connection becomes when HTTP is over.
    tunnel: Mutex<Option<Tunnel<B>>>,
}

impl Door {
    /// A door of one listener.
    pub fn new(limits: Limits, in_flight: Arc<AtomicUsize>, metrics: Arc<ListenerMetrics>) -> Self {
        Self {
            http: Http::new(&limits),
            limits,
            in_flight,
            metrics,
        }
    }
}

/// Serves one connection until it ends, is idle for too long, grows too old, or the process drains.
///
/// `is_http2` is what TLS has negotiated; where it is not known the first bytes tell.
pub async fn serve<IO, S>(
    door: Arc<Door>,
    io: IO,
    client: Arc<Client>,
    peer: Option<PeerIdentity>,
    is_http2: Option<bool>,
    stack: S,
    draining: Draining,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: RequestStack,
{
    let metrics = door.metrics.clone();
    let shared = Arc::new(Shared {
        activity: Arc::new(Activity::new(&door.limits, metrics, Instant::now())),
        interims: Interims::default(),
        tunnel: Mutex::new(None),
        door,
        client,
        peer,
    });
    let io = Watched::new(io, shared.activity.clone(), shared.interims.clone());
    let service = service_fn({
        let (shared, draining) = (shared.clone(), draining.clone());
        move |request: Request<Incoming>| {
            let (shared, stack, phase) = (shared.clone(), stack.clone(), draining.phase());
            let in_use = shared.activity.request(request.version());
            async move {
                let response = answer(&shared, stack, phase, &in_use, request).await;
                Ok::<_, Infallible>(response.map(|body| body.keep(in_use)))
            }
        }
    });
    let mut connection = Connection::new(&shared.door.http, io, service, is_http2);
    let end = connection
        .run(&shared.door, &shared.activity, draining.clone())
        .await;
    match end {
        End::Over => {
            let tunnel = shared
                .tunnel
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let (Some(tunnel), Some((io, early))) = (tunnel, connection.into_parts()) {
                // Boxed, as all that few connections come to: each has a place for it.
                Box::pin(tunnel.run(io, early, &shared.door, draining)).await;
            }
        }
        End::Failed(error) => shared.door.failed(&error),
        End::SlowHead => {
            shared.door.metrics.head_refused(Refusal::SlowHead.status());
            Box::pin(connection.last_words(Refusal::SlowHead)).await;
        }
        End::Cut => {}
    }
}

impl Door {
    fn failed(&self, error: &hyper::Error) {
        self.metrics.connection_failed();
        if error.is_parse_too_large() {
            self.metrics.reached(Limit::HeaderBytes);
            self.metrics.head_refused(Refusal::HeadTooLarge.status());
        } else if error.is_parse() {
            self.metrics.head_refused(Refusal::Malformed("").status());
        }
        tracing::debug!(listener = %self.metrics.name(), %error, "client connection ended");
    }
}
