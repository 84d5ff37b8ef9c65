//! Expired work is not started, running work ends at the deadline.

use std::{io, time::Duration};

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_timeout_ewma::{
    deadline::{Deadline, DeadlineLayer, Deadlines, Source},
    error::Expired,
};

mod support;
use support::{Counts, Probe, Reply, ms, odd_ms};

#[derive(Clone, Copy, Debug)]
struct At(Option<Deadline>);

impl Source<Reply> for At {
    fn deadline(&self, _: &Reply, _: Instant) -> Option<Deadline> {
        self.0
    }

    fn forward(&self, request: &mut Reply, deadline: Deadline, now: Instant) {
        // So that the test sees that it was called, before the request was sent.
        if let Reply::FailNow = request {
            *request = Reply::After(deadline.remaining(now) - ms(1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn expired_work_is_refused_before_it_starts() {
    let deadline = Deadline::at(Instant::now());
    advance(odd_ms(5)).await;
    let (service, counts) = service(Some(deadline));

    let error = service.oneshot(Reply::Now).await.unwrap_err();
    let expired = error.downcast_ref::<Expired>().unwrap();
    assert!(expired.before_start());
    assert_eq!(expired.overdue(), odd_ms(5));
    assert_eq!(expired.limit(), Duration::ZERO);
    assert!(error.to_string().contains("it was not sent"));
    assert_eq!(counts.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_now_has_expired() {
    let (service, counts) = service(Some(Deadline::after(Duration::ZERO)));
    let error = service.oneshot(Reply::Now).await.unwrap_err();
    assert!(error.downcast_ref::<Expired>().unwrap().before_start());
    assert_eq!(counts.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_leaves_readiness_to_the_next() {
    let (mut service, counts) = service(Some(Deadline::after(ms(10))));
    advance(odd_ms(10)).await;
    let _ = service.ready().await.unwrap().call(Reply::Now).await;

    // The probe panics if it is called without being ready: it still is.
    let mut inner = service.into_inner();
    inner.call(Reply::Now).await.unwrap();
    assert_eq!(counts.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn running_work_ends_at_the_deadline_and_is_dropped() {
    let (mut service, counts) = service(Some(Deadline::after(ms(250))));
    advance(odd_ms(50)).await;
    let mut response = task::spawn(service.ready().await.unwrap().call(Reply::Never));

    assert_pending!(response.poll());
    assert_eq!(counts.in_flight(), 1);
    advance(ms(199)).await;
    assert_pending!(response.poll());
    advance(odd_ms(2)).await;
    assert!(response.is_woken());
    let error = assert_ready_err!(response.poll());
    assert_eq!(counts.in_flight(), 0, "although the response is still held");

    let expired = error.downcast_ref::<Expired>().unwrap();
    assert!(!expired.before_start());
    assert_eq!(expired.limit(), ms(250) - odd_ms(50));
    assert_eq!(expired.overdue(), ms(199) + odd_ms(2) - expired.limit());
    assert_pending!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_wins_over_a_deadline_that_has_passed() {
    let (mut service, _) = service(Some(Deadline::after(ms(10))));
    let call = service.ready().await.unwrap().call(Reply::After(ms(5)));
    let mut response = task::spawn(call);
    assert_pending!(response.poll());
    advance(odd_ms(20)).await;
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_ends() {
    let (mut service, _) = service(None);
    let call = service.ready().await.unwrap().call(Reply::Never);
    let mut response = task::spawn(call);
    assert_pending!(response.poll());
    advance(Duration::from_secs(3600 * 24)).await;
    assert_pending!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_written_into_the_request_before_it_is_sent() {
    let (service, _) = service(Some(Deadline::after(ms(250))));
    let start = Instant::now();
    // Turned by `forward` into one that answers just in time.
    service.oneshot(Reply::FailNow).await.unwrap();
    assert_eq!(Instant::now() - start, ms(249));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_passes_through() {
    for deadline in [None, Some(Deadline::after(ms(250)))] {
        let (service, _) = service(deadline);
        let error = service.oneshot(Reply::FailAfter(ms(3))).await.unwrap_err();
        assert!(error.is::<io::Error>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_is_dropped() {
    let (mut service, counts) = service(Some(Deadline::after(ms(250))));
    let call = service.ready().await.unwrap().call(Reply::Never);
    let mut response = task::spawn(call);
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(counts.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_is_harmless() {
    let now = Instant::now();
    let deadline = Deadline::at(now + ms(10));
    assert_eq!(deadline.remaining(now), ms(10));
    assert_eq!(deadline.remaining(now + ms(11)), Duration::ZERO);
    advance(ms(20)).await;
    assert_eq!(deadline.remaining(Instant::now()), Duration::ZERO);
    assert_eq!(deadline.remaining(now), ms(10));
}

#[tokio::test(start_paused = true)]
async fn the_furthest_deadline_is_far_away() {
    let now = Instant::now();
    let deadline = Deadline::after(Duration::MAX);
    assert!(deadline.remaining(now) > Duration::from_secs(3600 * 24 * 365 * 50));
    let (service, _) = service(Some(deadline));
    service.oneshot(Reply::After(ms(7))).await.unwrap();
    assert!(Deadline::at(now) < deadline);
}

fn service(deadline: Option<Deadline>) -> (Deadlines<Probe, At>, std::sync::Arc<Counts>) {
    let probe = Probe::default();
    let counts = probe.counts.clone();
    (DeadlineLayer::new(At(deadline)).layer(probe), counts)
}
