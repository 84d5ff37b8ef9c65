use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::time::{Sleep, sleep};

/// A client's `Expect: 100-continue`: it sends its body when the endpoint has asked for it.
#[derive(Clone, Debug, Default)]
pub struct Expectation(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_met: AtomicBool,
    is_refused: AtomicBool,
    waker: AtomicWaker,
}

/// A body that waits until it is asked for, or has waited for long enough.
#[derive(Debug)]
pub(super) struct Held {
    expectation: Expectation,
    patience: Pin<Box<Sleep>>,
}

impl Expectation {
    /// The endpoint wants the body.
    pub fn meet(&self) {
        self.0.is_met.store(true, Relaxed);
        self.0.waker.wake();
    }

    /// The endpoint does not want the body: it must not get it any more.
    pub fn refuse(&self) {
        self.0.is_refused.store(true, Relaxed);
    }

    /// Whether the body was asked for.
    pub fn is_met(&self) -> bool {
        self.0.is_met.load(Relaxed)
    }

    fn poll_met(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        match self.is_met() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Held {
    pub(super) fn new(expectation: Expectation) -> Self {
        Self {
            expectation,
            patience: Box::pin(sleep(PATIENCE)),
        }
    }

    pub(super) fn poll_let_go(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expectation.poll_met(cx).is_pending() {
            if self.expectation.0.is_refused.load(Relaxed) {
                return Poll::Pending;
            }
            ready!(self.patience.as_mut().poll(cx));
            self.expectation.meet();
        }
        Poll::Ready(())
    }
}

/// Endpoints that know nothing of expectations never ask (RFC 9110, section 10.1.1).
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_is_held_until_the_endpoint_asks() {
        let expectation = Expectation::default();
        let mut held = task::spawn(Held::new(expectation.clone()));
        assert_pending!(held.enter(|cx, mut held| held.poll_let_go(cx)));
        expectation.meet();
        assert!(held.is_woken());
        assert_ready!(held.enter(|cx, mut held| held.poll_let_go(cx)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_held_for_a_second_at_the_most() {
        let mut held = task::spawn(Held::new(Expectation::default()));
        assert_pending!(held.enter(|cx, mut held| held.poll_let_go(cx)));
        tokio::time::advance(Duration::from_millis(997)).await;
        assert_pending!(held.enter(|cx, mut held| held.poll_let_go(cx)));
        tokio::time::advance(Duration::from_millis(5)).await;
        assert!(held.is_woken());
        assert_ready!(held.enter(|cx, mut held| held.poll_let_go(cx)));
    }
}
