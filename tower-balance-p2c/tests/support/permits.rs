//! An endpoint with permits of a semaphore, which it reserves in `poll_ready`.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready as ready_or_return},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

type Acquire =
    Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send + Sync>>;

pub struct Limited {
    semaphore: Arc<Semaphore>,
    acquiring: Option<Acquire>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Limited {
    pub fn new(semaphore: Arc<Semaphore>) -> Self {
        Self {
            semaphore,
            acquiring: None,
            permit: None,
        }
    }
}

impl Clone for Limited {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.semaphore))
    }
}

impl Service<()> for Limited {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_none() {
            let semaphore = Arc::clone(&self.semaphore);
            let acquiring = self
                .acquiring
                .get_or_insert_with(|| Box::pin(semaphore.acquire_owned()));
            let permit = ready_or_return!(acquiring.as_mut().poll(cx));
            self.acquiring = None;
            self.permit = permit.ok();
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        assert!(self.permit.take().is_some(), "called without being ready");
        ready(Ok(()))
    }
}
