//! What the ages of requests in flight teach, by what is limited.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{future::Future, io, time::Duration};

use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{AdaptiveTimeoutLayer, Builder, Sent};

mod support;
use support::{Probe, Reply, ms, odd_ms, typical};

#[tokio::test(start_paused = true)]
async fn failures_are_in_flight_no_more() {
    let layer = builder().build().unwrap();
    let service = layer.layer(Probe::default());
    let send = |reply| service.clone().oneshot(reply);
    every_5_ms(400, |request| send(Reply::After(usual(request)))).await;
    let before = layer.stats();
    every_5_ms(400, |request| {
        send(match request % 5 {
            0 => Reply::After(usual(request)),
            _ => Reply::FailAfter(usual(request)),
        })
    })
    .await;
    let (before, after) = (typical(&before), typical(&layer.stats()));
    assert!(after < before * 11 / 10, "{before:?} {after:?}");
}

/// A request as a queue would get it.
struct Queued {
    waits: Duration,
    answered_after: Duration,
    sent: Option<Sent>,
}

/// The wait in a queue does not make the service look slower.
#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_is_not_in_flight() {
    let layer = builder()
        .from_sent(|request: &mut Queued, sent: Sent| request.sent = Some(sent))
        .build()
        .unwrap();
    let service = layer.layer(service_fn(queue));
    let send = |waits, answered_after| {
        service.clone().oneshot(Queued {
            waits,
            answered_after,
            sent: None,
        })
    };
    every_5_ms(400, |request| send(ms(0), usual(request))).await;
    let before = layer.stats();
    for _ in 0..20 {
        // A few are sent at once: it is no outage.
        every_5_ms(20, |request| {
            let waits = if request % 5 == 0 { ms(0) } else { ms(1500) };
            send(waits, usual(request))
        })
        .await;
        let (before, after) = (typical(&before), typical(&layer.stats()));
        assert!(after < before * 11 / 10, "{before:?} {after:?}");
    }
    let after = layer.stats();
    // Also of those that waited.
    assert!(after.samples > before.samples + 80, "{after:?}");
    assert_eq!(after.timeouts, 0);
}

/// It may have been polled while it was in the queue.
#[tokio::test(start_paused = true)]
async fn what_was_sent_late_is_in_flight_from_then_on() {
    let layer = builder()
        .from_sent(|request: &mut Queued, sent: Sent| request.sent = Some(sent))
        .build()
        .unwrap();
    let service = layer.layer(service_fn(queue));
    let send = |answered_after| {
        service.clone().oneshot(Queued {
            waits: ms(7),
            answered_after,
            sent: None,
        })
    };
    every_5_ms(400, |request| send(usual(request))).await;
    let before = layer.stats();
    every_5_ms(60, |request| {
        send(if request % 5 == 0 { ms(100) } else { ms(900) })
    })
    .await;
    let after = layer.stats();
    assert_eq!(after.timeouts, 0);
    let (before, after) = (typical(&before), typical(&after));
    assert!(after > before * 13 / 10, "{before:?} {after:?}");
}

/// Such a future says nothing of what was in flight when it was called.
#[tokio::test(start_paused = true)]
async fn what_is_first_polled_late_is_not_in_flight() {
    let layer = builder().build().unwrap();
    let service = layer.layer(Probe::default());
    let send = |request| service.clone().oneshot(Reply::After(usual(request)));
    every_5_ms(400, send).await;
    let before = typical(&layer.stats());
    // As many as would tell of a slower service, were they polled at once.
    every_5_ms(60, |request| {
        let mut service = service.clone();
        async move {
            let slow = if request % 5 == 0 { ms(100) } else { ms(900) };
            let call = service.ready().await?.call(Reply::After(slow));
            sleep(ms(20)).await;
            call.await
        }
    })
    .await;
    let after = typical(&layer.stats());
    assert!(after < before * 13 / 10, "{before:?} {after:?}");
}

async fn queue(request: Queued) -> io::Result<()> {
    if !request.waits.is_zero() {
        sleep(request.waits).await;
    }
    request.sent.unwrap().mark();
    sleep(request.answered_after).await;
    Ok(())
}

#[cfg(feature = "http")]
mod bodies {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use http::{Request, Response};
    use http_body::{Body, Frame};
    use http_body_util::BodyExt;
    use tokio::time::Sleep;
    use tower_timeout_ewma::{
        EveryAnswer,
        http::{BodyIdle, WholeBody},
        scope::Cover,
    };

    use super::*;

    /// Ends after a time.
    struct Slow(Pin<Box<Sleep>>);

    impl Body for Slow {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            ready!(self.0.as_mut().poll(cx));
            Poll::Ready(None)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_are_waited_for_tell_of_a_slower_service() {
        is_seen(WholeBody).await;
        is_seen(BodyIdle).await;
    }

    async fn is_seen<U, B>(scope: U)
    where
        U: Cover<Response<Slow>, EveryAnswer, Output = Response<B>> + Clone + Send + 'static,
        B: Body<Data: Send> + Send + Unpin + 'static,
        B::Error: Send,
    {
        let layer = builder().scope(scope).build().unwrap();
        let service = layer.layer(service_fn(async |latency: Request<Duration>| {
            let body = Slow(Box::pin(sleep(latency.into_body())));
            Ok::<_, Infallible>(Response::new(body))
        }));
        let send = |latency| {
            let response = service.clone().oneshot(Request::new(latency));
            async move {
                let body = response.await.ok().unwrap().into_body();
                body.collect().await.map(|_| ())
            }
        };
        every_5_ms(400, |request| send(usual(request))).await;
        let before = layer.stats();
        // A few are answered: it is no outage.
        every_5_ms(60, |request| {
            send(if request % 5 == 0 { ms(100) } else { ms(900) })
        })
        .await;
        let after = layer.stats();
        assert_eq!(after.timeouts, 0);
        let (before, after) = (typical(&before), typical(&after));
        assert!(after > before * 13 / 10, "{before:?} {after:?}");
    }
}

fn builder() -> Builder {
    AdaptiveTimeoutLayer::builder()
        .initial(Duration::from_secs(5))
        .min(Duration::from_secs(1))
}

fn usual(request: u64) -> Duration {
    ms(60 + request % 40)
}

async fn every_5_ms<F>(requests: u64, send: impl Fn(u64) -> F)
where
    F: Future<Output: Send> + Send + 'static,
{
    for request in 0..requests {
        tokio::spawn(send(request));
        advance(odd_ms(5)).await;
    }
}
