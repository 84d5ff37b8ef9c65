//! A connection that has switched to another protocol: bytes both ways, until both sides have
//! ended, both are silent for too long, or the process is over.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes},
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use super::{Door, departure::QUIET, exchange::Exchange};
use crate::{
    BoxError,
    drain::{Draining, Phase},
    telemetry::Limit,
};

/// What a connection becomes once its 101 has been written.
pub(super) struct Tunnel<B> {
    endpoint: OnUpgrade,
    /// While it lives, the endpoint counts this as in flight and keeps its place in the pool.
    _body: B,
    exchange: Exchange,
}

/// How a tunnel ended.
enum End {
    Closed(Result<(), BoxError>),
    Idle,
    Over,
}

impl<B> Tunnel<B> {
    pub(super) fn new(endpoint: OnUpgrade, body: B, exchange: Exchange) -> Self {
        Self {
            endpoint,
            _body: body,
            exchange,
        }
    }

    /// Carries bytes; `early` are those that the client has sent behind its head.
    pub(super) async fn run<IO>(self, client: IO, early: Bytes, door: &Door, mut draining: Draining)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let _open = door.metrics.tunnelled();
        let clock = Clock::new();
        let mut client = Timed {
            io: client,
            clock: &clock,
        };
        let end = tokio::select! {
            closed = copy(&mut client, early, self.endpoint) => End::Closed(closed),
            () = clock.silent_for(door.limits.upgrade_idle) => End::Idle,
            () = draining.reached(Phase::Over) => End::Over,
        };
        let endpoint_ended = clock.endpoint_ended.load(Relaxed);
        // The client shall see an end, where it still looks.
        let _ = timeout(QUIET, client.shutdown()).await;
        match end {
            End::Closed(Ok(())) => self.exchange.tunnel_closed(),
            End::Closed(Err(error)) => {
                tracing::debug!(listener = %door.metrics.name(), %error, "tunnel broke");
            }
            End::Idle => {
                if !endpoint_ended {
                    door.metrics.reached(Limit::UpgradeIdle);
                }
                self.exchange.tunnel_closed();
            }
            End::Over => {}
        }
    }
}

async fn copy<IO>(client: &mut IO, early: Bytes, endpoint: OnUpgrade) -> Result<(), BoxError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut endpoint = TokioIo::new(endpoint.await?);
    endpoint.write_all(&early).await?;
    endpoint.flush().await?;
    copy_bidirectional_with_sizes(client, &mut endpoint, BUFFER, BUFFER).await?;
    Ok(())
}

/// When a byte has moved last, and whether more can come from the endpoint.
struct Clock {
    epoch: Instant,
    moved: AtomicU64,
    endpoint_ended: AtomicBool,
    endpoint_ends: Notify,
}

impl Clock {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            moved: AtomicU64::new(0),
            endpoint_ended: AtomicBool::new(false),
            endpoint_ends: Notify::new(),
        }
    }

    /// The endpoint sends no more. A client may still have something to say, but not for long.
    fn endpoint_ended(&self) {
        if !self.endpoint_ended.swap(true, Relaxed) {
            self.moved();
            self.endpoint_ends.notify_one();
        }
    }

    fn moved(&self) {
        let millis = Instant::now().saturating_duration_since(self.epoch);
        let millis = u64::try_from(millis.as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Relaxed);
    }

    async fn silent_for(&self, limit: Duration) {
        loop {
            let limit = match self.endpoint_ended.load(Relaxed) {
                true => limit.min(LAST_WORDS),
                false => limit,
            };
            let moved = self.epoch + Duration::from_millis(self.moved.load(Relaxed));
            let end = moved + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::select! {
                () = sleep_until(end) => {}
                () = self.endpoint_ends.notified() => {}
            }
        }
    }
}

/// Bytes of the client's side: whatever moves in a tunnel is read or written there.
struct Timed<'a, IO> {
    io: IO,
    clock: &'a Clock,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Timed<'_, IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if polled.is_ready() {
            self.clock.moved();
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Timed<'_, IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if polled.is_ready() {
            self.clock.moved();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.clock.endpoint_ended();
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How long a client may be silent when its endpoint has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes in flight in each direction of a tunnel.
const BUFFER: usize = 8 * 1024;
