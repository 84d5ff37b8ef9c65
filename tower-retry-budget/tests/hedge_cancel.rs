//! A dropped response future releases what it holds, and what it has seen is not lost.

use std::{task::Poll, time::Duration};

use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, task};
use tower::{Service, ServiceExt};
use tower_retry_budget::hedge::Hedge;

#[path = "support/backend.rs"]
mod backend;

use backend::{Backend, ByText, Instance, MS, Outcome, layer, learnt, send, tokens};

const NEVER: Duration = Duration::from_secs(3600);

async fn started(
    service: &mut Hedge<Instance, ByText>,
) -> task::Spawn<impl Future<Output = Outcome> + use<>> {
    let ready = ServiceExt::<()>::ready(service).await.expect("ready");
    let mut response = task::spawn(ready.call(()));
    assert_pending!(response.poll());
    response
}

#[tokio::test(start_paused = true)]
async fn in_each_state_nothing_is_held_and_only_what_was_sent_is_paid() {
    for (age, is_ready, in_flight, balance) in [
        (5 * MS, true, 1, 5.0),
        (13 * MS, false, 1, 5.0),
        (13 * MS, true, 2, 4.0),
    ] {
        let (budget, backend) = (tokens(5), Backend::default());
        let mut service = learnt(&layer(&budget), &backend).await;
        backend.will_answer([(NEVER, Ok("")), (NEVER, Ok(""))]);
        if !is_ready {
            backend.will_be([Poll::Ready(Ok(""))]);
            backend.will_be((0..1000).map(|_| Poll::Pending));
        }
        let mut response = started(&mut service).await;
        advance(age).await;
        assert_pending!(response.poll());
        assert_eq!(backend.in_flight(), in_flight);
        drop(response);
        assert_eq!((backend.in_flight(), backend.reserved()), (0, 0));
        assert_eq!(budget.stats().balance, balance);
        assert_eq!(budget.stats().refunded, 0);
        assert_eq!(budget.stats().deposited, 0);
    }
}

/// Of a hundred requests, 94 take 10 ms, three 50 ms, and three hang until the caller gives up.
#[tokio::test(start_paused = true)]
async fn what_a_caller_gives_up_on_late_counts_as_slow() {
    let backend = Backend::default();
    let layer = layer(&tokens(1));
    let mut service = learnt(&layer, &backend).await;
    for number in 0..1500 {
        backend.usually_takes(match number * 37 % 100 {
            0..3 => NEVER,
            3..6 => 50 * MS,
            _ => 10 * MS,
        });
        let _ = timeout(100 * MS, send(&mut service)).await;
    }
    let delay = layer.stats().delay.expect("known");
    assert!((50 * MS..=53 * MS).contains(&delay), "{delay:?}");
}

/// How long an answer would have taken, nobody knows.
#[tokio::test(start_paused = true)]
async fn what_a_caller_gives_up_on_early_says_nothing() {
    let backend = Backend::default();
    let layer = layer(&tokens(1));
    let mut service = learnt(&layer, &backend).await;
    for _ in 0..1000 {
        let _ = timeout(5 * MS, send(&mut service)).await;
    }
    let delay = layer.stats().delay.expect("known");
    assert!((10 * MS..=12 * MS).contains(&delay), "{delay:?}");
}
