//! Deadlines in the headers and the extensions of HTTP requests.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, HeaderValue, Request};
use proptest::prelude::*;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    BoxError,
    deadline::{Deadline, DeadlineLayer, Source, http::HttpDeadline},
    error::Expired,
    grpc_timeout::GrpcTimeout,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[tokio::test(start_paused = true)]
async fn the_earliest_of_extension_header_and_local_limit_counts() {
    let now = Instant::now();
    for (extension, header, local, expected) in [
        (Some(30), Some("20m"), Some(10), Some(10)),
        (Some(30), Some("10m"), Some(20), Some(10)),
        (Some(10), Some("30m"), Some(20), Some(10)),
        (None, Some("20m"), Some(10), Some(10)),
        (None, Some("10m"), Some(20), Some(10)),
        (Some(10), None, Some(20), Some(10)),
        (Some(10), None, None, Some(10)),
        (None, Some("10m"), None, Some(10)),
        (None, None, Some(10), Some(10)),
        (None, None, None, None),
        (None, Some("0n"), Some(10), Some(0)),
    ] {
        let mut request = request(header.as_slice());
        if let Some(extension) = extension {
            request
                .extensions_mut()
                .insert(Deadline::at(now + MS(extension)));
        }
        let mut source = HttpDeadline::new();
        if let Some(local) = local {
            source = source.local(MS(local));
        }
        assert_eq!(
            source.deadline(&request, now),
            expected.map(|expected| Deadline::at(now + MS(expected))),
            "{extension:?} {header:?} {local:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_header_is_ignored_and_replaced() {
    let now = Instant::now();
    let source = HttpDeadline::new().local(MS(700));
    for malformed in ["", "soon", "123456789m", "\u{b5}"] {
        let mut request = request(&[malformed]);
        let deadline = source.deadline(&request, now).unwrap();
        assert_eq!(deadline, Deadline::at(now + MS(700)));
        source.forward(&mut request, deadline, now);
        assert_eq!(timeouts(request.headers()), ["700000u"]);

        assert_eq!(
            HttpDeadline::new().deadline(&request_with(malformed), now),
            None
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_headers_the_shortest_counts_and_one_is_forwarded() {
    let now = Instant::now();
    let source = HttpDeadline::new();
    let mut request = request(&["30m", "nonsense", "10m", "20m"]);
    let deadline = source.deadline(&request, now).unwrap();
    assert_eq!(deadline, Deadline::at(now + MS(10)));
    source.forward(&mut request, deadline, now);
    assert_eq!(timeouts(request.headers()), ["10000000n"]);
}

#[tokio::test(start_paused = true)]
async fn an_incoming_header_can_be_ignored() {
    let now = Instant::now();
    let source = HttpDeadline::new().local(MS(700)).ignore_incoming();
    let mut request = request(&["1n"]);
    let deadline = source.deadline(&request, now).unwrap();
    assert_eq!(deadline, Deadline::at(now + MS(700)));
    source.forward(&mut request, deadline, now);
    assert_eq!(timeouts(request.headers()), ["700000u"]);

    // Forwarding has put it into the extensions: only this process can do that.
    let later = now + MS(100);
    assert_eq!(source.deadline(&request, later), Some(deadline));
}

#[tokio::test(start_paused = true)]
async fn the_header_is_added_for_grpc_only() {
    let now = Instant::now();
    for (content_type, expected) in [
        (Some("application/grpc"), true),
        (Some("application/grpc+proto"), true),
        (Some("Application/GRPC; charset=x"), true),
        (Some("application/json"), false),
        (Some("application/grp"), false),
        (None, false),
    ] {
        let mut request = request(&[]);
        if let Some(content_type) = content_type {
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static(content_type));
        }
        let deadline = Deadline::at(now + MS(1));
        HttpDeadline::new().forward(&mut request, deadline, now);
        assert_eq!(
            timeouts(request.headers()) == ["1000000n"],
            expected,
            "{content_type:?}"
        );
        assert_eq!(request.extensions().get(), Some(&deadline));
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_refuses_an_expired_request_and_forwards_what_is_left() {
    let upstream = service_fn(async |request: Request<()>| {
        let left = request.extensions().get::<Deadline>().unwrap();
        assert_eq!(left.remaining(Instant::now()), MS(250));
        Ok::<_, Infallible>(timeouts(request.headers()).join(","))
    });
    let mut service = DeadlineLayer::new(HttpDeadline::new()).layer(upstream);

    let answer = service.ready().await.unwrap().call(request(&["250m"]));
    assert_eq!(answer.await.unwrap(), "250000u");

    let answer = service.ready().await.unwrap().call(request(&["0S"]));
    let error = answer.await.unwrap_err();
    assert!(error.downcast_ref::<Expired>().unwrap().before_start());
}

#[tokio::test(start_paused = true)]
async fn a_second_layer_takes_off_what_was_waited_between_the_two() {
    let upstream = service_fn(async |request: Request<()>| {
        Ok::<_, Infallible>(timeouts(request.headers()).join(","))
    });
    let innermost = DeadlineLayer::new(HttpDeadline::new()).layer(upstream);

    let answer = after_100_ms(upstream).oneshot(request(&["250m"])).await;
    assert_eq!(answer.unwrap(), "250000u");
    let answer = after_100_ms(innermost).oneshot(request(&["250m"])).await;
    assert_eq!(answer.unwrap(), "150000u");
}

/// As a retry or a balancer is that waits, below a layer that has forwarded the deadline.
fn after_100_ms<S>(inner: S) -> impl Service<Request<()>, Response = String, Error: std::fmt::Debug>
where
    S: Service<Request<()>, Response = String, Error: Into<BoxError>> + Clone,
{
    let waiting = service_fn(move |request| {
        let inner = inner.clone();
        async move {
            tokio::time::sleep(MS(100)).await;
            inner.oneshot(request).await.map_err(Into::into)
        }
    });
    DeadlineLayer::new(HttpDeadline::new()).layer(waiting)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn over_three_hops_nothing_is_lost_and_at_most_a_unit_a_hop_is_won(
        value in 1_u64..100_000_000,
        unit in prop::sample::select(b"HMSmun".as_slice()),
        shares in prop::array::uniform3(0.0..0.3),
        with_local_limit: bool,
    ) {
        let sent = GrpcTimeout::parse(format!("{value}{}", char::from(unit)).as_bytes())?;
        let source = HttpDeadline::new();
        let source = if with_local_limit { source.local(sent.duration()) } else { source };
        let start = Instant::now();
        let true_deadline = Deadline::at(start + sent.duration());

        let mut now = start;
        let mut header = sent.to_string();
        let mut won = Duration::ZERO;
        for share in shares {
            // Another process: the extension does not travel.
            let mut request = request_with(&header);
            let deadline = source.deadline(&request, now).unwrap();
            now += deadline.remaining(now).mul_f64(share);
            source.forward(&mut request, deadline, now);
            header = timeouts(request.headers()).remove(0);
            won += unit_of(&header);

            let left = GrpcTimeout::parse(header.as_bytes())?.duration();
            let truly_left = true_deadline.remaining(now);
            prop_assert!(left >= truly_left, "{:?} lost", truly_left - left);
            prop_assert!(left <= truly_left + won, "{:?} won", left - truly_left);
        }
    }
}

fn unit_of(header: &str) -> Duration {
    let one = format!("1{}", &header[header.len() - 1..]);
    GrpcTimeout::parse(one.as_bytes()).unwrap().duration()
}

fn request(timeouts: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    for timeout in timeouts {
        let value = HeaderValue::from_bytes(timeout.as_bytes()).unwrap();
        request.headers_mut().append("grpc-timeout", value);
    }
    request
}

fn request_with(timeout: &str) -> Request<()> {
    request(&[timeout])
}

fn timeouts(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all("grpc-timeout")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}
