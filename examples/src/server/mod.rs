//! HTTP/1.1 and HTTP/2 on one client connection, and what bounds its life.

mod activity;
mod exchange;
mod watched;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Version, header};
use http_body::Body;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};
use tower::ServiceExt;
use tower_mtls::PeerIdentity;
use tower_service::Service;

pub(crate) use self::activity::InUse;
use self::{
    activity::{Activity, Verdict},
    exchange::{Exchange, ExchangeBody},
    watched::Watched,
};
use crate::{
    BoxError,
    config::Limits,
    drain::{Draining, Phase},
    http::{
        body::{ClientBody, ResponseBody},
        forward,
        forwarded::Client,
        refusal::Refusal,
    },
    telemetry::ListenerMetrics,
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
    /// How long a response's body may pause.
    pub body_idle: Duration,
    /// What happened here.
    pub metrics: Arc<ListenerMetrics>,
    http: auto::Builder<TokioExecutor>,
}

impl Door {
    /// A door of one listener.
    pub fn new(
        limits: Limits,
        in_flight: Arc<AtomicUsize>,
        body_idle: Duration,
        metrics: Arc<ListenerMetrics>,
    ) -> Self {
        Self {
            http: http_builder(&limits),
            limits,
            in_flight,
            body_idle,
            metrics,
        }
    }
}

/// Serves one connection until it ends, is idle for too long, grows too old, or the process drains.
pub async fn serve<IO, S>(
    door: Arc<Door>,
    io: IO,
    client: Arc<Client>,
    peer: Option<PeerIdentity>,
    stack: S,
    draining: Draining,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: RequestStack,
{
    let activity = Arc::new(Activity::new(&door.limits, Instant::now()));
    let service = service_fn({
        let (door, activity, draining) = (door.clone(), activity.clone(), draining.clone());
        move |request: Request<Incoming>| {
            let (door, stack, peer) = (door.clone(), stack.clone(), peer.clone());
            let client = client.clone();
            let (in_use, phase) = (activity.request(request.version()), draining.phase());
            async move {
                let response = answer(&door, stack, &client, peer, phase, &in_use, request).await;
                Ok::<_, Infallible>(response.map(|body| body.keep(in_use)))
            }
        }
    });
    let io = TokioIo::new(Watched::new(io, activity.clone()));
    let mut connection = pin!(door.http.serve_connection(io, service));
    let mut departure = pin!(departure(draining, &activity));
    let mut timer = pin!(sleep_until(activity.first_check()));
    let mut ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                if let Err(error) = result {
                    door.metrics.connection_failed();
                    tracing::debug!(listener = %door.metrics.name(), %error, "client connection ended");
                }
                return Poll::Ready(());
            }
            if !ending && departure.as_mut().poll(cx).is_ready() {
                ending = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            if let Some(check) = activity.earlier_check(timer.deadline()) {
                timer.as_mut().reset(check);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            match activity.judge(now, ending) {
                Verdict::KeepUntil(check) => timer.as_mut().reset(check),
                Verdict::Cut if ending => return Poll::Ready(()),
                // Even one that is cut is asked first: an HTTP/2 client gets its GOAWAY.
                Verdict::Cut | Verdict::End => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                    timer.as_mut().reset(now + QUIET);
                }
            }
        }
    })
    .await;
}

/// Waits until a process that drains wants this connection to end.
///
/// GOAWAY costs an HTTP/2 client nothing, so it comes after the first request. HTTP/1 clients are
/// asked by `connection: close`, and one that has only just connected may still say something.
async fn departure(mut draining: Draining, activity: &Activity) {
    draining.reached(Phase::Leaving).await;
    tokio::select! {
        () = noticed(|| activity.is_http2()) => return,
        () = draining.reached(Phase::Closing) => {}
    }
    tokio::select! {
        () = noticed(|| activity.is_in_use()) => {}
        () = sleep(QUIET) => {}
    }
}

/// Looks whenever the connection's task is polled: all that can change happens there.
fn noticed(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    poll_fn(move |_| match condition() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

/// One request and its response, whatever happens.
async fn answer<S: RequestStack>(
    door: &Arc<Door>,
    stack: S,
    client: &Client,
    peer: Option<PeerIdentity>,
    phase: Phase,
    in_use: &InUse,
    request: Request<Incoming>,
) -> Response<ExchangeBody<S::Body>> {
    let exchange = Exchange::begin(door, &request, client.address(), peer.as_ref());
    let grpc = forward::is_grpc(request.headers());
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let result = match prepare(door, &exchange, client, peer, in_use, request) {
        Ok(request) => stack
            .oneshot(request)
            .await
            .map_err(|error| exchange.failed(error.as_ref())),
        Err(refusal) => Err(refusal),
    };
    let mut closes = phase > Phase::Running;
    let mut response = match result {
        Ok(response) => response.map(|body| ResponseBody::endpoint(body, door.body_idle)),
        Err(refusal) => {
            closes |= refusal.closes();
            let response = refusal.response(grpc);
            // Over HTTP/2 hyper would send a body even here.
            match is_head {
                true => response.map(|_| ResponseBody::own("")),
                false => response,
            }
        }
    };
    if closes && version < Version::HTTP_2 {
        response.headers_mut().insert(
            header::CONNECTION,
            header::HeaderValue::from_static("close"),
        );
    }
    exchange.respond(response)
}

/// Checks a request against the limits and makes it neutral.
fn prepare(
    door: &Door,
    exchange: &Exchange,
    client: &Client,
    peer: Option<PeerIdentity>,
    in_use: &InUse,
    mut request: Request<Incoming>,
) -> Result<Request<ClientBody>, Refusal> {
    if exchange.is_over(door.limits.requests) {
        return Err(Refusal::Overloaded);
    }
    forward::admit(&mut request, door.limits.header_count)?;
    client.introduce(&mut request);
    let (mut parts, body) = request.into_parts();
    let body = ClientBody::new(body, &door.limits, in_use).map_err(|error| Refusal::of(&error))?;
    if let Some(peer) = peer {
        parts.extensions.insert(peer);
    }
    if let Some(fate) = body.fate() {
        parts.extensions.insert(fate);
    }
    Ok(Request::from_parts(parts, body))
}

fn http_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    // `header_timeout` is watched by `Activity`: hyper's own would count idle time as well.
    http1
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.bytes());
    if limits.header_count > HYPER_DEFAULT_FIELDS {
        http1.max_headers(limits.header_count);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes.bytes()).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(limits.idle_timeout);
    builder
}

/// Up to so many fields hyper parses without an allocation.
const HYPER_DEFAULT_FIELDS: usize = 100;

/// What one stream of a client may have in flight, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What all streams of a client's connection may have in flight together, in bytes.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How long an idle connection may still speak when the listener has closed.
const QUIET: Duration = Duration::from_millis(500);
