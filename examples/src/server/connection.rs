//! One client connection: which HTTP it speaks, and when it ends.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::HttpService,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Door,
    activity::{Activity, Verdict},
    departure::{QUIET, departure},
    watched::Watched,
    words,
};
use crate::{
    BoxError,
    config::Limits,
    drain::{Draining, Phase},
    http::{CONNECTION_WINDOW, STREAM_WINDOW, refusal::Refusal},
    telemetry::Limit,
};

/// How HTTP is spoken to the clients of a listener.
#[derive(Clone, Debug)]
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

/// A client connection, whichever HTTP it turns out to speak.
pub(super) struct Connection<IO, S: HttpService<Incoming>> {
    state: State<IO, S>,
}

enum State<IO, S: HttpService<Incoming>> {
    /// Until the first bytes have told.
    Unknown(Option<(Watched<IO>, S)>),
    Http1(Box<Http1<IO, S>>),
    Http2(Pin<Box<Http2<IO, S>>>),
}

type Http1<IO, S> = http1::Connection<TokioIo<Watched<IO>>, S>;
type Http2<IO, S> = http2::Connection<TokioIo<Watched<IO>>, S, TokioExecutor>;

/// Why a connection is no longer polled.
pub(super) enum End {
    /// HTTP is over.
    Over,
    /// It broke, or broke the protocol.
    Failed(hyper::Error),
    /// It sent a part of a head, and not the rest in time.
    SlowHead,
    /// It had to end.
    Cut,
}

impl Http {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        // `header_timeout` is watched by `Activity`: hyper's own would count idle time as well.
        http1
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes.bytes());
        if limits.header_count > HYPER_DEFAULT_FIELDS {
            http1.max_headers(limits.header_count);
        }
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        // Beyond the limit h2 refuses without a word; up to twice of it we say why.
        let most = limits.header_bytes.bytes().saturating_mul(2);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.http2_streams)
            .max_header_list_size(u32::try_from(most).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(limits.idle_timeout)
            .keep_alive_timeout(limits.idle_timeout);
        Self { http1, http2 }
    }
}

impl<IO, S, B> Connection<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B, Future: Send + 'static>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    /// Where `is_http2` is not known, the first bytes will tell.
    pub(super) fn new(http: &Http, io: Watched<IO>, service: S, is_http2: Option<bool>) -> Self {
        Self {
            state: match is_http2 {
                Some(is_http2) => State::known(http, io, service, is_http2),
                None => State::Unknown(Some((io, service))),
            },
        }
    }

    /// Drives it to its end.
    pub(super) async fn run(
        &mut self,
        door: &Door,
        activity: &Activity,
        mut draining: Draining,
    ) -> End {
        let mut departure = pin!(departure(draining.clone(), activity));
        let mut over = pin!(draining.reached(Phase::Over));
        let mut timer = pin!(sleep_until(activity.first_check()));
        let mut ending = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = self.poll(cx, &door.http) {
                    return Poll::Ready(result.map_or_else(End::Failed, |()| End::Over));
                }
                if !ending && departure.as_mut().poll(cx).is_ready() {
                    ending = true;
                    self.leave();
                    continue;
                }
                if ending && over.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(End::Cut);
                }
                if let Some(check) = activity.earlier_check(timer.deadline()) {
                    timer.as_mut().reset(check);
                }
                ready!(timer.as_mut().poll(cx));
                let now = Instant::now();
                let limit = match activity.judge(now, ending) {
                    Verdict::KeepUntil(check) => {
                        timer.as_mut().reset(check);
                        continue;
                    }
                    Verdict::Gone => return Poll::Ready(End::Cut),
                    Verdict::Cut(_) if ending => return Poll::Ready(End::Cut),
                    Verdict::Cut(limit) | Verdict::End(limit) => limit,
                };
                door.metrics.reached(limit);
                let is_http2 = matches!(self.state, State::Http2(_));
                if limit == Limit::HeaderTimeout && !is_http2 && activity.has_part_of_a_head() {
                    return Poll::Ready(End::SlowHead);
                }
                // Even one that is cut is asked first: an HTTP/2 client gets its GOAWAY.
                ending = true;
                self.leave();
                timer.as_mut().reset(now + QUIET);
            }
        })
        .await
    }

    /// Takes no further request.
    fn leave(&mut self) {
        match &mut self.state {
            State::Unknown(nothing_yet) => *nothing_yet = None,
            State::Http1(http1) => Pin::new(http1.as_mut()).graceful_shutdown(),
            State::Http2(http2) => http2.as_mut().graceful_shutdown(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, http: &Http) -> Poll<hyper::Result<()>> {
        if let State::Unknown(Some((io, _))) = &mut self.state {
            let is_http2 = ready!(io.poll_is_http2(cx));
            self.learnt(http, is_http2);
        }
        match &mut self.state {
            // It went before it had said anything.
            State::Unknown(_) => Poll::Ready(Ok(())),
            State::Http1(http1) => Pin::new(http1.as_mut()).poll(cx),
            State::Http2(http2) => http2.as_mut().poll(cx),
        }
    }

    fn learnt(&mut self, http: &Http, is_http2: io::Result<bool>) {
        let State::Unknown(unknown) = &mut self.state else {
            return;
        };
        if let (Some((io, service)), Ok(is_http2)) = (unknown.take(), is_http2) {
            self.state = State::known(http, io, service, is_http2);
        }
    }

    /// The bytes' way, and those that came behind the last head. None for HTTP/2.
    pub(super) fn into_parts(self) -> Option<(IO, Bytes)> {
        match self.state {
            State::Unknown(unknown) => unknown.map(|(io, _)| (io.into_inner(), Bytes::new())),
            State::Http1(http1) => {
                let parts = http1.into_parts();
                Some((parts.io.into_inner().into_inner(), parts.read_buf))
            }
            State::Http2(_) => None,
        }
    }

    /// Tells an HTTP/1 client why its connection ends.
    pub(super) async fn last_words(self, refusal: Refusal) {
        let Some((mut io, _)) = self.into_parts() else {
            return;
        };
        let words = words::last(refusal);
        let saying = async {
            io.write_all(&words).await?;
            io.shutdown().await
        };
        if let Ok(Err(error)) = timeout(LAST_WORDS, saying).await {
            tracing::debug!(%error, "a client did not hear why its connection ends");
        }
    }
}

impl<IO, S, B> State<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B, Future: Send + 'static>,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn known(http: &Http, mut io: Watched<IO>, service: S, is_http2: bool) -> Self {
        if is_http2 {
            io.expect_http2();
            let io = TokioIo::new(io);
            Self::Http2(Box::pin(http.http2.serve_connection(io, service)))
        } else {
            let io = TokioIo::new(io);
            Self::Http1(Box::new(http.http1.serve_connection(io, service)))
        }
    }
}

/// Up to so many fields hyper parses without an allocation.
const HYPER_DEFAULT_FIELDS: usize = 100;

/// How long a client that was too slow has to take the answer that says so.
const LAST_WORDS: Duration = Duration::from_secs(1);
