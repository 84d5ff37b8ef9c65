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
    deadline::{
        Deadline, DeadlineLayer, Source,
        http::{HttpDeadline, Incoming},
    },
    envoy_timeout::EnvoyTimeout,
    error::Expired,
    grpc_timeout::GrpcTimeout,
};

const ENVOY: &str = "x-envoy-expected-rq-timeout-ms";

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
        format in prop::sample::select(b"HMSmune".as_slice()),
        shares in prop::array::uniform3(0.0..0.3),
        with_local_limit: bool,
    ) {
        let sent = Header::of(value, format);
        let source = HttpDeadline::new();
        let source = if with_local_limit { source.local(sent.duration()) } else { source };
        let start = Instant::now();
        let true_deadline = Deadline::at(start + sent.duration());

        let mut now = start;
        let mut header = sent;
        let mut won = Duration::ZERO;
        for share in shares {
            // Another process: the extension does not travel.
            let mut request = header.request();
            let deadline = source.deadline(&request, now).unwrap();
            now += deadline.remaining(now).mul_f64(share);
            source.forward(&mut request, deadline, now);
            header = Header::in_(request.headers());
            won += header.unit();

            let left = header.duration();
            let truly_left = true_deadline.remaining(now);
            prop_assert!(left >= truly_left, "{:?} lost", truly_left - left);
            prop_assert!(left <= truly_left + won, "{:?} won", left - truly_left);
        }
    }

    /// Whatever a stranger sends: no panic, no deadline from what is malformed, and what goes on can be
    /// read.
    #[test]
    fn any_bytes_in_the_headers_are_harmless(
        grpc in header_values(),
        envoy in header_values(),
        is_grpc: bool,
        local in prop::option::of(0_u64..=u64::MAX),
    ) {
        let now = Instant::now();
        let mut request = Request::new(());
        let headers = request.headers_mut();
        for value in &grpc {
            headers.append("grpc-timeout", value.clone());
        }
        for value in &envoy {
            headers.append(ENVOY, value.clone());
        }
        if is_grpc {
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        }
        let mut source = HttpDeadline::new();
        if let Some(local) = local {
            source = source.local(MS(local));
        }
        let Some(deadline) = source.deadline(&request, now) else {
            prop_assert_eq!(local, None);
            prop_assert!(grpc.iter().all(|value| GrpcTimeout::parse(value.as_bytes()).is_err()));
            prop_assert!(envoy.iter().all(|value| EnvoyTimeout::parse(value.as_bytes()).is_err()));
            return Ok(());
        };
        source.forward(&mut request, deadline, now);
        let forwarded = timeouts(request.headers());
        prop_assert_eq!(forwarded.len(), usize::from(is_grpc || !grpc.is_empty()));
        for written in forwarded {
            let left = GrpcTimeout::parse(written.as_bytes());
            prop_assert!(left.unwrap().duration() >= deadline.remaining(now).min(GrpcTimeout::MAX.duration()));
        }
        let forwarded = self::envoy(request.headers());
        prop_assert_eq!(forwarded.len(), usize::from(!envoy.is_empty()));
        for written in forwarded {
            let left = EnvoyTimeout::parse(written.as_bytes());
            prop_assert!(left.unwrap().duration() >= deadline.remaining(now));
        }
    }
}

/// Nonsense, and what is almost right.
fn header_values() -> impl Strategy<Value = Vec<HeaderValue>> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[0-9]{0,25}[HMSmunx]?".prop_map(String::into_bytes),
    ];
    let value = bytes.prop_filter_map("no header value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    });
    proptest::collection::vec(value, 0..3)
}

#[derive(Clone, Copy)]
enum Header {
    Grpc(GrpcTimeout),
    Envoy(EnvoyTimeout),
}

impl Header {
    /// With the unit as gRPC has it, or `e` for Envoy's.
    fn of(value: u64, format: u8) -> Self {
        match format {
            b'e' => Self::Envoy(EnvoyTimeout::parse(value.to_string().as_bytes()).unwrap()),
            unit => {
                let text = format!("{value}{}", char::from(unit));
                Self::Grpc(GrpcTimeout::parse(text.as_bytes()).unwrap())
            }
        }
    }

    fn in_(headers: &HeaderMap) -> Self {
        match (timeouts(headers).as_slice(), envoy(headers).as_slice()) {
            ([grpc], []) => Self::Grpc(GrpcTimeout::parse(grpc.as_bytes()).unwrap()),
            ([], [envoy]) => Self::Envoy(EnvoyTimeout::parse(envoy.as_bytes()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn request(self) -> Request<()> {
        match self {
            Self::Grpc(timeout) => request_with(&timeout.to_string()),
            Self::Envoy(timeout) => {
                let mut request = request(&[]);
                request
                    .headers_mut()
                    .insert(ENVOY, timeout.to_header_value());
                request
            }
        }
    }

    fn duration(self) -> Duration {
        match self {
            Self::Grpc(timeout) => timeout.duration(),
            Self::Envoy(timeout) => timeout.duration(),
        }
    }

    fn unit(self) -> Duration {
        match self {
            Self::Grpc(timeout) => unit_of(&timeout.to_string()),
            Self::Envoy(_) => MS(1),
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
    all(headers, "grpc-timeout")
}

fn envoy(headers: &HeaderMap) -> Vec<String> {
    all(headers, ENVOY)
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}
