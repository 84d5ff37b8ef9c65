use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use crate::{error::Elapsed, limiter::since, scope::Scope, timer::Timer};

/// A wait for the inner service's readiness that has a limit.
#[derive(Debug)]
pub(crate) struct Wait {
    began: Instant,
    limit: Duration,
    timer: Pin<Box<Timer>>,
    overdue: Option<Elapsed>,
}

impl Wait {
    pub(crate) fn new(limit: Duration) -> Self {
        let began = Instant::now();
        Self {
            began,
            limit,
            timer: Box::pin(Timer::new(began.checked_add(limit))),
            overdue: None,
        }
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether the limit passed. A service that is still not ready then says so when it is called.
    pub(crate) fn overdue(&self) -> Option<Elapsed> {
        self.overdue
    }

    /// Ready once the limit has passed; with the error the first time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Elapsed>> {
        if self.overdue.is_some() {
            return Poll::Ready(None);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.overdue = Some(Elapsed::new(
            self.limit,
            since(self.began),
            Scope::Readiness,
        ));
        Poll::Ready(self.overdue)
    }

    /// The service became ready after all.
    pub(crate) fn is_over(&mut self) {
        self.overdue = None;
    }
}
