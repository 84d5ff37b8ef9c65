use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::linger::Linger;
use crate::{
    MtlsStream,
    accept::Server,
    admission::{Slot, Ticket},
    attempt::Attempt,
    error::{HandshakeError, Reason},
    handshake::{Accepting, Handshake},
};

pin_project! {
    /// Waits for the client's first message and for a slot, then verifies the peer: the future of
    /// [`Acceptor`](crate::accept::Acceptor).
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
        timer: Option<Sleep>,
    }
}

enum State<IO> {
    /// There are no credentials to begin with.
    Failed(HandshakeError),
    /// Reads the client's first message.
    Greeting(Box<LazyConfigAcceptor<IO>>, Ticket),
    /// Asks for a slot, and again at the time given.
    Wanting(Box<StartHandshake<IO>>, Ticket, Option<Instant>),
    Handshaking(Box<Handshake<Accepting<IO>>>, Ticket),
    /// Refused, and the client may still read why.
    Refusing(Linger<IO>, HandshakeError),
    Done,
}

impl<IO> AcceptFuture<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    pub(crate) fn new(io: IO, server: Arc<Server>) -> Self {
        server.tls.source().attend();
        let state = match server.tls.load() {
            Ok(_) => State::greeting(io, &server),
            Err(error) => State::Failed(error),
        };
        Self {
            attempt: Attempt::waiting(&server.counters),
            state,
            expires: Instant::now() + server.handshake_timeout,
            timer: None,
            server,
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
        if matches!(this.state, State::Done) {
            return Poll::Pending;
        }
        let outcome = loop {
            if let Poll::Ready(outcome) = this.state.poll(cx, this.server, this.attempt) {
                break outcome;
            }
            let until = this.state.wake_at(*this.expires);
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(until))),
                Some(timer) if timer.deadline() != until => timer.reset(until),
                Some(_) => {}
            }
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
            if until == *this.expires && !matches!(this.state, State::Refusing(..)) {
                break Err(this.state.timed_out(this.server));
            }
        };
        // The slot is free before the caller learns of the outcome.
        *this.state = State::Done;
        if !this.attempt.is_ended() {
            this.attempt.end(&outcome);
        }
        Poll::Ready(outcome)
    }
}

impl<IO> State<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    fn greeting(io: IO, server: &Server) -> Self {
        let greeting = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io);
        Self::Greeting(Box::new(greeting), server.admission.enter())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        server: &Server,
        attempt: &mut Attempt,
    ) -> Poll<Result<MtlsStream<IO>, HandshakeError>> {
        let failed = |error| Poll::Ready(Err(HandshakeError::from_tls(error)));
        let shed = || Poll::Ready(Err(made_room(server)));
        loop {
            *self = match std::mem::replace(self, Self::Done) {
                Self::Failed(error) => return Poll::Ready(Err(error)),
                Self::Greeting(mut greeting, ticket) => match Pin::new(&mut *greeting).poll(cx) {
                    Poll::Ready(Ok(start)) => Self::Wanting(Box::new(start), ticket, None),
                    Poll::Ready(Err(error)) => return failed(error),
                    Poll::Pending if ticket.is_shed(cx) => return shed(),
                    Poll::Pending => {
                        *self = Self::Greeting(greeting, ticket);
                        return Poll::Pending;
                    }
                },
                Self::Wanting(start, ticket, _) => match ticket.poll_slot(cx, Instant::now()) {
                    Slot::Granted => {
                        attempt.start();
                        match server.accept(*start) {
                            Ok(handshake) => Self::Handshaking(Box::new(handshake), ticket),
                            Err(error) => return Poll::Ready(Err(error)),
                        }
                    }
                    Slot::Wait(until) => {
                        *self = Self::Wanting(start, ticket, Some(until));
                        return Poll::Pending;
                    }
                    Slot::Shed => return shed(),
                },
                Self::Handshaking(mut handshake, ticket) => match handshake.poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => {
                        drop(ticket);
                        match handshake.get_mut().take_refused() {
                            Some(io) if error.reason() != Reason::Io => {
                                attempt.fail(&error);
                                Self::Refusing(Linger::new(io), error)
                            }
                            _ => return Poll::Ready(Err(error)),
                        }
                    }
                    Poll::Pending if ticket.is_shed(cx) => return shed(),
                    Poll::Pending => {
                        *self = Self::Handshaking(handshake, ticket);
                        return Poll::Pending;
                    }
                },
                Self::Refusing(mut linger, error) => {
                    if linger.poll(cx).is_ready() || Instant::now() >= linger.until() {
                        return Poll::Ready(Err(error));
                    }
                    *self = Self::Refusing(linger, error);
                    return Poll::Pending;
                }
                Self::Done => return Poll::Pending,
            }
        }
    }

    /// When there is something to do again, whoever wakes the task before; `expires` is the last of it.
    fn wake_at(&self, expires: Instant) -> Instant {
        match self {
            Self::Wanting(.., Some(ask_again)) => expires.min(*ask_again),
            Self::Refusing(linger, _) => linger.until(),
            _ => expires,
        }
    }

    fn timed_out(&self, server: &Server) -> HandshakeError {
        let limit = server.handshake_timeout;
        let detail = match self {
            Self::Wanting(..) => format!(
                "no slot was free within {limit:?}: {} handshakes (max_handshakes) went on",
                server.admission.max_handshakes
            ),
            _ => format!("the client did not finish it within {limit:?}"),
        };
        HandshakeError::new(Reason::Timeout, detail)
    }
}

fn made_room(server: &Server) -> HandshakeError {
    let detail = format!(
        "it made room for others: max_handshakes is {}, max_waiting {}",
        server.admission.max_handshakes, server.admission.max_waiting
    );
    HandshakeError::new(Reason::Overloaded, detail)
}

impl<IO> fmt::Debug for AcceptFuture<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Failed(_) => "failed",
            State::Greeting(..) => "waiting for the client",
            State::Wanting(..) => "waiting for a slot",
            State::Handshaking(..) => "handshaking",
            State::Refusing(..) => "refusing",
            State::Done => "done",
        };
        f.debug_tuple("AcceptFuture").field(&state).finish()
    }
}
