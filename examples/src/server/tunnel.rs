//! A connection that has switched to another protocol: bytes both ways, until one side ends, both
//! are silent for too long, or the process is over.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes},
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
        // The client shall see an end, where it still looks.
        let _ = timeout(QUIET, client.shutdown()).await;
        match end {
            End::Closed(Ok(())) => self.exchange.tunnel_closed(),
            End::Closed(Err(error)) => {
                tracing::debug!(listener = %door.metrics.name(), %error, "tunnel broke");
            }
            End::Idle => {
                door.metrics.reached(Limit::UpgradeIdle);
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

/// When a byte has moved last.
struct Clock {
    epoch: Instant,
    moved: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            moved: AtomicU64::new(0),
        }
    }

    fn moved(&self) {
        let millis = Instant::now().saturating_duration_since(self.epoch);
        let millis = u64::try_from(millis.as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Relaxed);
    }

    async fn silent_for(&self, limit: Duration) {
        loop {
            let moved = self.epoch + Duration::from_millis(self.moved.load(Relaxed));
            let end = moved + limit;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
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
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Bytes in flight in each direction of a tunnel.
const BUFFER: usize = 8 * 1024;
