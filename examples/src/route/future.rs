use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::FieldChanges;
use crate::{BoxError, http::body::ResponseBody};

pin_project! {
    /// The response of [`Routes`](super::Routes).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the cluster's response.
    #[must_use = "futures do nothing unless polled"]
    pub struct RoutesFuture<S, Q, B>
    where
        S: Service<Request<Q>>,
    {
        #[pin]
        state: State<S, Q, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, Q, B>
    where
        S: Service<Request<Q>>,
    {
        Cluster {
            #[pin]
            response: Oneshot<S, Request<Q>>,
            fields: Option<Arc<FieldChanges>>,
        },
        Own {
            answer: Option<Result<Response<ResponseBody<B>>, BoxError>>,
        },
    }
}

impl<S, Q, B> RoutesFuture<S, Q, B>
where
    S: Service<Request<Q>>,
{
    /// What the cluster answers, changed.
    pub(super) fn cluster(
        response: Oneshot<S, Request<Q>>,
        fields: Option<Arc<FieldChanges>>,
    ) -> Self {
        Self {
            state: State::Cluster { response, fields },
        }
    }

    pub(super) fn own(answer: Result<Response<ResponseBody<B>>, BoxError>) -> Self {
        Self {
            state: State::Own {
                answer: Some(answer),
            },
        }
    }
}

impl<S, Q, B> Future for RoutesFuture<S, Q, B>
where
    S: Service<Request<Q>, Response = Response<B>, Error = BoxError>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Cluster { response, fields } => {
                let mut response = ready!(response.poll(cx))?;
                if let Some(fields) = fields {
                    fields.apply(response.headers_mut());
                }
                Poll::Ready(Ok(response.map(|body| ResponseBody::endpoint(body, None))))
            }
            // Polled again after its end it stays pending.
            StateProjection::Own { answer } => answer.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl<S, Q, B> fmt::Debug for RoutesFuture<S, Q, B>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Cluster { .. } => "cluster",
            State::Own { .. } => "own",
        };
        f.debug_tuple("RoutesFuture").field(&state).finish()
    }
}
