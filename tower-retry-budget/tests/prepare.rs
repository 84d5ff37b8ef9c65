//! A hook that sees each attempt after the first before it is sent.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, ServiceExt};
use tower_retry_budget::{Kind, Next, RetryLayer, Verdict};
use tower_service::Service;
use tower_test::mock;

mod support;

use support::{
    Request, World, at_once,
    resends::{BOTH, BUSY, FINE, REFUSED, builder},
    tokens,
};

#[tokio::test(start_paused = true)]
async fn it_is_told_the_number_and_the_kind_of_each_attempt_after_the_first() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let layer = builder(&tokens(20), BOTH).attempts(3).resends(1).prepare(
        move |_: &mut Request, next: Next| {
            let Next { attempt, kind, .. } = next;
            hook.lock().unwrap().push((attempt, kind, next.resend));
        },
    );
    let layer = layer.build().unwrap();
    let world = World::answering([BUSY, REFUSED, REFUSED, FINE]);
    let result = layer.layer(world.probe()).oneshot(Request::default()).await;
    assert_eq!(result, Ok("fine"));
    let kind = Kind::Transient;
    let expected = [(2, kind, false), (2, kind, true), (3, kind, false)];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_it_changes_is_sent_with_that_attempt_only_and_hooks_follow_each_other() {
    let policy = |result: Result<&&'static str, &_>| match result {
        Ok(&"fine") => Verdict::Success,
        _ => Verdict::retry().kind(Kind::Throttled),
    };
    let layer = RetryLayer::builder(tokens(20))
        .backoff(at_once())
        .policy(policy)
        .prepare(|request: &mut String, next: Next| {
            request.push_str(&format!(" {}", next.attempt));
        })
        .prepare(|request: &mut String, next: Next| {
            request.push_str(&format!(" {:?}", next.kind));
        });
    let (service, mut handle) = mock::pair::<String, &str>();
    let service = layer.build().unwrap().layer(service);
    let mut response = task::spawn(service.oneshot("get".to_owned()));
    for expected in ["get", "get 2 Throttled", "get 3 Throttled"] {
        assert_pending!(response.poll());
        let (request, send) =
            assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
        assert_eq!(request, expected);
        let is_last = expected.contains('3');
        send.send_response(if is_last { "fine" } else { "busy" });
    }
    assert_eq!(assert_ready_ok!(response.poll()), "fine");
}

#[tokio::test(start_paused = true)]
async fn it_is_called_when_the_attempt_is_sent_and_not_before() {
    let told = Arc::new(Mutex::new(0));
    let hook = Arc::clone(&told);
    let layer = RetryLayer::builder(tokens(20))
        .backoff(at_once())
        .prepare(move |_: &mut (), _: Next| *hook.lock().unwrap() += 1);
    let (service, mut handle) = mock::pair::<(), &str>();
    let mut service = task::spawn(layer.build().unwrap().layer(service));
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, mut service| service.poll_ready(cx)));
    let mut response = task::spawn(service.call(()));
    assert_pending!(response.poll());
    let ((), send) = assert_ready!(task::spawn(pin!(handle.next_request())).poll()).unwrap();
    handle.allow(0);
    send.send_error("reset");
    assert_pending!(response.poll());
    advance(Duration::from_micros(251_003)).await;
    assert_pending!(response.poll());
    assert_eq!(*told.lock().unwrap(), 0, "the service is not ready yet");
    handle.allow(1);
    assert_pending!(response.poll());
    assert_eq!(*told.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_spends_nothing() {
    let budget = tokens(20);
    let layer = builder(&budget, BOTH).prepare(|_: &mut Request, _: Next| panic!("a broken hook"));
    let layer = layer.build().unwrap();
    let world = World::answering([BUSY]);
    let mut response = task::spawn(layer.layer(world.probe()).oneshot(Request::default()));
    let polled = catch_unwind(AssertUnwindSafe(|| response.poll().is_ready()));
    assert!(polled.is_err());
    drop(response);
    assert_eq!((world.calls().len(), world.reserved()), (1, 0));
    assert_eq!((budget.stats().balance, layer.stats().retries), (20.0, 0));
}
