//! Answers that are not there at once, as those of a network are not.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use benches::{Subject, measure, table};
use tower::Service;

use super::subjects::{OURS_HEDGE, TOWER_HEDGE, hedge, tower_hedge};

pub(super) fn hedges() -> String {
    let measured = measure(vec![
        subject("bare service", Later),
        subject(OURS_HEDGE, hedge(Later)),
        subject(TOWER_HEDGE, tower_hedge(Later)),
    ]);
    table("hedge, answer at the second poll", &measured, TOWER_HEDGE)
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

fn subject<'a, S: Service<()> + 'a>(name: &'static str, mut service: S) -> Subject<'a> {
    Subject::new(name, move |requests| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..requests {
            let service = std::hint::black_box(&mut service);
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
