//! One dial: the wait for the maker and the connecting, within the connect timeout.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::{sync::Mutex, time::timeout};
use tower_service::Service;

use crate::{
    error::{BoxError, ConnectPanic, ConnectTimeout},
    settings::Settings,
};

/// What makes connections to one target, while nothing is dialled.
pub(crate) struct Connector<M, T> {
    maker: M,
    target: T,
    settings: Arc<Settings>,
}

impl<M, T> Connector<M, T> {
    pub(crate) fn new(maker: M, target: T, settings: Arc<Settings>) -> Self {
        Self {
            maker,
            target,
            settings,
        }
    }

    pub(crate) fn dialler(self) -> Dialler<M, T> {
        Dialler {
            maker: Mutex::new((self.maker, self.target)),
            settings: self.settings,
        }
    }
}

/// Makes connections to one target.
pub(crate) struct Dialler<M, T> {
    /// Held by a dial while it waits for the maker's readiness and calls it, and no longer.
    maker: Mutex<(M, T)>,
    settings: Arc<Settings>,
}

impl<M, T> Dialler<M, T> {
    pub(crate) fn connector(self) -> Connector<M, T> {
        let (maker, target) = self.maker.into_inner();
        Connector::new(maker, target, self.settings)
    }
}

impl<M, T> Dialler<M, T>
where
    M: Service<T> + Send + 'static,
    M::Response: Send,
    M::Error: Into<BoxError>,
    M::Future: Send,
    T: Clone + Send + 'static,
{
    /// Dials once. The timeout covers the wait for the maker as well.
    pub(crate) async fn dial(self: Arc<Self>) -> Result<M::Response, BoxError> {
        let after = self.settings.connect_timeout;
        let mut connecting = pin!(Some(self.connect()));
        let connected = poll_fn(|context| match connecting.as_mut().as_pin_mut() {
            Some(connecting) => catch(|| connecting.poll(context)),
            None => Poll::Pending,
        });
        let outcome = timeout(after, connected)
            .await
            .unwrap_or_else(|_| Err(ConnectTimeout::new(after).into()));
        // Its end may panic as well, which changes nothing about the outcome.
        let _ = catch_unwind(AssertUnwindSafe(|| connecting.set(None)));
        outcome
    }

    async fn connect(&self) -> Result<M::Response, BoxError> {
        let connecting = {
            let mut locked = self.maker.lock().await;
            let (maker, target) = &mut *locked;
            poll_fn(|context| maker.poll_ready(context))
                .await
                .map_err(Into::into)?;
            maker.call(target.clone())
        };
        connecting.await.map_err(Into::into)
    }
}

/// Turns a panic of a poll into an error, so that it ends one dial and not the task.
fn catch<S>(poll: impl FnOnce() -> Poll<Result<S, BoxError>>) -> Poll<Result<S, BoxError>> {
    // What panicked is the maker, whose own state is its own concern; ours is not in there.
    let polled = catch_unwind(AssertUnwindSafe(poll));
    polled.unwrap_or_else(|panic| Poll::Ready(Err(ConnectPanic::new(message(&*panic)).into())))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
