//! Answers that are not there at once, as those of a network are not.

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use benches::Subject;
use tokio::time::{Instant, sleep_until};
use tower::Service;

use super::{
    Table,
    subjects::{OURS_HEDGE, TOWER_HEDGE, armed, hedge, tower_hedge},
};

pub(super) fn hedges() -> Table {
    Table::new("hedge, answer at the second poll", TOWER_HEDGE, || {
        vec![
            subject("bare service", Later),
            subject(OURS_HEDGE, armed(hedge(Later), send)),
            Subject::new(LEAST, least),
            subject(TOWER_HEDGE, tower_hedge(Later)),
        ]
    })
}

/// Always ready, answers at the second poll.
#[derive(Clone, Copy, Debug)]
struct Later;

struct Answer {
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

/// What a hedge cannot do without: the age of an attempt, and a timer that wakes its task should it be
/// slow.
fn least(requests: u32) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..requests {
        let begun = Instant::now();
        let mut timer = pin!(sleep_until(begun + DELAY));
        let waits = timer.as_mut().poll(&mut cx).is_pending();
        black_box(Instant::now().saturating_duration_since(begun));
        assert!(waits, "a timer does not fire before its time");
    }
}

fn subject<'a, S: Service<()> + 'a>(name: &'static str, mut service: S) -> Subject<'a> {
    Subject::new(name, move |requests| send(&mut service, requests))
}

fn send<S: Service<()>>(service: &mut S, requests: u32) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..requests {
        let service = black_box(&mut *service);
        let is_ready = matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(())));
        let mut response = pin!(service.call(()));
        let waits = response.as_mut().poll(&mut cx).is_pending();
        let answered = matches!(response.poll(&mut cx), Poll::Ready(Ok(_)));
        assert!(
            is_ready & waits & answered,
            "a service did not answer at the second poll"
        );
    }
}

const LEAST: &str = "two readings of the clock and a timer, no more";

/// Longer than what is measured.
const DELAY: Duration = Duration::from_secs(60);
