//! A response's body, and what it holds of the connection that it comes from.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{connection::RequestBody, http1::Lease, http2::Stream};
use crate::BoxError;

pin_project! {
    /// An endpoint's response body; an HTTP/1 connection goes back to its pool when it has ended.
    ///
    /// That of a 101 never ends and yields nothing: it keeps the connection's place while bytes
    /// pass through the tunnel, and is to be dropped with it.
    #[derive(Debug)]
    pub struct EndpointBody<B> {
        #[pin]
        body: Incoming,
        hold: Hold<B>,
    }
}

/// What a body keeps until it has ended.
#[derive(Debug)]
enum Hold<B> {
    Nothing,
    Stream { _stream: Stream },
    Lease(Lease<B>),
    Tunnel { _lease: Lease<B> },
}

impl<B: RequestBody> EndpointBody<B> {
    /// A body whose connection carries others as well.
    pub(super) fn stream(body: Incoming, stream: Stream) -> Self {
        let hold = match body.is_end_stream() {
            true => Hold::Nothing,
            false => Hold::Stream { _stream: stream },
        };
        Self { body, hold }
    }

    /// A body whose connection is given back at its end.
    pub(super) fn leased(body: Incoming, lease: Lease<B>) -> Self {
        if body.is_end_stream() {
            lease.give_back();
            let hold = Hold::Nothing;
            return Self { body, hold };
        }
        let hold = Hold::Lease(lease);
        Self { body, hold }
    }

    /// In the place of a body, while the connection is a tunnel.
    pub(super) fn tunnel(body: Incoming, lease: Lease<B>) -> Self {
        let hold = Hold::Tunnel { _lease: lease };
        Self { body, hold }
    }
}

impl<B: RequestBody> Body for EndpointBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Hold::Tunnel { .. } = this.hold {
            return Poll::Pending;
        }
        let polled = this.body.as_mut().poll_frame(cx).map_err(BoxError::from);
        if let (Poll::Ready(None), Hold::Stream { .. }) = (&polled, &this.hold)
            && !this.body.is_end_stream()
        {
            // hyper takes a reset without an error for an end.
            return Poll::Ready(Some(Err("the stream was reset before its end".into())));
        }
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended && let Hold::Lease(lease) = std::mem::replace(this.hold, Hold::Nothing) {
            lease.give_back();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self.hold {
            Hold::Tunnel { .. } => false,
            Hold::Nothing | Hold::Stream { .. } | Hold::Lease(_) => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.hold {
            Hold::Tunnel { .. } => SizeHint::new(),
            Hold::Nothing | Hold::Stream { .. } | Hold::Lease(_) => self.body.size_hint(),
        }
    }
}
