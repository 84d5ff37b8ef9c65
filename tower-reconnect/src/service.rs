//! The handle.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;

use crate::{
    admission::Wait,
    error::BoxError,
    future::{Refusal, ResponseFuture},
    lent::Lent,
    shared::{Access, Connection, Shared},
    watch::Watch,
};

/// A handle to one connection, which is made when it is first wanted and made again when it is
/// lost.
///
/// All clones share the connection. [`ReconnectLayer`](crate::ReconnectLayer) makes the first
/// handle; see the [crate's documentation](crate) for what its readiness means.
///
/// Each handle polls its own clone of the connection. When the connection dies, its service must
/// wake every clone that waits in `poll_ready`: a handle that is pending there is woken by its own
/// clone alone, not by the report of another handle.
pub struct Reconnect<S> {
    shared: Lent<Shared<S>>,
    /// Our own clone of the connection.
    connection: Option<Connection<S>>,
    progress: Progress,
    /// While there is no connection, or none that was ready, if it has waited.
    wait: Option<Box<Wait>>,
    /// We said that we are ready, to refuse the next request.
    refusal: Option<Refusal>,
}

/// What a handle has come to with its clone of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It never said that it is ready.
    New,
    /// It has said so, and was not called since.
    Ready,
    Called,
}

impl<S> Reconnect<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>) -> Self {
        Self::with(Lent::new(shared))
    }

    fn with(shared: Lent<Shared<S>>) -> Self {
        Self {
            shared,
            connection: None,
            progress: Progress::New,
            wait: None,
            refusal: None,
        }
    }

    /// Sees the connection's state and its changes. It keeps neither alive nor busy.
    pub fn watch(&self) -> Watch {
        self.shared.watch()
    }

    /// Forgets the failures of the past: a backoff that is under way ends, and the next one is as
    /// short as the first.
    ///
    /// For whoever has news of the other end, as when discovery names it again. Without demand
    /// nothing is dialled by this.
    pub fn reset_backoff(&self) {
        self.shared.reset_backoff();
    }

    /// Ready with nothing when the connection is, or with the reason to refuse the next request.
    #[cold]
    #[inline(never)]
    fn poll_connection<Request>(&mut self, context: &mut Context<'_>) -> Poll<Option<Refusal>>
    where
        S: Service<Request> + Clone,
        S::Error: Into<BoxError>,
    {
        // Every turn but the last sees the death of one more connection, of which there are no
        // more than the backoff lets through.
        loop {
            if let Some(connection) = self.live() {
                match connection.service.poll_ready(context) {
                    Poll::Ready(Ok(())) => {
                        self.progress = Progress::Ready;
                        return Poll::Ready(None);
                    }
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(cause)) => self.lose(cause.into()),
                }
            }
            let wait = self.wait.get_or_insert_default();
            match self.shared.demand(wait, context) {
                Access::Connected => {}
                Access::Waiting => return Poll::Pending,
                Access::Refused(refusal) => return Poll::Ready(Some(refusal)),
            }
        }
    }

    /// Our connection is dead.
    #[cold]
    #[inline(never)]
    fn lose(&mut self, cause: BoxError) {
        if let Some(connection) = self.connection.take() {
            self.shared.lose(&connection, cause);
        }
    }

    /// Waits no more.
    #[inline]
    fn leave(&mut self) {
        if let Some(wait) = &mut self.wait
            && wait.key.is_some()
        {
            self.shared.leave(wait);
        }
    }

    /// Keeps no connection alive that may be replaced or closed.
    #[inline(never)]
    fn release(&mut self) {
        self.connection = None;
    }

    /// Our clone of the connection, or a new one when ours is not to be used any more.
    #[inline]
    fn live(&mut self) -> Option<&mut Connection<S>>
    where
        S: Clone,
    {
        let shared = &self.shared;
        let usable = self.connection.as_ref().is_some_and(|ours| {
            shared.is_current(ours.generation)
                // What was promised is kept, by the one who promised.
                || self.progress == Progress::Ready && shared.is_draining(ours.generation)
        });
        if !usable {
            self.renew();
        }
        self.connection.as_mut()
    }

    #[inline(never)]
    fn renew(&mut self)
    where
        S: Clone,
    {
        if self.progress != Progress::New {
            self.progress = Progress::New;
            self.wait = None;
        }
        self.connection = self.shared.connection();
        if self.connection.is_some() {
            // Whoever waited for it has been woken, and counts as waiting no more. But a bound holds
            // until one is ready: this one may be dead already.
            self.wait.take_if(|wait| {
                wait.key = None;
                wait.until.is_none()
            });
        }
    }
}

impl<S, Request> Service<Request> for Reconnect<S>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    /// Never an error: see the [crate's documentation](crate#readiness).
    #[inline]
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Apart from what happens without a connection, of which a request is to pay nothing.
        if self.refusal.is_none()
            && let Some(connection) = self.live()
        {
            match connection.service.poll_ready(context) {
                Poll::Ready(Ok(())) => {
                    self.progress = Progress::Ready;
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(cause)) => self.lose(cause.into()),
            }
        }
        match self.poll_connection(context) {
            Poll::Ready(refusal) => self.refusal = refusal,
            Poll::Pending if self.refusal.is_none() => return Poll::Pending,
            // What was promised stays promised, even when it was a refusal.
            Poll::Pending => {}
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        if self.refusal.is_some() {
            // It may have been polled again since.
            self.leave();
            return ResponseFuture::refused(self.refusal.take());
        }
        // The instance that was polled, even if others have seen it die since: it alone knows.
        let Some(connection) = &mut self.connection else {
            return ResponseFuture::refused(None);
        };
        self.shared.touch();
        let work = connection.work.clone();
        let response = connection.service.call(request);
        self.progress = Progress::Called;
        if self.shared.settings().releases() {
            self.release();
        }
        // Last, so that it is made where it is returned: to copy it costs more than all the rest.
        ResponseFuture::sent(response, work)
    }
}

impl<S> Clone for Reconnect<S> {
    /// The clone takes its own clone of the connection when it is polled, not now.
    fn clone(&self) -> Self {
        Self::with(self.shared.clone())
    }
}

impl<S> Drop for Reconnect<S> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<S> fmt::Debug for Reconnect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("name", &self.shared.name())
            .field("state", &self.shared.state())
            .finish_non_exhaustive()
    }
}
