//! The services that are measured, and how each is sent requests.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tower::Service;

use crate::Subject;

/// Always ready, answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Service<()> for Bare {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// What every table begins with.
pub fn bare() -> Subject<'static> {
    subject("bare service", Bare)
}

/// A service that answers at the first poll.
pub fn subject<'a, S>(name: &'static str, mut service: S) -> Subject<'a>
where
    S: Service<()> + 'a,
{
    Subject::new(name, move |requests| send(&mut service, requests))
}

/// Sends requests to a service that answers at the first poll.
///
/// # Panics
///
/// If it does not.
pub fn send<S: Service<()>>(service: &mut S, requests: u32) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..requests {
        let service = black_box(&mut *service);
        let is_ready = matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())));
        let response = pin!(service.call(())).poll(&mut cx);
        let answered = matches!(response, Poll::Ready(Ok(_)));
        assert!(is_ready & answered, "a service did not answer at once");
    }
}

/// Sends each request by a clone of its own, as tasks that share a service do.
#[derive(Clone, Debug)]
pub struct Cloned<S>(pub S);

impl<S: Service<()> + Clone> Service<()> for Cloned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: ()) -> S::Future {
        let clone = self.0.clone();
        std::mem::replace(&mut self.0, clone).call(request)
    }
}

/// Always ready, answers at the second poll.
#[derive(Clone, Copy, Debug)]
pub struct Later;

/// What it answers with.
#[derive(Debug)]
pub struct Answer {
    was_polled: bool,
}

impl Service<()> for Later {
    type Response = ();
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Answer {
        Answer { was_polled: false }
    }
}

impl Future for Answer {
    type Output = Result<(), Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::replace(&mut self.was_polled, true) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// A service that answers at the second poll.
///
/// # Panics
///
/// If it does not.
pub fn subject_later<'a, S: Service<()> + 'a>(name: &'static str, mut service: S) -> Subject<'a> {
    Subject::new(name, move |requests| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..requests {
            let service = black_box(&mut service);
            let is_ready = matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())));
            let mut response = pin!(service.call(()));
            let waits = response.as_mut().poll(&mut cx).is_pending();
            let answered = matches!(response.poll(&mut cx), Poll::Ready(Ok(_)));
            assert!(
                is_ready & waits & answered,
                "a service did not answer at the second poll"
            );
        }
    })
}
