//! One handshake, with the verdict on its peer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    Accept, TlsStream,
    server::{self, FallibleAccept},
};

use crate::{
    MtlsStream, PeerIdentity,
    connections::Register,
    error::{HandshakeError, Reason},
    verify::verdict::{self, Verdict},
};

/// A handshake of the TLS library, and what this crate's verifier said in the middle of it.
pub(crate) struct Handshake<F> {
    inner: F,
    peer: Peer,
    register: Register,
    verdict: Option<Verdict>,
}

/// A server's handshake that keeps the connection of a client that it has refused.
pub(crate) struct Accepting<IO> {
    inner: FallibleAccept<IO>,
    refused: Option<IO>,
}

/// Whether the peer presents a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Required,
    Optional,
    Absent,
}

impl<F: Unpin> Handshake<F> {
    pub(crate) fn new(inner: F, peer: Peer, register: Register) -> Self {
        Self {
            inner,
            peer,
            register,
            verdict: None,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.inner
    }

    pub(crate) fn poll<IO, S>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<MtlsStream<IO>, HandshakeError>>
    where
        F: Future<Output = io::Result<S>>,
        S: Into<TlsStream<IO>>,
    {
        let (outcome, verdict) = verdict::collect(|| Pin::new(&mut self.inner).poll(cx));
        // It comes some polls before the outcome, where the connection is slow to take the alert.
        if verdict.is_some() {
            self.verdict = verdict;
        }
        Poll::Ready(match (ready!(outcome), self.verdict.take()) {
            (_, Some(Err(rejection))) => Err(rejection.to_error()),
            (Err(error), _) => Err(HandshakeError::from_tls(error)),
            (Ok(stream), Some(Ok(peer))) => Ok(self.verified(stream.into(), peer)),
            (Ok(stream), None) => self.without_verdict(stream.into()),
        })
    }

    fn verified<IO>(&self, stream: TlsStream<IO>, peer: PeerIdentity) -> MtlsStream<IO> {
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = self.register.open(chain, peer);
        MtlsStream::new(stream, Some(peer))
    }

    /// Fails closed where there should have been one.
    fn without_verdict<IO>(&self, stream: TlsStream<IO>) -> Result<MtlsStream<IO>, HandshakeError> {
        let presented = stream.get_ref().1.peer_certificates().is_some();
        match (self.peer, presented) {
            (Peer::Absent | Peer::Optional, false) => Ok(MtlsStream::new(stream, None)),
            (Peer::Required, false) => {
                let detail = "the peer presented no certificate";
                Err(HandshakeError::new(Reason::NoCertificate, detail))
            }
            (_, true) => {
                let detail = "the peer's certificate was not verified";
                Err(HandshakeError::new(Reason::BadCertificate, detail))
            }
        }
    }
}

impl<IO> Accepting<IO> {
    pub(crate) fn new(handshake: Accept<IO>) -> Self {
        Self {
            inner: handshake.into_fallible(),
            refused: None,
        }
    }

    /// The connection, if its handshake has failed.
    pub(crate) fn take_refused(&mut self) -> Option<IO> {
        self.refused.take()
    }
}

impl<IO> Future for Accepting<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    type Output = io::Result<server::TlsStream<IO>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        Poll::Ready(match ready!(Pin::new(&mut this.inner).poll(cx)) {
            Ok(stream) => Ok(stream),
            Err((error, io)) => {
                this.refused = Some(io);
                Err(error)
            }
        })
    }
}
