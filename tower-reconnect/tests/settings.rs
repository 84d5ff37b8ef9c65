//! Settings out of range are errors that name them; nothing panics.

mod support;

use std::time::Duration;

use tower_reconnect::{Mode, ReconnectLayer, error::InvalidSetting};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn the_bounds_themselves_are_allowed() {
    for (timeout, base, max, stable) in [(MS, MS, MS, Duration::ZERO), (DAY, DAY, DAY, DAY)] {
        let builder = ReconnectLayer::builder("peer")
            .connect_timeout(timeout)
            .backoff(base, max)
            .stable_after(stable)
            .first_dial_jitter(stable)
            .max_age(base)
            .idle(max)
            .mode(Mode::BoundedWait(timeout));
        assert!(builder.build().is_ok());
    }
}

#[test]
fn a_bad_setting_is_named_with_its_value_and_range() {
    let less = MS - Duration::from_nanos(1);
    let more = DAY + Duration::from_nanos(1);
    let builder = || ReconnectLayer::builder("peer");
    let range = "1 ms to 24 h";
    for (builder, field, value, allowed) in [
        (
            builder().connect_timeout(less),
            "connect_timeout",
            "999.999µs",
            range,
        ),
        (
            builder().connect_timeout(Duration::MAX),
            "connect_timeout",
            "",
            range,
        ),
        (
            builder().backoff(Duration::ZERO, MS),
            "backoff.base",
            "0ns",
            range,
        ),
        (
            builder().backoff(MS, Duration::ZERO),
            "backoff.max",
            "0ns",
            range,
        ),
        (
            builder().backoff(MS, more),
            "backoff.max",
            "86400.000000001s",
            range,
        ),
        (
            builder().backoff(MS * 2, MS),
            "backoff.base",
            "2ms",
            "at most `backoff.max`",
        ),
        (
            builder().stable_after(more),
            "stable_after",
            "86400.000000001s",
            "0 to 24 h",
        ),
        (
            builder().first_dial_jitter(more),
            "first_dial_jitter",
            "86400.000000001s",
            "0 to 24 h",
        ),
        (builder().max_age(less), "max_age", "999.999µs", range),
        (builder().idle(more), "idle", "86400.000000001s", range),
        (
            builder().idle(DAY).eager(true),
            "idle",
            "86400s with `eager`",
            "nothing with `eager`",
        ),
        (builder().max_dials(0), "max_dials", "0", "1 to 1024"),
        (builder().max_dials(1025), "max_dials", "1025", "1 to 1024"),
        (
            builder().mode(Mode::BoundedWait(Duration::ZERO)),
            "mode.bounded_wait",
            "0ns",
            range,
        ),
    ] {
        assert!(builder.clone().build_exclusive().is_err());
        let error: InvalidSetting = builder.build().unwrap_err();
        assert_eq!(error.clone(), error);
        let names: [&'static str; 2] = [error.field(), error.allowed()];
        assert_eq!(names, [field, allowed]);
        assert!(error.value().starts_with(value), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(field) && text.contains(error.value()) && text.contains(allowed));
    }
}

#[test]
fn a_target_needs_no_debug_to_be_debugged() {
    #[derive(Clone)]
    struct Secret;
    let builder = ReconnectLayer::builder(Secret)
        .mode(Mode::FailFast)
        .name("the peer");
    let text = format!("{builder:?}{:?}", ReconnectLayer::new(Secret));
    assert!(text.contains("FailFast") && text.contains("the peer") && !text.contains("Secret"));
}

#[test]
fn a_handle_can_be_debugged() {
    let peer = support::Peer::new(&[support::Dial::Accept]);
    let service = peer.connect(ReconnectLayer::builder("peer").name("the peer"));
    let text = format!("{service:?}");
    assert!(text.contains("the peer") && text.contains("Idle"), "{text}");
}
