//! Sends a request again that a dying connection has given back unsent.
//!
//! It is no retry: nothing was sent, so it costs no budget and is right for every method.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_layer::Layer;
use tower_service::Service;

use super::ended::{Ended, Unsent};
use crate::BoxError;

/// Makes [`Resend`]s.
#[derive(Clone, Copy, Debug)]
pub struct ResendLayer {
    wait: Duration,
}

/// Over a service that reconnects.
#[derive(Clone, Debug)]
pub struct Resend<S> {
    inner: S,
    wait: Duration,
}

pin_project! {
    /// The response, after as many connections as it took.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResendFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        sending: Option<S::Future>,
        // While the next connection is waited for.
        unsent: Option<(Request<B>, Ended)>,
        bound: Option<Pin<Box<Sleep>>>,
        service: S,
        wait: Duration,
    }
}

impl ResendLayer {
    /// An unsent request waits no longer than `wait`, in all, for other connections.
    pub fn new(wait: Duration) -> Self {
        Self { wait }
    }
}

impl<S> Layer<S> for ResendLayer {
    type Service = Resend<S>;

    fn layer(&self, inner: S) -> Resend<S> {
        Resend {
            inner,
            wait: self.wait,
        }
    }
}

impl<S, B> Service<Request<B>> for Resend<S>
where
    S: Service<Request<B>, Error = BoxError> + Clone,
    B: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResendFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResendFuture {
            sending: Some(self.inner.call(request)),
            unsent: None,
            bound: None,
            service: self.inner.clone(),
            wait: self.wait,
        }
    }
}

impl<S, B> Future for ResendFuture<S, B>
where
    S: Service<Request<B>, Error = BoxError>,
    B: 'static,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(sending) = this.sending.as_mut().as_pin_mut() {
                let error = match ready!(sending.poll(cx)) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(error) => error,
                };
                this.sending.set(None);
                *this.unsent = Some(Unsent::recover(error)?);
            }
            let bound = this
                .bound
                .get_or_insert_with(|| Box::pin(sleep(*this.wait)));
            let is_late = bound.as_mut().poll(cx).is_ready();
            let is_ready = this.service.poll_ready(cx)?.is_ready();
            match this.unsent.take() {
                Some((request, _)) if is_ready && !is_late => {
                    this.sending.set(Some(this.service.call(request)));
                }
                Some((_, ended)) if is_late => return Poll::Ready(Err(ended.into())),
                unsent => {
                    *this.unsent = unsent;
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for ResendFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResendFuture")
            .field("waiting", &self.unsent.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        },
    };

    use tokio::time::Instant;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const WAIT: Duration = Duration::from_millis(1003);

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_is_sent_again_whatever_its_method() {
        let calls = Arc::new(AtomicU32::new(0));
        let connection = service_fn({
            let calls = calls.clone();
            move |request: Request<&'static str>| {
                let dies = calls.fetch_add(1, Relaxed) < 2;
                async move {
                    match dies {
                        true => Err(Unsent::new(request, "closing").into()),
                        false => Ok::<_, BoxError>(*request.body()),
                    }
                }
            }
        });
        let resend = ResendLayer::new(WAIT).layer(connection);
        assert_eq!(resend.oneshot(Request::new("body")).await.unwrap(), "body");
        assert_eq!(calls.load(Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn another_connection_is_waited_for_no_longer_than_the_bound() {
        let down = Arc::new(AtomicBool::new(false));
        let resend = ResendLayer::new(WAIT).layer(DownAfterOne(down));
        let begun = Instant::now();
        let error = resend.oneshot(Request::new("body")).await.unwrap_err();
        assert!(error.is::<Ended>(), "{error}");
        let waited = Instant::now().saturating_duration_since(begun);
        assert!(
            (WAIT..WAIT + Duration::from_millis(2)).contains(&waited),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_been_sent_is_not_sent_again() {
        let connection = service_fn(|_: Request<&'static str>| async {
            Err::<(), BoxError>("reset in the middle".into())
        });
        let resend = ResendLayer::new(WAIT).layer(connection);
        let error = resend.oneshot(Request::new("body")).await.unwrap_err();
        assert_eq!(error.to_string(), "reset in the middle");
    }

    /// Ready once; gives its one request back, and is down then.
    #[derive(Clone)]
    struct DownAfterOne(Arc<AtomicBool>);

    impl Service<Request<&'static str>> for DownAfterOne {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            if !self.0.load(Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let mut for_ever = std::pin::pin!(pending());
            for_ever.as_mut().poll(cx)
        }

        fn call(&mut self, request: Request<&'static str>) -> Self::Future {
            self.0.store(true, Relaxed);
            std::future::ready(Err(Unsent::new(request, "closing").into()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_takes_its_request_along() {
        let down = Arc::new(AtomicBool::new(false));
        let mut resend = ResendLayer::new(WAIT).layer(DownAfterOne(down.clone()));
        poll_fn(|cx| resend.poll_ready(cx)).await.unwrap();
        let mut response = tokio_test::task::spawn(resend.call(Request::new("body")));
        tokio_test::assert_pending!(response.poll());
        drop(response);
        assert_eq!(Arc::strong_count(&down), 2, "ours, and that of `resend`");
    }
}
