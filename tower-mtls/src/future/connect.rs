use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep},
};

use crate::{
    MtlsStream,
    attempt::Attempt,
    error::{BoxError, HandshakeError, Reason},
    handshake::Handshake,
    layer::Client,
};

pin_project! {
    /// Opens a connection, then verifies its peer: the future of [`Mtls`](crate::Mtls).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the connection, wherever the handshake is. A drop during the handshake is
    /// counted as cancelled, not as failed.
    ///
    /// # Runtime
    ///
    /// It is made anywhere, and polled in a tokio runtime with its time enabled: the timer panics without.
    #[must_use = "futures do nothing unless polled"]
    pub struct ConnectFuture<F, IO> {
        client: Arc<Client>,
        #[pin]
        state: State<F, IO>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, IO> {
        Connecting { #[pin] connect: F },
        Handshaking {
            handshake: Handshake<tokio_rustls::Connect<IO>>,
            attempt: Attempt,
            #[pin]
            deadline: Sleep,
        },
        Done,
    }
}

impl<F, IO> ConnectFuture<F, IO> {
    pub(crate) fn new(connect: F, client: Arc<Client>) -> Self {
        Self {
            client,
            state: State::Connecting { connect },
        }
    }
}

impl<F, IO, E> Future for ConnectFuture<F, IO>
where
    F: Future<Output = Result<IO, E>>,
    E: Into<BoxError>,
    IO: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<MtlsStream<IO>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Connecting { connect } => {
                    let io = match ready!(connect.poll(cx)) {
                        Ok(io) => io,
                        Err(error) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error.into()));
                        }
                    };
                    let client = &**this.client;
                    let mut attempt = Attempt::running(&client.counters);
                    let handshake = match client.connect(io) {
                        Ok(handshake) => handshake,
                        Err(error) => {
                            this.state.set(State::Done);
                            let outcome = Err(error);
                            attempt.end(&outcome);
                            return Poll::Ready(outcome.map_err(Into::into));
                        }
                    };
                    this.state.set(State::Handshaking {
                        handshake,
                        attempt,
                        deadline: sleep(client.handshake_timeout),
                    });
                }
                StateProjection::Handshaking {
                    handshake,
                    attempt,
                    deadline,
                } => {
                    let outcome = match handshake.poll(cx) {
                        Poll::Ready(outcome) => outcome,
                        Poll::Pending => {
                            ready!(deadline.poll(cx));
                            let limit = this.client.handshake_timeout;
                            let detail = format!("the server did not finish it within {limit:?}");
                            Err(HandshakeError::new(Reason::Timeout, detail))
                        }
                    };
                    attempt.end(&outcome);
                    this.state.set(State::Done);
                    return Poll::Ready(outcome.map_err(Into::into));
                }
                // Polled after its end.
                StateProjection::Done => return Poll::Pending,
            }
        }
    }
}

impl<F, IO> fmt::Debug for ConnectFuture<F, IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Connecting { .. } => "connecting",
            State::Handshaking { .. } => "handshaking",
            State::Done => "done",
        };
        f.debug_tuple("ConnectFuture").field(&state).finish()
    }
}
