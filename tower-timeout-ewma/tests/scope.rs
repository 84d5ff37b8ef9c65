//! What is limited, and from when on.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_test::mock;
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, Scope, Sent, error::Elapsed};

mod support;
use support::{ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_ends_in_an_error_of_the_response() {
    let layer = Builder::default().readiness(ms(50)).build_fixed(ms(10));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);

    for _ in 0..2 {
        assert_pending!(service.poll_ready());
        advance(odd_ms(40)).await;
        assert_pending!(service.poll_ready());
        advance(odd_ms(11)).await;
        assert!(service.is_woken());
        assert_ready_ok!(service.poll_ready());
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(()));
        let error = assert_ready_err!(response.poll());
        let elapsed = elapsed(&error);
        assert_eq!(
            (elapsed.limit(), elapsed.scope()),
            (ms(50), Scope::Readiness)
        );
        assert_eq!(elapsed.elapsed(), odd_ms(40) + odd_ms(11));
        assert!(error.to_string().contains("the request was not sent"));
        assert_pending!(response.poll());
    }

    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(());
    assert_ready_ok!(
        task::spawn(handle.next_request())
            .poll()
            .map(|request| request.ok_or(()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_after_all_is_called() {
    let layer = Builder::default().readiness(ms(50)).build_fixed(ms(10));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(odd_ms(60)).await;
    assert_ready_ok!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(());
    assert_ready_ok!(
        task::spawn(handle.next_request())
            .poll()
            .map(|request| request.ok_or(()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_clone_waits_anew() {
    let layer = Builder::default().readiness(ms(50)).build_fixed(ms(10));
    let (service, mut handle) = mock::pair::<(), ()>();
    handle.allow(0);
    let service = layer.layer(service);
    let mut first = task::spawn(service.clone().oneshot(()));
    assert_pending!(first.poll());
    advance(odd_ms(40)).await;
    let mut second = task::spawn(service.oneshot(()));
    assert_pending!(second.poll());
    advance(odd_ms(11)).await;
    assert_ready_err!(first.poll());
    assert_pending!(second.poll());
    advance(odd_ms(40)).await;
    assert_ready_err!(second.poll());
}

#[tokio::test(start_paused = true)]
async fn readiness_that_comes_in_time_takes_nothing_off_the_limit() {
    let layer = Builder::default().readiness(ms(50)).build_fixed(ms(10));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(odd_ms(40)).await;
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    advance(odd_ms(40)).await;
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    advance(ms(9)).await;
    assert_pending!(response.poll());
    advance(odd_ms(2)).await;
    let error = assert_ready_err!(response.poll());
    assert_eq!(elapsed(&error).scope(), Scope::Response);
}

#[tokio::test(start_paused = true)]
async fn one_limit_can_hold_for_readiness_and_response_together() {
    let layer = Builder::default().from_readiness().build_fixed(ms(100));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(odd_ms(60)).await;
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    advance(ms(39)).await;
    assert_pending!(response.poll());
    advance(odd_ms(2)).await;
    let error = assert_ready_err!(response.poll());
    assert_eq!(elapsed(&error).scope(), Scope::Response);
    assert_eq!(elapsed(&error).elapsed(), odd_ms(60) + ms(39) + odd_ms(2));

    // The next wait is another one, and has the same limit.
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(odd_ms(101)).await;
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call(())).poll());
    assert_eq!(elapsed(&error).scope(), Scope::Readiness);
}

#[tokio::test(start_paused = true)]
async fn what_is_learnt_from_readiness_on_contains_it() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .from_readiness()
        .min_samples(1)
        .build()
        .unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer.clone());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(ms(60)).await;
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    advance(ms(40)).await;
    handle.next_request().await.unwrap().1.send_response(());
    assert_ready_ok!(response.poll());
    assert_eq!(typical(&layer.stats()), ms(100));

    // A wait that is too long is a timeout as any other.
    handle.allow(0);
    assert_pending!(service.poll_ready());
    advance(layer.limit() + odd_ms(1)).await;
    assert_ready_ok!(service.poll_ready());
    assert_ready_err!(task::spawn(service.call(())).poll());
    assert_eq!(layer.stats().timeouts, 1);
}

/// A request as a queue would get it: how long it waits there, and who is told when that is over.
struct Queued {
    waits: Duration,
    answered_after: Duration,
    sent: Option<Sent>,
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_has_no_limit_and_teaches_nothing() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .from_sent(|request: &mut Queued, sent: Sent| request.sent = Some(sent))
        .min_samples(1)
        .initial(ms(100))
        .build()
        .unwrap();
    let service = layer.layer(service_fn(queue));
    let request = |waits, answered_after| Queued {
        waits,
        answered_after,
        sent: None,
    };

    for waits in [ms(0), ms(99), ms(101), ms(1234), ms(60_000)] {
        service
            .clone()
            .oneshot(request(waits, ms(20)))
            .await
            .unwrap();
        assert_eq!(typical(&layer.stats()), ms(20), "{waits:?}");
        assert_eq!(layer.stats().timeouts, 0);
    }

    for waits in [ms(0), ms(40), ms(1234)] {
        let limit = layer.limit();
        let error = service
            .clone()
            .oneshot(request(waits, ms(5000)))
            .await
            .unwrap_err();
        let elapsed = elapsed(&error);
        assert_eq!(elapsed.limit(), limit);
        assert!(elapsed.elapsed() >= limit, "{elapsed:?}");
        assert!(elapsed.elapsed() <= limit + ms(2), "{elapsed:?}");
    }
    assert_eq!(layer.stats().timeouts, 3);

    // Given up in the queue: the service is not to blame.
    let before = layer.stats();
    let given_up = tokio::time::timeout(ms(500), service.oneshot(request(ms(5000), ms(1))));
    given_up.await.unwrap_err();
    assert_eq!(layer.stats(), before);
}

async fn queue(request: Queued) -> io::Result<()> {
    sleep(request.waits).await;
    request.sent.unwrap().mark();
    sleep(request.answered_after).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_sending_is_no_sample_nor_is_one_to_what_was_sent_twice() {
    let layer = AdaptiveTimeoutLayer::builder()
        .deviations(4.0)
        .min_samples(1)
        .from_sent(|times: &mut (u32, Option<Sent>), sent: Sent| times.1 = Some(sent))
        .build()
        .unwrap();
    let service = layer.layer(service_fn(async |(times, sent): (u32, Option<Sent>)| {
        for _ in 0..times {
            sent.as_ref().unwrap().mark();
            sleep(ms(20)).await;
        }
        Ok::<_, io::Error>(())
    }));
    for (times, samples) in [(0, 0), (1, 1), (2, 1), (3, 1), (1, 2)] {
        service.clone().oneshot((times, None)).await.unwrap();
        assert_eq!(layer.stats().samples, samples, "sent {times} times");
    }
    assert_eq!(typical(&layer.stats()), ms(20));
}

#[tokio::test(start_paused = true)]
async fn another_task_may_send_it_and_nobody_polls_the_request() {
    let carried: Arc<Mutex<Option<Sent>>> = Arc::default();
    let layer = Builder::default()
        .from_sent({
            let carried = Arc::clone(&carried);
            move |(): &mut (), sent: Sent| *carried.lock().unwrap() = Some(sent)
        })
        .build_fixed(ms(100));
    let mut service = layer.layer(service_fn(|()| std::future::pending::<io::Result<()>>()));
    let mut response = task::spawn(service.ready().await.unwrap().call(()));
    assert_pending!(response.poll());
    advance(odd_ms(250)).await;
    carried.lock().unwrap().take().unwrap().mark();
    // Polled when its timer wakes it only.
    let mut waited = Duration::ZERO;
    let error = loop {
        advance(ms(1)).await;
        waited += ms(1);
        if response.is_woken()
            && let std::task::Poll::Ready(result) = response.poll()
        {
            break result.unwrap_err();
        }
        assert!(waited < ms(300), "it never ends");
    };
    assert!((ms(100)..=ms(102)).contains(&waited), "{waited:?}");
    assert_eq!(elapsed(&error).limit(), ms(100));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_from_sent_ends_what_was_sent() {
    let layer = Builder::default()
        .from_sent(|request: &mut Queued, sent: Sent| request.sent = Some(sent))
        .build_fixed(Duration::ZERO);
    let request = Queued {
        waits: ms(20),
        answered_after: ms(20),
        sent: None,
    };
    let error = layer
        .layer(service_fn(queue))
        .oneshot(request)
        .await
        .unwrap_err();
    assert!(elapsed(&error).elapsed() <= ms(2));
}

fn elapsed(error: &BoxError) -> Elapsed {
    *error.downcast_ref::<Elapsed>().unwrap()
}
