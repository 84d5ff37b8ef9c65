//! A limit for each attempt: [`Builder::per_try`](crate::Builder::per_try).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use crate::{
    error::{BoxError, InvalidSetting, TryElapsed},
    kind::Kind,
    policy::{Policy, Refusal, Verdict},
};

/// Attempts have no limit of their own, and errors are those of the service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Untimed;

/// Each attempt has a limit, and errors are boxed so that [`TryElapsed`] can be among them.
#[derive(Clone, Copy, Debug)]
pub struct PerTry {
    limit: Duration,
}

impl PerTry {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit }
    }

    /// Puts the limit on a service.
    pub(crate) fn over<S>(self, inner: S) -> Timed<S> {
        Timed {
            inner,
            limit: self.limit,
        }
    }
}

/// [`Untimed`] or [`PerTry`].
pub trait Tries: sealed::Sealed {}

impl Tries for Untimed {}

impl Tries for PerTry {}

pub(crate) mod sealed {
    use crate::error::InvalidSetting;

    pub trait Sealed {
        fn check(&self) -> Result<(), InvalidSetting>;
    }
}

impl sealed::Sealed for Untimed {
    fn check(&self) -> Result<(), InvalidSetting> {
        Ok(())
    }
}

impl sealed::Sealed for PerTry {
    fn check(&self) -> Result<(), InvalidSetting> {
        if self.limit.is_zero() || self.limit > LONGEST {
            let value = format_args!("{:?}", self.limit);
            return Err(InvalidSetting::new(
                "per_try",
                value,
                "above 0 and at most 24 hours",
            ));
        }
        Ok(())
    }
}

/// A service whose responses must come within a limit.
///
/// It runs from the first poll of the response; readiness has
/// [a bound of its own](crate::Builder::ready_timeout).
#[derive(Clone, Debug)]
pub struct Timed<S> {
    inner: S,
    limit: Duration,
}

impl<S> Timed<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req> Service<Req> for Timed<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = TimedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        TimedFuture {
            inner: Some(self.inner.call(request)),
            timer: None,
            limit: self.limit,
        }
    }
}

pin_project! {
    /// The response of a [`Timed`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt.
    #[must_use = "futures do nothing unless polled"]
    pub struct TimedFuture<F> {
        // Gone when the limit has passed: an attempt is cancelled at once, not when its outcome
        // has been dealt with.
        #[pin]
        inner: Option<F>,
        // There is none for an attempt that has its response at the first poll.
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
    }
}

impl<F, Res, Err> Future for TimedFuture<F>
where
    F: Future<Output = Result<Res, Err>>,
    Err: Into<BoxError>,
{
    type Output = Result<Res, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            // Polled again after the end.
            return Poll::Pending;
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            this.inner.set(None);
            return Poll::Ready(result.map_err(Into::into));
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.poll(cx));
        }
        this.inner.set(None);
        Poll::Ready(Err(TryElapsed::new(*this.limit).into()))
    }
}

impl<F> fmt::Debug for TimedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedFuture")
            .field("limit", &self.limit)
            .field("ended", &self.inner.is_none())
            .finish_non_exhaustive()
    }
}

/// A policy by which a retry of what took too long costs what a [`Kind::Timeout`] costs.
///
/// Where the inner policy retries a [`TryElapsed`] as [`Kind::Transient`], the kind it has if
/// nobody says otherwise, it becomes a [`Kind::Timeout`]. Everything else is as the policy says.
#[derive(Clone, Copy, Debug)]
pub struct TimedPolicy<P> {
    inner: P,
}

impl<P> TimedPolicy<P> {
    pub(crate) fn new(inner: P) -> Self {
        Self { inner }
    }
}

impl<P, Req, Res> Policy<Req, Res, BoxError> for TimedPolicy<P>
where
    P: Policy<Req, Res, BoxError>,
{
    fn retryable(&self, request: &Req) -> bool {
        self.inner.retryable(request)
    }

    fn resendable(&self, request: &Req) -> bool {
        self.inner.resendable(request)
    }

    fn deadline(&self, request: &Req) -> Option<Instant> {
        self.inner.deadline(request)
    }

    fn classify(&self, result: Result<&Res, &BoxError>) -> Verdict {
        match self.inner.classify(result) {
            Verdict::Retry(again)
                if again.kind == Kind::Transient
                    && result.is_err_and(|error| error.is::<TryElapsed>()) =>
            {
                Verdict::Retry(again).kind(Kind::Timeout)
            }
            verdict => verdict,
        }
    }

    fn gave_up(&self, outcome: &mut Result<Res, BoxError>, why: Refusal) {
        self.inner.gave_up(outcome, why);
    }
}

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
