//! Sends a request again that has come back unsent: no connection could be made for it, or the one
//! that it was given had ended.
//!
//! It is no retry: nothing was sent, so it costs no budget and is right for every method. Nothing is
//! kept for it either: the request itself comes back, its body unread.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
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
#[derive(Clone, Debug)]
pub struct ResendLayer {
    wait: Duration,
    resent: Arc<AtomicU64>,
}

/// Over one endpoint, whose next connection takes the request, or over a balancer, which sends it
/// to another endpoint.
#[derive(Debug)]
pub struct Resend<S> {
    inner: S,
    spare: Arc<Spare<S>>,
}

/// What requests are sent again by. Locked only then.
#[derive(Debug)]
struct Spare<S> {
    service: Mutex<S>,
    layer: ResendLayer,
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
        again: Option<(S, Pin<Box<Sleep>>)>,
        spare: Arc<Spare<S>>,
    }
}

impl ResendLayer {
    /// A request that comes back unsent is sent again for no longer than `wait` from then on.
    pub fn new(wait: Duration) -> Self {
        let resent = Arc::default();
        Self { wait, resent }
    }

    /// How often requests were sent again.
    pub fn resent(&self) -> u64 {
        self.resent.load(Relaxed)
    }
}

impl<S: Clone> Layer<S> for ResendLayer {
    type Service = Resend<S>;

    fn layer(&self, inner: S) -> Resend<S> {
        let spare = Arc::new(Spare {
            service: Mutex::new(inner.clone()),
            layer: self.clone(),
        });
        Resend { inner, spare }
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
            again: None,
            spare: self.spare.clone(),
        }
    }
}

impl<S, B> Future for ResendFuture<S, B>
where
    S: Service<Request<B>, Error = BoxError> + Clone,
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
            let (service, bound) = this.again.get_or_insert_with(|| this.spare.begin());
            let is_late = bound.as_mut().poll(cx).is_ready();
            let is_ready = service.poll_ready(cx)?.is_ready();
            match this.unsent.take() {
                Some((request, _)) if is_ready && !is_late => {
                    this.spare.layer.resent.fetch_add(1, Relaxed);
                    this.sending.set(Some(service.call(request)));
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

impl<S: Clone> Spare<S> {
    fn begin(&self) -> (S, Pin<Box<Sleep>>) {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner);
        (service.clone(), Box::pin(sleep(self.layer.wait)))
    }
}

impl<S: Clone> Clone for Resend<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            spare: self.spare.clone(),
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
                        true => Err(Unsent::new(request, Ended::new(true, "closing")).into()),
                        false => Ok::<_, BoxError>(*request.body()),
                    }
                }
            }
        });
        let layer = ResendLayer::new(WAIT);
        let resend = layer.layer(connection);
        assert_eq!(resend.oneshot(Request::new("body")).await.unwrap(), "body");
        assert_eq!((calls.load(Relaxed), layer.resent()), (3, 2));
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
            std::future::ready(Err(Unsent::new(request, Ended::new(true, "closing")).into()))
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
        assert_eq!(Arc::strong_count(&down), 3, "ours, and the two of `resend`");
    }
}
