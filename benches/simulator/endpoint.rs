//! The way from a balancer to a simulated server: a tower service that is always ready, and whose
//! answers the simulation gives.

use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tower::Service;

use super::event::Nanos;

/// What a client asks for. All chance of a request is drawn when it arrives, so that each policy
/// meets the same requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) client: usize,
    /// When it came.
    pub(super) begun: Nanos,
    /// Nanoseconds of a worker at speed one.
    pub(super) work: f64,
    /// From 0 to 1; the lowest fail first.
    pub(super) luck: f64,
}

/// What a server says, which may be that it has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    pub(super) failed: bool,
}

/// No answer at all: refused, or reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered;

/// A request that has reached its server.
pub(super) struct Submission {
    pub(super) server: usize,
    pub(super) request: Request,
    pub(super) call: CallHandle,
}

/// An answer on its way to a client.
pub(super) struct Answer {
    pub(super) call: CallHandle,
    pub(super) result: Result<Response, Unanswered>,
}

/// One server, as a balancer sees it.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) server: usize,
    inbox: Inbox,
}

/// What was sent and has not been taken up by the simulation yet.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Submission>>>);

/// The caller's side of a request; dropping it cancels the request.
pub(super) struct Call(Arc<Mutex<State>>);

/// The server's side of a request.
pub(super) struct CallHandle(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    result: Option<Result<Response, Unanswered>>,
    waker: Option<Waker>,
    cancelled: bool,
}

impl Inbox {
    pub(super) fn endpoint(&self, server: usize) -> Endpoint {
        let inbox = self.clone();
        Endpoint { server, inbox }
    }

    pub(super) fn take(&self) -> Vec<Submission> {
        mem::take(&mut *lock(&self.0))
    }
}

impl Service<Request> for Endpoint {
    type Response = Response;
    type Error = Unanswered;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unanswered>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Call {
        let state = Arc::default();
        lock(&self.inbox.0).push(Submission {
            server: self.server,
            request,
            call: CallHandle(Arc::clone(&state)),
        });
        Call(state)
    }
}

impl Future for Call {
    type Output = Result<Response, Unanswered>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0);
        if let Some(result) = state.result {
            return Poll::Ready(result);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.0).cancelled = true;
    }
}

impl CallHandle {
    pub(super) fn answer(&self, result: Result<Response, Unanswered>) {
        let mut state = lock(&self.0);
        state.result = Some(result);
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.0).cancelled
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated server did not answer")
    }
}

impl Error for Unanswered {}

/// A simulation has one thread, so the lock is never waited for.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
