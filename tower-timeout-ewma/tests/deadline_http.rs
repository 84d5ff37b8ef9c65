//! Deadlines in the headers and the extensions of HTTP requests: which counts, and what goes on.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::{convert::Infallible, time::Duration};

use http::{HeaderValue, Request};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_timeout_ewma::{
    deadline::{
        Deadline, DeadlineLayer, Source,
        http::{HttpDeadline, Incoming},
    },
    error::Expired,
};

#[path = "support/headers.rs"]
mod headers;
use headers::*;

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
async fn an_ignored_header_does_not_go_on() {
    let upstream = service_fn(async |request: Request<()>| {
        Ok::<_, Infallible>((timeouts(request.headers()), envoy(request.headers())))
    });
    let both = || {
        let mut request = request(&["1S"]);
        let headers = request.headers_mut();
        headers.insert(ENVOY, HeaderValue::from_static("1000"));
        request
    };
    let ignored = DeadlineLayer::new(HttpDeadline::new().ignore_incoming()).layer(upstream);
    assert_eq!(ignored.oneshot(both()).await.unwrap(), (vec![], vec![]));

    let ignored = HttpDeadline::new().ignore_incoming().local(MS(70));
    let ignored = DeadlineLayer::new(ignored).layer(upstream);
    let expected = (vec!["70000000n".to_owned()], vec!["70".to_owned()]);
    assert_eq!(ignored.oneshot(both()).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_may_ask_for_depends_on_the_peer() {
    let now = Instant::now();
    let source =
        HttpDeadline::new()
            .default(MS(500))
            .local(MS(900))
            .trust(
                |request: &Request<()>| match request.extensions().get().copied() {
                    Some("friend") => Incoming::Trusted,
                    Some("stranger") => Incoming::AtMost(MS(300)),
                    _ => Incoming::Ignored,
                },
            );
    for (peer, header, expected) in [
        ("friend", Some("800m"), 800),
        ("friend", Some("1S"), 900),
        ("friend", None, 500),
        ("friend", Some("nonsense"), 500),
        ("stranger", Some("800m"), 300),
        ("stranger", Some("200m"), 200),
        ("stranger", None, 500),
        ("enemy", Some("1m"), 500),
        ("enemy", None, 500),
    ] {
        let mut request = request(header.as_slice());
        request.extensions_mut().insert(peer);
        let deadline = source.deadline(&request, now).unwrap();
        assert_eq!(deadline.remaining(now), MS(expected), "{peer} {header:?}");
    }

    // What this process has put there is beyond doubt, and no default comes in its place.
    let mut request = request(&["1m"]);
    request.extensions_mut().insert("enemy");
    request.extensions_mut().insert(Deadline::at(now + MS(700)));
    assert_eq!(
        source.deadline(&request, now).unwrap().remaining(now),
        MS(700)
    );
}

#[tokio::test(start_paused = true)]
async fn envoys_header_is_read_and_forwarded() {
    let now = Instant::now();
    for (header, expected, forwarded) in [
        ("250", Some(250), Some("250")),
        ("0", Some(0), Some("0")),
        ("000000000000000000000000000000000007", Some(7), Some("7")),
        ("", None, None),
        ("-1", None, None),
        ("+1", None, None),
        ("1.5", None, None),
        ("250m", None, None),
        (" 250", None, None),
        ("0x10", None, None),
    ] {
        let mut request = request(&[]);
        let value = HeaderValue::from_str(header).unwrap();
        request.headers_mut().insert(ENVOY, value);
        let source = HttpDeadline::new();
        let deadline = source.deadline(&request, now);
        assert_eq!(
            deadline.map(|deadline| deadline.remaining(now)),
            expected.map(MS),
            "{header}"
        );
        if let (Some(deadline), Some(forwarded)) = (deadline, forwarded) {
            source.forward(&mut request, deadline, now);
            assert_eq!(envoy(request.headers()), [forwarded]);
            assert_eq!(timeouts(request.headers()), [""; 0], "it came without");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_both_headers_the_shorter_counts_and_both_go_on() {
    let now = Instant::now();
    for (grpc, in_envoys, expected) in [("100m", "90", 90), ("80m", "90", 80)] {
        let mut request = request(&[grpc]);
        let value = HeaderValue::from_static(in_envoys);
        request.headers_mut().insert(ENVOY, value);
        let source = HttpDeadline::new();
        let deadline = source.deadline(&request, now).unwrap();
        assert_eq!(deadline.remaining(now), MS(expected));
        source.forward(
            &mut request,
            deadline,
            now + MS(10) - Duration::from_nanos(1),
        );
        assert_eq!(
            envoy(request.headers()),
            [format!("{}", expected - 10 + 1)],
            "rounded up"
        );
        let left = (expected - 10) * 1_000_000 + 1;
        assert_eq!(timeouts(request.headers()), [format!("{left}n")]);
    }
}

#[tokio::test(start_paused = true)]
async fn envoys_header_is_added_if_that_is_set() {
    let now = Instant::now();
    for (add, expected) in [(true, vec!["700"]), (false, vec![])] {
        let source = HttpDeadline::new().local(MS(700)).add_envoy(add);
        let mut request = request(&[]);
        let deadline = source.deadline(&request, now).unwrap();
        source.forward(&mut request, deadline, now);
        assert_eq!(envoy(request.headers()), expected);
        assert_eq!(timeouts(request.headers()), [""; 0], "not gRPC");
    }
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
