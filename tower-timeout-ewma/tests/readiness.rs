//! Readiness belongs to the inner service: no timer touches it, and the instance that was polled
//! ready is the one that is called.

use std::{sync::atomic::Ordering, task::Poll, time::Duration};

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service};
use tower_test::mock;
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer,
    deadline::{Deadline, DeadlineLayer, Source},
};

mod support;
use support::{Probe, Reply, ms, odd_ms};

#[derive(Clone, Debug)]
struct In(Duration);

impl<Req> Source<Req> for In {
    fn deadline(&self, _: &Req, now: Instant) -> Option<Deadline> {
        Some(Deadline::at(now + self.0))
    }

    fn forward(&self, _: &mut Req, _: Deadline, _: Instant) {}
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_has_no_limit() {
    let layer = AdaptiveTimeoutLayer::fixed(ms(10));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);

    assert_pending!(service.poll_ready());
    advance(odd_ms(60_000)).await;
    assert_pending!(service.poll_ready());

    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_has_no_deadline() {
    let layer = DeadlineLayer::new(In(ms(10)));
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.allow(0);

    assert_pending!(service.poll_ready());
    advance(odd_ms(60_000)).await;
    assert_pending!(service.poll_ready());

    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_never_an_error_of_readiness() {
    let layer = AdaptiveTimeoutLayer::fixed(ms(10));
    let mut service = layer.layer(Probe::default());

    let mut response = task::spawn(ready_call(&mut service, Reply::Never));
    assert_pending!(response.poll());
    advance(odd_ms(11)).await;
    assert_ready_err!(response.poll());

    let mut response = task::spawn(ready_call(&mut service, Reply::Now));
    assert_ready_ok!(response.poll());
}

#[tokio::test]
async fn an_error_of_inner_readiness_passes_through() {
    let layer = AdaptiveTimeoutLayer::new();
    let (mut service, mut handle) = mock::spawn_layer::<(), (), _>(layer);
    handle.send_error("the inner service is closed");

    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "the inner service is closed");
}

#[tokio::test]
async fn the_instance_that_was_ready_is_called() {
    let counts = {
        let probe = Probe::default();
        let counts = probe.counts.clone();
        let mut service =
            DeadlineLayer::new(In(ms(10))).layer(AdaptiveTimeoutLayer::new().layer(probe));

        // The probe panics if another instance, or an unready one, is called.
        let mut response = task::spawn(ready_call(&mut service, Reply::Now));
        assert_ready_ok!(response.poll());
        // A clone has no readiness of its own.
        let mut clone = service.clone();
        let mut response = task::spawn(ready_call(&mut clone, Reply::Now));
        assert_ready_ok!(response.poll());
        counts
    };

    assert_eq!(counts.ready_polls.load(Ordering::SeqCst), 2);
    assert_eq!(counts.clones.load(Ordering::SeqCst), 1, "ours");
    assert_eq!(counts.calls(), 2);
}

fn ready_call<S: Service<Reply>>(service: &mut S, reply: Reply) -> S::Future {
    let ready = task::spawn(()).enter(|cx, _| service.poll_ready(cx).map_err(|_| ()));
    assert_eq!(ready, Poll::Ready(Ok(())));
    service.call(reply)
}
