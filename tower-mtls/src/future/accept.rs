use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{AcquireError, OwnedSemaphorePermit},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    MtlsStream,
    accept::Server,
    error::{HandshakeError, Reason},
    handshake::Handshake,
    stats::Attempt,
};

pin_project! {
    /// Waits for a slot, then verifies the peer: the future of [`Acceptor`](crate::accept::Acceptor).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the connection and frees the slot at once. A drop is counted as cancelled,
    /// not as failed.
    ///
    /// # Runtime
    ///
    /// It is made anywhere, and polled in a tokio runtime with its time enabled: the timer panics without.
    #[must_use = "futures do nothing unless polled"]
    pub struct AcceptFuture<IO> {
        server: Arc<Server>,
        attempt: Attempt,
        state: State<IO>,
        expires: Instant,
        // Made by the first poll that needs it, because only that is sure to be in a runtime.
        #[pin]
        deadline: Option<Sleep>,
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "almost every handshake is in the large one from the start"
)]
enum State<IO> {
    Waiting(IO, Slot),
    /// There are no credentials to begin with.
    Failed(HandshakeError),
    Handshaking {
        handshake: Handshake<tokio_rustls::Accept<IO>>,
        _slot: OwnedSemaphorePermit,
    },
    Done,
}

/// A box only where there was no slot at once.
type Slot = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

impl<IO> AcceptFuture<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(io: IO, server: Arc<Server>) -> Self {
        let mut attempt = Attempt::waiting(&server.counters);
        let state = match server.slots.clone().try_acquire_owned() {
            Ok(slot) => {
                attempt.start();
                State::handshaking(io, &server, slot)
            }
            Err(_) => State::Waiting(io, Box::pin(server.slots.clone().acquire_owned())),
        };
        Self {
            expires: Instant::now() + server.handshake_timeout,
            deadline: None,
            server,
            attempt,
            state,
        }
    }
}

impl<IO> Future for AcceptFuture<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<MtlsStream<IO>, HandshakeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let outcome = match this.state.poll(cx, this.server, this.attempt) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                if this.deadline.is_none() {
                    this.deadline.set(Some(sleep_until(*this.expires)));
                }
                if let Some(deadline) = this.deadline.as_pin_mut() {
                    ready!(deadline.poll(cx));
                }
                Err(this.state.timed_out(this.server))
            }
        };
        // The slot is free before the caller learns of the outcome.
        *this.state = State::Done;
        super::conclude("server", this.attempt, &outcome);
        Poll::Ready(outcome)
    }
}

impl<IO> State<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn handshaking(io: IO, server: &Server, slot: OwnedSemaphorePermit) -> Self {
        match server.accept(io) {
            Ok(handshake) => Self::Handshaking {
                handshake,
                _slot: slot,
            },
            Err(error) => Self::Failed(error),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        server: &Server,
        attempt: &mut Attempt,
    ) -> Poll<Result<MtlsStream<IO>, HandshakeError>> {
        if let Self::Waiting(_, slot) = self {
            let slot = ready!(slot.as_mut().poll(cx));
            let waiting = std::mem::replace(self, Self::Done);
            if let (Self::Waiting(io, _), Ok(slot)) = (waiting, slot) {
                attempt.start();
                *self = Self::handshaking(io, server, slot);
            }
        }
        match self {
            Self::Handshaking { handshake, .. } => handshake.poll(cx),
            Self::Failed(_) => match std::mem::replace(self, Self::Done) {
                Self::Failed(error) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
            // Polled after its end, or the slots are closed, which nobody does.
            Self::Waiting(..) | Self::Done => Poll::Pending,
        }
    }

    fn timed_out(&self, server: &Server) -> HandshakeError {
        let limit = server.handshake_timeout;
        let detail = match self {
            Self::Waiting(..) => format!(
                "no slot was free within {limit:?}: {} handshakes (max_handshakes) went on",
                server.max_handshakes
            ),
            Self::Handshaking { .. } | Self::Failed(_) | Self::Done => {
                format!("the client did not finish it within {limit:?}")
            }
        };
        HandshakeError::new(Reason::Timeout, detail)
    }
}

impl<IO> fmt::Debug for AcceptFuture<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting(..) => "waiting for a slot",
            State::Handshaking { .. } | State::Failed(_) => "handshaking",
            State::Done => "done",
        };
        f.debug_tuple("AcceptFuture").field(&state).finish()
    }
}
