use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_timeout_ewma::deadline::Deadline;

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
        Endpoint {
            #[pin]
            body: B,
            // Boxed, because hyper wants bodies that can be moved.
            deadline: Option<Pin<Box<Sleep>>>,
        },
        Proxy {
            text: Option<Bytes>,
        },
    }
}

/// The exchange's deadline passed while the body was on its way.
#[derive(Clone, Copy, Debug)]
pub struct Overdue;

impl<B: Body> ResponseBody<B> {
    /// Passes an endpoint's body on, for no longer than `deadline`.
    pub fn endpoint(body: B, deadline: Option<Deadline>) -> Self {
        let deadline = deadline.filter(|_| !body.is_end_stream());
        Self {
            origin: Origin::Endpoint {
                body,
                deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline.instant()))),
            },
        }
    }
}

impl<B> ResponseBody<B> {
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
            // The deadline first: a body that never pauses has one as well.
            OriginProj::Endpoint { body, deadline } => {
                if let Some(deadline) = deadline
                    && deadline.as_mut().poll(cx).is_ready()
                {
                    return Poll::Ready(Some(Err(Overdue.into())));
                }
                body.poll_frame(cx).map_err(Into::into)
            }
            OriginProj::Proxy { text } => Poll::Ready(text.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.origin {
            Origin::Endpoint { body, .. } => body.is_end_stream(),
            Origin::Proxy { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.origin {
            Origin::Endpoint { body, .. } => body.size_hint(),
            Origin::Proxy { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline passed while the body was on its way")
    }
}

impl Error for Overdue {}
