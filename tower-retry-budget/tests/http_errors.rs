//! What the causes of errors say.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{error::Error, fmt, future::ready, io, time::Duration};

use http::{Request, Response};
use tokio::time::Instant;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_retry_budget::{
    Budget, Kind, Policy, Refusal, RetryLayer, Verdict,
    http::{KnownErrors, NotRetried, StatusPolicy, is_refused_connection},
    throttle::{Admission, Throttle},
};

/// An error with a cause, as each layer of a client adds one.
#[derive(Debug)]
struct Because(BoxError);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request failed")
    }
}

impl Error for Because {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// The error itself, and all the ways in which it may be wrapped.
fn wrapped<E: Error + Send + Sync + 'static>(error: impl Fn() -> E) -> Vec<BoxError> {
    vec![
        error().into(),
        Because(error().into()).into(),
        Because(Because(error().into()).into()).into(),
        io::Error::other(error()).into(),
        io::Error::other(io::Error::other(error())).into(),
        Because(io::Error::other(Because(error().into())).into()).into(),
    ]
}

fn judge(error: &BoxError) -> Verdict {
    let rules = KnownErrors::new(StatusPolicy::new());
    Policy::<Request<()>, Response<()>, _>::classify(&rules, Err(error))
}

#[test]
fn a_refused_connection_is_found_wherever_it_is() {
    for error in wrapped(|| io::Error::from(io::ErrorKind::ConnectionRefused)) {
        assert!(is_refused_connection(error.as_ref()), "{error:?}");
        assert_eq!(judge(&error), Verdict::Unprocessed, "{error:?}");
    }
    for error in wrapped(|| io::Error::new(io::ErrorKind::ConnectionRefused, "by a proxy")) {
        assert_eq!(judge(&error), Verdict::Unprocessed, "{error:?}");
    }
}

#[test]
fn other_errors_say_nothing_of_the_kind() {
    for kind in [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::NotConnected,
    ] {
        for error in wrapped(|| io::Error::from(kind)) {
            assert!(!is_refused_connection(error.as_ref()), "{error:?}");
            assert_eq!(judge(&error), Verdict::retry(), "{error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_took_too_long_is_a_timeout() {
    let timeout = Verdict::retry().kind(Kind::Timeout);
    for error in wrapped(|| io::Error::from(io::ErrorKind::TimedOut)) {
        assert_eq!(judge(&error), timeout, "{error:?}");
    }
    let never = std::future::pending::<()>();
    let elapsed = tokio::time::timeout(Duration::from_millis(3), never).await;
    let error = Because(elapsed.unwrap_err().into()).into();
    assert_eq!(judge(&error), timeout);
    let hanging = service_fn(|()| std::future::pending::<Result<(), BoxError>>());
    let layer = RetryLayer::builder(Budget::new())
        .attempts(1)
        .per_try(Duration::from_millis(3))
        .build()
        .unwrap();
    let error = layer.layer(hanging).oneshot(()).await.unwrap_err();
    assert_eq!(judge(&Because(error).into()), timeout);
}

#[test]
fn what_a_throttle_held_back_says_nothing() {
    let throttle = Throttle::builder().min_per_second(0.0).build().unwrap();
    let held = std::iter::repeat_with(|| throttle.admit().map(Admission::refused))
        .find_map(Result::err)
        .unwrap();
    for error in wrapped(|| held.clone()) {
        assert_eq!(judge(&error), Verdict::Neutral, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_policy_holds() {
    struct Until(Instant);

    impl Policy<(), (), BoxError> for Until {
        fn deadline(&self, (): &()) -> Option<Instant> {
            Some(self.0)
        }

        fn classify(&self, _: Result<&(), &BoxError>) -> Verdict {
            Verdict::retry().after(Duration::from_secs(9))
        }
    }

    let deadline = Instant::now() + Duration::from_secs(3);
    let layer = RetryLayer::builder(Budget::new()).policy(KnownErrors::new(Until(deadline)));
    let layer = layer.build().unwrap();
    let service = layer.layer(service_fn(|()| ready(Ok(()))));
    service.oneshot(()).await.unwrap();
    assert_eq!((layer.stats().past_deadline, layer.stats().retries), (1, 0));
}

#[test]
fn all_else_is_as_the_policy_says() {
    let rules = KnownErrors::new(StatusPolicy::new());
    let get = Request::get("/").body(()).unwrap();
    let post = Request::post("/").body(()).unwrap();
    let retryable = Policy::<_, Response<()>, BoxError>::retryable;
    assert!(retryable(&rules, &get) && !retryable(&rules, &post));
    assert!(Policy::<_, Response<()>, BoxError>::resendable(
        &rules, &post
    ));
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
    let classify = Policy::<Request<()>, Response<()>, BoxError>::classify;
    assert_eq!(classify(&rules, Ok(&response)), Verdict::retry());
    let mut outcome = Ok(response);
    Policy::<Request<()>, _, BoxError>::gave_up(&rules, &mut outcome, Refusal::NotReady);
    let response = outcome.unwrap();
    let mark = response.extensions().get::<NotRetried>();
    assert_eq!(mark.map(|mark| mark.why()), Some(Refusal::NotReady));
}
