use std::{
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{BoxError, backoff::backoff, endpoint::Endpoint};

pin_project! {
    /// Polls clones of one endpoint until one is ready. That clone is dropped at once, because it
    /// may hold a permit that a request needs.
    pub(crate) struct Drive<K, S, Req> {
        endpoint: Arc<Endpoint<K, S>>,
        service: Option<S>,
        #[pin]
        pause: Option<Sleep>,
        _request: PhantomData<fn(Req)>,
    }
}

impl<K, S, Req> Drive<K, S, Req> {
    /// With `failed` it begins with a pause, as after an error of its own.
    pub(crate) fn new(endpoint: Arc<Endpoint<K, S>>, failed: bool) -> Self {
        let pause = failed.then(|| sleep(backoff(endpoint.errors())));
        Self {
            endpoint,
            service: None,
            pause,
            _request: PhantomData,
        }
    }
}

impl<K, S, Req> Future for Drive<K, S, Req>
where
    K: std::fmt::Debug,
    S: Service<Req> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Arc<Endpoint<K, S>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(pause) = this.pause.as_mut().as_pin_mut() {
                ready!(pause.poll(cx));
                this.pause.set(None);
            }
            let endpoint = &*this.endpoint;
            // One endpoint that panics must not take the driver of all with it.
            let asked = catch_unwind(AssertUnwindSafe(|| {
                let service = this.service.get_or_insert_with(|| endpoint.service.clone());
                let readiness = ready!(service.poll_ready(cx));
                drop(this.service.take());
                Poll::Ready(readiness)
            }));
            let result = match asked {
                Ok(readiness) => ready!(readiness).map_err(Into::into),
                Err(_) => {
                    let service = this.service.take();
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(service)));
                    Err("it panicked when it was asked".into())
                }
            };
            match result {
                Ok(()) => return Poll::Ready(Arc::clone(endpoint)),
                Err(error) => {
                    endpoint.readiness_failed();
                    let pause = backoff(endpoint.errors());
                    report(endpoint, &*error, pause);
                    this.pause.set(Some(sleep(pause)));
                }
            }
        }
    }
}

pub(crate) fn report<K: std::fmt::Debug, S>(
    endpoint: &Endpoint<K, S>,
    error: &(dyn std::error::Error + Send + Sync + 'static),
    pause: std::time::Duration,
) {
    let key = &endpoint.load.key;
    if endpoint.errors() == 1 {
        tracing::warn!(endpoint = ?key, %error, ?pause, "endpoint is down");
    } else {
        tracing::debug!(endpoint = ?key, %error, ?pause, "endpoint is still down");
    }
}
