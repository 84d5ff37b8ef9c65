//! Deadlines that travel over several hops, and whatever strangers send.
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
    envoy_timeout::EnvoyTimeout,
    grpc_timeout::GrpcTimeout,
};

#[path = "support/headers.rs"]
mod headers;
use headers::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

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
