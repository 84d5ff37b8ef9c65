//! Answers in the place of timeouts.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{io, time::Duration};

use tower::{ServiceBuilder, ServiceExt};
use tower_timeout_ewma::{
    AdaptiveTimeoutLayer, BoxError, Scope,
    deadline::{Deadline, DeadlineLayer, Source},
    respond::{RespondLayer, TimedOut},
};

mod support;
use support::{Probe, Reply, ms};

#[derive(Clone)]
struct In(Duration);

impl Source<Reply> for In {
    fn deadline(&self, _: &Reply, now: tokio::time::Instant) -> Option<Deadline> {
        Some(Deadline::at(now + self.0))
    }

    fn forward(&self, _: &mut Reply, _: Deadline, _: tokio::time::Instant) {}
}

fn say(why: TimedOut) -> &'static str {
    match why {
        TimedOut::Elapsed(elapsed) if elapsed.scope() == Scope::Response => "elapsed",
        TimedOut::Expired(expired) if expired.before_start() => "refused",
        TimedOut::Expired(_) => "expired",
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_timed_out_is_answered_and_nothing_else() {
    for (limit, deadline, reply, expected) in [
        (10, 20, Reply::Now, Ok("answer")),
        (10, 20, Reply::Never, Ok("elapsed")),
        (20, 10, Reply::Never, Ok("expired")),
        (20, 0, Reply::Now, Ok("refused")),
        (10, 20, Reply::FailNow, Err(io::ErrorKind::ConnectionReset)),
    ] {
        let service = ServiceBuilder::new()
            .layer(RespondLayer::new(say))
            .layer(DeadlineLayer::new(In(ms(deadline))))
            .layer(AdaptiveTimeoutLayer::fixed(ms(limit)))
            .service(Probe::default());
        let answer = service.oneshot(reply).await;
        let answer = answer.map_err(|error| error.downcast_ref::<io::Error>().unwrap().kind());
        assert_eq!(answer, expected, "{limit} {deadline} {reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_within_another_error_is_found() {
    let service = ServiceBuilder::new()
        .layer(RespondLayer::new(say))
        .map_err(|error: BoxError| -> BoxError { Wrapped(error).into() })
        .layer(AdaptiveTimeoutLayer::fixed(ms(10)))
        .service(Probe::default());
    assert_eq!(service.oneshot(Reply::Never).await.unwrap(), "elapsed");
}

#[derive(Debug)]
struct Wrapped(BoxError);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it failed")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn http_and_grpc_clients_are_told_in_their_own_way() {
    use http::{Request, Response, header::CONTENT_TYPE};
    use http_body::Body;
    use http_body_util::Empty;
    use tower::Layer;
    use tower_timeout_ewma::{Builder, http::GatewayTimeout};

    for (content_type, ready, status, grpc_status) in [
        (None, true, 504, None),
        (None, false, 503, None),
        (Some("application/json"), true, 504, None),
        (Some("application/grpc-web+proto"), true, 504, None),
        (Some("application/grpc"), true, 200, Some("4")),
        (Some("application/grpc+proto"), true, 200, Some("4")),
        (Some("application/grpc;x=y"), false, 200, Some("14")),
    ] {
        let (service, mut handle) =
            tower_test::mock::pair::<Request<()>, Response<Empty<&'static [u8]>>>();
        handle.allow(u64::from(ready));
        let timeout = Builder::default().readiness(ms(10)).build_fixed(ms(10));
        let service = RespondLayer::new(GatewayTimeout).layer(timeout.layer(service));
        let mut request = Request::builder();
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{content_type:?}");
        let told = response.headers().get("grpc-status");
        assert_eq!(
            told.map(|told| told.to_str().unwrap()),
            grpc_status,
            "{content_type:?}"
        );
        assert_eq!(
            response.headers().contains_key(CONTENT_TYPE),
            grpc_status.is_some()
        );
        assert!(response.body().is_end_stream(), "only trailers");
    }
}
