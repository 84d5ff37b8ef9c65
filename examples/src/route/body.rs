use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

pin_project! {
    /// The body of a response that came by a route: a cluster's, or the proxy's own.
    #[derive(Debug)]
    pub struct RoutedBody<B> {
        #[pin]
        origin: Origin<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = OriginProjection]
    enum Origin<B> {
        Cluster { #[pin] body: B },
        Proxy { text: Option<Bytes> },
    }
}

impl<B> RoutedBody<B> {
    pub(super) fn cluster(body: B) -> Self {
        Self {
            origin: Origin::Cluster { body },
        }
    }

    pub(super) fn own(text: &'static str) -> Self {
        let text = Some(Bytes::from_static(text.as_bytes())).filter(|text| !text.is_empty());
        Self {
            origin: Origin::Proxy { text },
        }
    }
}

impl<B> Body for RoutedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().origin.project() {
            OriginProjection::Cluster { body } => body.poll_frame(cx).map_err(Into::into),
            OriginProjection::Proxy { text } => Poll::Ready(text.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.origin {
            Origin::Cluster { body } => body.is_end_stream(),
            Origin::Proxy { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.origin {
            Origin::Cluster { body } => body.size_hint(),
            Origin::Proxy { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
