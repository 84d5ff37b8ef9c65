//! The handle.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use super::{
    pool::{Access, Pool},
    stock::Held,
};
use crate::{
    admission::Wait,
    error::BoxError,
    future::{Refusal, ResponseFuture},
    watch::Watch,
};

/// A handle with a connection of its own, which is made when it is first wanted and made again
/// when it is lost.
///
/// A clone gets its own connection, and shares with the others what is known of the other end.
/// [`ExclusiveLayer`](super::ExclusiveLayer) makes the first handle; see the
/// [module's documentation](super) for how connections pass between handles.
pub struct Exclusive<S> {
    pool: Arc<Pool<S>>,
    connection: Option<Held<S>>,
    /// Whether the connection was called since we have it.
    called: bool,
    /// Whether it has said that it is ready and was not called since.
    ready: bool,
    /// While there is no connection, or none that was ready.
    wait: Wait,
    /// We said that we are ready, to refuse the next request.
    refusal: Option<Refusal>,
}

impl<S> Exclusive<S> {
    pub(super) fn new(pool: Arc<Pool<S>>) -> Self {
        Self {
            pool,
            connection: None,
            called: false,
            ready: false,
            wait: Wait::default(),
            refusal: None,
        }
    }

    /// Sees the state of all handles' connections and its changes. It keeps neither alive nor busy.
    pub fn watch(&self) -> Watch {
        self.pool.watch()
    }

    /// Whether this handle has a connection.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Forgets the failures of the past: a backoff that is under way ends, and the next one is as
    /// short as the first.
    ///
    /// For whoever has news of the other end, as when discovery names it again. Without demand
    /// nothing is dialled by this.
    pub fn reset_backoff(&self) {
        self.pool.reset_backoff();
    }

    /// Says that this handle's connection has died of `cause`, as if its `poll_ready` had said so.
    ///
    /// For whoever has learnt that elsewhere and wants no other connection now: a poll would ask
    /// for the next one, which nobody does here unless the layer is eager. Without a connection it
    /// does nothing.
    pub fn report_lost(&mut self, cause: impl Into<BoxError>) {
        self.lose(cause.into());
        self.wait.until = None;
        self.pool.go_on();
    }

    /// Ready with nothing when the connection is, or with the reason to refuse the next request.
    fn poll_connection<Request>(&mut self, context: &mut Context<'_>) -> Poll<Option<Refusal>>
    where
        S: Service<Request>,
        S::Error: Into<BoxError>,
    {
        // Every turn but the last sees the end of one more connection, of which there are no more
        // than the gate lets through.
        loop {
            if let Some(held) = &mut self.connection {
                match held.service.poll_ready(context) {
                    Poll::Ready(Ok(())) if !self.ready && held.is_replaced() => self.exchange(),
                    Poll::Ready(Ok(())) => {
                        self.ready = true;
                        return Poll::Ready(None);
                    }
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(cause)) => self.lose(cause.into()),
                }
                continue;
            }
            match self.pool.acquire(&mut self.wait, context) {
                Access::Connected(held) => self.own(Some(held)),
                Access::Waiting => return Poll::Pending,
                Access::Refused(refusal) => return Poll::Ready(Some(refusal)),
            }
        }
    }

    fn exchange(&mut self) {
        self.wait.until = None;
        let new = self.connection.take().map(|old| self.pool.exchange(old));
        self.own(new);
    }

    fn lose(&mut self, cause: BoxError) {
        let Some(lost) = self.connection.take() else {
            return;
        };
        // Else it is still the same wait.
        if self.ready || self.called {
            self.wait.until = None;
        }
        let generation = lost.generation;
        let answers = lost.work.as_ref().map_or(0, |work| work.answers());
        drop(lost);
        let successor = self.pool.lose(generation, answers, cause);
        self.own(successor);
    }

    fn own(&mut self, connection: Option<Held<S>>) {
        self.connection = connection;
        self.called = false;
        self.ready = false;
    }
}

impl<S, Request> Service<Request> for Exclusive<S>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    /// Never an error: see the [crate's documentation](crate#readiness).
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.poll_connection(context) {
            Poll::Ready(refusal) => self.refusal = refusal,
            Poll::Pending if self.refusal.is_none() => return Poll::Pending,
            // What was promised stays promised, even when it was a refusal.
            Poll::Pending => {}
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.refusal.is_some() {
            // It may have been polled again since, and waits no more.
            if self.wait.key.is_some() {
                self.pool.leave(&mut self.wait, None, false);
            }
            return ResponseFuture::refused(self.refusal.take());
        }
        let Some(held) = &mut self.connection else {
            return ResponseFuture::refused(None);
        };
        self.called = true;
        self.ready = false;
        ResponseFuture::sent(held.service.call(request), held.work.clone())
    }
}

impl<S> Clone for Exclusive<S> {
    /// The clone gets a connection when it is polled, not now.
    fn clone(&self) -> Self {
        Self::new(self.pool.clone())
    }
}

impl<S> Drop for Exclusive<S> {
    fn drop(&mut self) {
        if self.connection.is_some() || self.wait.key.is_some() {
            let connection = self.connection.take();
            self.pool.leave(&mut self.wait, connection, self.called);
        }
    }
}

impl<S> fmt::Debug for Exclusive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive")
            .field("name", &self.pool.name())
            .field("connected", &self.is_connected())
            .field("state", &self.pool.state())
            .finish_non_exhaustive()
    }
}
