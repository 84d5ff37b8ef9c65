//! The task that dials: the only one that does, and only when the state machine says so.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tower_service::Service;

use crate::{
    error::{BoxError, ConnectPanic, ConnectTimeout},
    machine::Step,
    shared::Shared,
};

/// Makes connections for the handles that share a [`Shared`], until the last of them is dropped.
pub(crate) struct Connector<M, T> {
    pub(crate) maker: M,
    pub(crate) target: T,
    pub(crate) timeout: Duration,
}

impl<M, T> Connector<M, T>
where
    M: Service<T>,
    M::Error: Into<BoxError>,
    T: Clone,
{
    pub(crate) fn run(
        self,
        shared: Weak<Shared<M::Response>>,
        wake: Arc<Notify>,
    ) -> impl Future<Output = ()> {
        // Now, not at the first poll: a runtime that is shutting down drops the future unpolled.
        self.run_with(CloseOnDrop(shared), wake)
    }

    async fn run_with(mut self, guard: CloseOnDrop<M::Response>, wake: Arc<Notify>) {
        // Never across an await: else the task would keep alive what ends it.
        while let Some(step) = guard.0.upgrade().map(|shared| shared.next()) {
            match step {
                Step::Dial => {
                    let outcome = self.dial().await;
                    if let Some(shared) = guard.0.upgrade() {
                        shared.finish(outcome);
                    }
                }
                Step::Sleep(delay) => sleep(delay).await,
                Step::Wait => wake.notified().await,
            }
        }
    }

    /// Dials once. The timeout covers the wait for the maker as well.
    async fn dial(&mut self) -> Result<M::Response, BoxError> {
        let after = self.timeout;
        timeout(after, catch_panic(self.connect()))
            .await
            .unwrap_or_else(|_| Err(ConnectTimeout::new(after).into()))
    }

    async fn connect(&mut self) -> Result<M::Response, BoxError> {
        poll_fn(|context| self.maker.poll_ready(context))
            .await
            .map_err(Into::into)?;
        let connecting = self.maker.call(self.target.clone());
        connecting.await.map_err(Into::into)
    }
}

/// However the task ends, by a panic or with its runtime, nobody is left waiting for it.
struct CloseOnDrop<S>(Weak<Shared<S>>);

impl<S> Drop for CloseOnDrop<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.close();
        }
    }
}

/// Turns a panic of `future` into an error, so that it ends one dial and not the task.
async fn catch_panic<S>(future: impl Future<Output = Result<S, BoxError>>) -> Result<S, BoxError> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // What panicked is the maker, whose own state is its own concern; ours is not in there.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(ConnectPanic::new(message(&*panic)).into())))
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
