use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::idle::IdleBody;
use crate::BoxError;

pin_project! {
    /// A response body: an endpoint's, or the proxy's own.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        origin: Origin<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = OriginProj]
    enum Origin<B> {
        Endpoint { #[pin] body: IdleBody<B> },
        Proxy { text: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// Passes an endpoint's body on.
    pub fn endpoint(body: B, pause: Duration) -> Self {
        Self {
            origin: Origin::Endpoint {
                body: IdleBody::new(body, pause),
            },
        }
    }

    /// The proxy's own words.
    pub fn own(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self {
            origin: Origin::Proxy {
                text: Some(text).filter(|text| !text.is_empty()),
            },
        }
    }
}

impl<B> Body for ResponseBody<B>
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
            OriginProj::Endpoint { body } => body.poll_frame(cx),
            OriginProj::Proxy { text } => Poll::Ready(text.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.origin {
            Origin::Endpoint { body } => body.is_end_stream(),
            Origin::Proxy { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.origin {
            Origin::Endpoint { body } => body.size_hint(),
            Origin::Proxy { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
