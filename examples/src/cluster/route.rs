//! What a route adds to its cluster's stack.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;
use tower_timeout_ewma::deadline::{Deadline, Source, http::HttpDeadline};

use super::{Sent, layers::HttpTimeoutLayer};
use crate::{endpoint::RouteTimeout, http::DeadlineTrusted};

/// The deadline of a route: its own timeout, which anybody's `grpc-timeout` may shorten and that of
/// a [trusted](DeadlineTrusted) peer replaces.
#[derive(Clone, Copy, Debug)]
pub struct RouteDeadline {
    limit: Option<Duration>,
    capped: HttpDeadline,
    theirs: HttpDeadline,
}

/// In a request's extensions: its client waits for less time than its route allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hurried;

impl RouteDeadline {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        let theirs = HttpDeadline::new();
        Self {
            limit,
            capped: limit.map_or(theirs, |limit| theirs.local(limit)),
            theirs,
        }
    }
}

impl<B> Source<Request<B>> for RouteDeadline {
    fn deadline(&self, request: &Request<B>, now: Instant) -> Option<Deadline> {
        if request.extensions().get::<DeadlineTrusted>().is_some()
            && let Some(theirs) = self.theirs.deadline(request, now)
        {
            return Some(theirs);
        }
        self.capped.deadline(request, now)
    }

    fn forward(&self, request: &mut Request<B>, deadline: Deadline, now: Instant) {
        let left = deadline.remaining(now);
        if self.limit.is_none_or(|limit| left < limit) {
            request.extensions_mut().insert(Hurried);
        }
        self.capped.forward(request, deadline, now);
    }
}

/// Tells the endpoint whose timeout a request has, the balancer where its retries shall not go, and
/// the server until when its response's body may last: the [`Deadline`] is in the response's
/// extensions. The field that numbers attempts tells nothing but ours.
#[derive(Clone, Debug)]
pub struct Noted<S> {
    inner: S,
    timeout: Option<HttpTimeoutLayer>,
    /// Whether retries are to go to other endpoints.
    elsewhere: bool,
    attempt_header: Option<HeaderName>,
}

pin_project! {
    /// The response of [`Noted`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct NotedFuture<F> {
        #[pin]
        inner: F,
        deadline: Option<Deadline>,
    }
}

impl<S> Noted<S> {
    pub(super) fn new(inner: S, timeout: Option<HttpTimeoutLayer>, elsewhere: bool) -> Self {
        Self {
            inner,
            timeout,
            elsewhere,
            attempt_header: None,
        }
    }

    /// With the field that later attempts have, and that clients do not fill in.
    pub(super) fn attempt_header(mut self, name: Option<HeaderName>) -> Self {
        self.attempt_header = name;
        self
    }
}

impl<S, Q, B> Service<Request<Q>> for Noted<S>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = NotedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        if let Some(timeout) = &self.timeout {
            let timeout = RouteTimeout(timeout.clone());
            request.extensions_mut().insert(timeout);
        }
        if self.elsewhere && request.extensions().get::<Sent>().is_none() {
            request.extensions_mut().insert(Sent::new());
        }
        if let Some(name) = &self.attempt_header {
            request.headers_mut().remove(name);
        }
        let deadline = request.extensions().get::<Deadline>().copied();
        NotedFuture {
            inner: self.inner.call(request),
            deadline,
        }
    }
}

impl<F, B, E> Future for NotedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(deadline) = this.deadline.take() {
            response.extensions_mut().insert(deadline);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};
    use tower_timeout_ewma::deadline::Deadlines;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn request(grpc_timeout: Option<&str>, is_trusted: bool) -> Request<()> {
        let mut request = Request::new(());
        if let Some(timeout) = grpc_timeout {
            let timeout = timeout.parse().unwrap();
            request.headers_mut().insert("grpc-timeout", timeout);
        }
        if is_trusted {
            request.extensions_mut().insert(DeadlineTrusted);
        }
        request
    }

    #[tokio::test(start_paused = true)]
    async fn anybody_may_shorten_the_routes_timeout_and_trusted_peers_replace_it() {
        let now = Instant::now();
        let (with, without) = (RouteDeadline::new(Some(LIMIT)), RouteDeadline::new(None));
        for (theirs, is_trusted, limited, unlimited) in [
            (None, false, Some(2), None),
            (None, true, Some(2), None),
            (Some("1S"), false, Some(1), Some(1)),
            (Some("1S"), true, Some(1), Some(1)),
            (Some("9S"), false, Some(2), Some(9)),
            (Some("9S"), true, Some(9), Some(9)),
            (Some("soon"), true, Some(2), None),
        ] {
            let request = request(theirs, is_trusted);
            let left = |deadline: RouteDeadline| {
                let deadline = deadline.deadline(&request, now);
                deadline.map(|deadline| deadline.remaining(now).as_secs())
            };
            assert_eq!(left(with), limited, "{theirs:?} {is_trusted}");
            assert_eq!(left(without), unlimited, "{theirs:?} {is_trusted}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_part_learns_the_deadline() {
        for (limit, expected) in [(Some(LIMIT), Some(LIMIT)), (None, None)] {
            let inner = service_fn(|_: Request<()>| async {
                tokio::time::sleep(LIMIT / 2).await;
                Ok::<_, Infallible>(Response::new(()))
            });
            let now = Instant::now();
            let noted = Noted::new(inner, None, false);
            let service = Deadlines::new(noted, RouteDeadline::new(limit));
            let response = service.oneshot(request(None, false)).await.unwrap();
            let deadline = response.extensions().get::<Deadline>();
            assert_eq!(deadline.map(|deadline| deadline.remaining(now)), expected);
        }
    }

    #[tokio::test]
    async fn only_what_may_be_retried_carries_where_it_has_been() {
        for (elsewhere, is_logged) in [(false, false), (true, false), (false, true), (true, true)] {
            let inner = service_fn(|request: Request<()>| async move {
                let carried = request.extensions().get::<Sent>().cloned();
                Ok::<_, Infallible>(Response::new(carried.map(|sent| sent.endpoints())))
            });
            let mut request = request(None, false);
            let logged = Sent::new();
            logged.add(([127, 0, 0, 1], 9).into());
            if is_logged {
                request.extensions_mut().insert(logged.clone());
            }
            let noted = Noted::new(inner, None, elsewhere);
            let carried = noted.oneshot(request).await.unwrap().into_body();
            let expected = match is_logged {
                true => Some(logged.endpoints()),
                false => elsewhere.then(Vec::new),
            };
            assert_eq!(carried, expected, "{elsewhere} {is_logged}");
        }
    }
}
