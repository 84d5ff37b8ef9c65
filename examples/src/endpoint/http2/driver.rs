//! Moving the bytes of one HTTP/2 connection.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::{client::conn::http2, rt::Executor};
use hyper_util::rt::{TokioIo, TokioTimer};
use tower_mtls::PeerIdentity;

use super::streams::{Limit, Room, Streams};
use crate::{
    BoxError,
    endpoint::{BadHttp, Io, connection::RequestBody},
    http::{CONNECTION_WINDOW, STREAM_WINDOW},
};

/// A connection's two halves, in one task: hyper's, which opens streams, and h2's, which reads
/// frames.
///
/// hyper would give them a task each. Then a GOAWAY could be read while a request is being sent,
/// and hyper would answer that request with the error of a stream that the peer never processed,
/// although this one may reach the peer, and be included. One after the other, that cannot be.
pub(in crate::endpoint) struct Driver {
    /// Until it takes no more requests.
    opening: Option<Pin<Box<dyn Opening + Send>>>,
    /// Until the last stream has ended.
    reading: Option<Half>,
    limit: Arc<Limit>,
    /// Where to tell that the limit has changed.
    room: Option<Arc<Room>>,
    /// Until the streams have it.
    peer: Option<PeerIdentity>,
}

/// Says the first words, and waits for the peer's: before its SETTINGS it could be anybody, and
/// nobody knows how many streams it bears.
pub(in crate::endpoint) async fn handshake<B: RequestBody>(
    io: Io,
    keepalive: Duration,
) -> Result<(http2::SendRequest<B>, Driver), BoxError> {
    let peer = io.peer().cloned();
    let together = Together::default();
    let (sender, opening) = http2::Builder::new(together.clone())
        .timer(TokioTimer::new())
        .keep_alive_interval(keepalive)
        .keep_alive_timeout(keepalive)
        .initial_max_send_streams(0)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(io))
        .await?;
    let mut driver = Driver {
        opening: Some(Box::pin(opening)),
        reading: together.taken(),
        limit: Arc::default(),
        room: None,
        peer,
    };
    poll_fn(|cx| driver.poll_settings(cx)).await?;
    Ok((sender, driver))
}

impl Driver {
    /// Begins to count streams, for those who wait in `room`.
    pub(super) fn count_in(&mut self, room: &Arc<Room>) -> Arc<Streams> {
        self.room = Some(room.clone());
        let (limit, peer) = (self.limit.clone(), self.peer.take());
        Arc::new(Streams::new(limit, room.clone(), peer))
    }

    /// Moves bytes until the connection takes no more requests.
    pub(super) async fn while_open(&mut self) {
        poll_fn(|cx| self.poll_open(cx)).await;
    }

    /// Moves bytes until the last stream has ended.
    pub(super) async fn drain(mut self) {
        if let Some(reading) = self.reading.take() {
            reading.await;
        }
    }

    fn poll_settings(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.poll_open(cx).is_ready() {
            return Poll::Ready(Err(BadHttp::NO_SETTINGS.into()));
        }
        match self.limit.load(Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // First what the peer says, as it may end the other half.
        if let Some(reading) = &mut self.reading
            && reading.as_mut().poll(cx).is_ready()
        {
            self.reading = None;
        }
        let Some(opening) = &mut self.opening else {
            return Poll::Ready(());
        };
        let polled = opening.as_mut().poll(cx);
        let limit = opening.max_streams();
        if self.limit.load(Relaxed) != limit {
            self.limit.store(limit, Relaxed);
            if let Some(room) = &self.room {
                room.freed.notify_waiters();
            }
        }
        if let Err(error) = ready!(polled) {
            tracing::debug!(%error, "HTTP/2 connection to an endpoint ended");
        }
        self.opening = None;
        Poll::Ready(())
    }
}

/// hyper's half, of whatever bodies.
trait Opening: Future<Output = hyper::Result<()>> {
    /// How many streams the peer allows.
    fn max_streams(&self) -> usize;
}

impl<B: RequestBody> Opening for http2::Connection<TokioIo<Io>, B, Together> {
    fn max_streams(&self) -> usize {
        self.current_max_send_streams()
    }
}

type Half = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Keeps the first future, which is the connection's other half, and spawns those after it.
#[derive(Clone, Default)]
pub(super) struct Together(Arc<OnceLock<Mutex<Option<Half>>>>);

impl Together {
    fn taken(&self) -> Option<Half> {
        let mut first = self.0.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

impl<F> Executor<F> for Together
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.0.get().is_some() {
            tokio::spawn(future);
            return;
        }
        // hyper spawns no other before this one has returned.
        let _ = self.0.set(Mutex::new(Some(Box::pin(future))));
    }
}
