//! Latency: bounds that hold for any history, clocks that step back included.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/latency.rs"]
mod latency;
#[path = "../src/sync.rs"]
#[allow(unused_imports, reason = "a lock is for others")]
mod sync;

use latency::{Latency, fade, places};
use proptest::prelude::*;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const DECAY: u64 = 10 * SECOND;
const TYPICAL: f64 = 20e6;

fn close(left: f64, right: f64, part: f64) -> bool {
    (left - right).abs() <= right.abs() * part
}

#[test]
fn the_first_sample_is_the_estimate() {
    let latency = Latency::new(0);
    assert_eq!(latency.per_place(TYPICAL, SECOND, DECAY), None);
    latency.record(10 * MILLISECOND, 0, SECOND, DECAY);
    assert_eq!(latency.per_place(TYPICAL, SECOND, DECAY), Some(10e6));
    assert_eq!(latency.whole(), Some(10e6));
}

#[test]
fn the_queue_that_was_there_is_taken_out_of_a_sample() {
    assert_eq!(places(0), 1.0);
    assert_eq!(places(255), 32.0);
    let latency = Latency::new(0);
    latency.record(320 * MILLISECOND, 255, 0, DECAY);
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), Some(10e6));
    assert_eq!(latency.whole(), Some(320e6));
}

#[test]
fn fading_is_nearly_exponential_and_never_faster() {
    for thousandths in 0..20_000_u64 {
        let exact = (-(thousandths as f64) / 1000.0).exp();
        let found = fade(thousandths, 1000);
        assert!(found >= exact * 0.999_999, "{thousandths}");
        let part = if thousandths <= 1000 { 1e-3 } else { 2e-2 };
        if thousandths <= 2000 {
            assert!(close(found, exact, part), "{thousandths}");
        }
    }
    assert_eq!(fade(0, 0), 1.0);
    assert!(fade(u64::MAX, 1) < 1e-60);
}

#[test]
fn what_no_queue_explains_is_the_endpoints_own() {
    let after = |millis: u64| {
        let latency = Latency::new(0);
        latency.record(10 * MILLISECOND, 0, 0, DECAY);
        latency.record(millis * MILLISECOND, 255, 0, DECAY);
        latency.per_place(TYPICAL, 0, DECAY).unwrap() / 1e6
    };
    assert_eq!(after(320), 10.0);
    assert!(
        close(after(1280), 10.0 + 30.0 / 32.0, 1e-9),
        "four times as long"
    );
    assert!(
        close(after(1300), 10.0 + 70.0 / 32.0, 1e-9),
        "longer than that"
    );
}

#[test]
fn one_extraordinary_sample_moves_little_and_a_dozen_tell() {
    let latency = Latency::new(0);
    let now = |sample: u64| sample * MILLISECOND;
    for sample in 0..100 {
        latency.record(10 * MILLISECOND, 0, now(sample), DECAY);
    }
    latency.record(10 * SECOND, 0, now(100), DECAY);
    let after_one = latency.per_place(TYPICAL, now(100), DECAY).unwrap();
    assert!(after_one < 13e6, "{after_one}");
    for sample in 101..112 {
        latency.record(10 * SECOND, 0, now(sample), DECAY);
    }
    let after_twelve = latency.per_place(TYPICAL, now(112), DECAY).unwrap();
    assert!(after_twelve > 100e6, "{after_twelve}");
}

#[test]
fn a_sample_after_a_long_time_stands_for_that_time() {
    let latency = Latency::new(0);
    latency.record(10 * MILLISECOND, 0, 0, DECAY);
    latency.record(20 * MILLISECOND, 0, 10 * DECAY, DECAY);
    let found = latency.per_place(TYPICAL, 10 * DECAY, DECAY).unwrap();
    assert!(close(found, 20e6, 0.01), "{found}");
}

#[test]
fn whoever_is_better_when_asked_again_is_believed_sooner_than_whoever_is_worse() {
    let after = |first: u64, then: u64, seconds| {
        let latency = Latency::new(0);
        latency.record(first * MILLISECOND, 0, 0, DECAY);
        latency.record(then * MILLISECOND, 0, seconds * SECOND, DECAY);
        let found = latency.per_place(TYPICAL, seconds * SECOND, DECAY);
        found.unwrap() / 1e6
    };
    let left = 1.0 / std::f64::consts::E;
    assert!(close(after(100, 10, 10), 10.0 + 90.0 * left.powi(4), 0.01));
    assert!(close(after(20, 100, 10), 100.0 - 80.0 * left, 0.01));
    // After two seconds it is one sample of many.
    assert!(after(100, 10, 2) > 80.0);
}

#[test]
fn an_idle_endpoint_drifts_to_what_is_typical_and_not_to_zero() {
    let latency = Latency::new(0);
    latency.record(SECOND, 0, 0, DECAY);
    let after = |seconds| latency.per_place(TYPICAL, seconds * SECOND, DECAY).unwrap();
    let expected = TYPICAL + (1e9 - TYPICAL) / std::f64::consts::E;
    assert!(close(after(10), expected, 0.02));
    assert!(close(after(1_000_000), TYPICAL, 1e-6));
}

#[test]
fn a_cancelled_request_counts_only_where_it_is_older_than_it_should_be() {
    let latency = Latency::new(0);
    // Without samples the endpoint is taken for a typical one.
    latency.record_at_least(19 * MILLISECOND, 0, TYPICAL, 0, DECAY);
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), None);
    latency.record(100 * MILLISECOND, 0, 0, DECAY);
    latency.record_at_least(99 * MILLISECOND, 0, TYPICAL, 0, DECAY);
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), Some(100e6));
    // Behind 255 others 3.2 s are what is expected.
    latency.record_at_least(3199 * MILLISECOND, 255, TYPICAL, 0, DECAY);
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), Some(100e6));
    latency.record_at_least(3201 * MILLISECOND, 255, TYPICAL, 0, DECAY);
    let raised = latency.per_place(TYPICAL, 0, DECAY).unwrap();
    assert!(close(raised, 3201e6, 1e-6));
    let hung = Latency::new(0);
    hung.record_at_least(SECOND, 0, TYPICAL, SECOND, DECAY);
    assert_eq!(hung.per_place(TYPICAL, SECOND, DECAY), Some(1e9));
    assert_eq!(hung.whole(), Some(1e9));
}

#[test]
fn a_clock_that_steps_back_is_harmless() {
    let latency = Latency::new(100 * SECOND);
    latency.record(10 * MILLISECOND, 0, 100 * SECOND, DECAY);
    latency.record(6 * MILLISECOND, 0, SECOND, DECAY);
    let found = latency.per_place(TYPICAL, 0, DECAY).unwrap();
    assert!((6e6..=10e6).contains(&found), "{found}");
    latency.record_at_least(20 * MILLISECOND, 0, TYPICAL, 0, DECAY);
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), Some(20e6));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_estimate_stays_among_what_was_seen(
        samples in prop::collection::vec(
            (any::<u64>(), 0..100 * SECOND, any::<u32>(), any::<bool>()),
            1..50,
        ),
        read_at in any::<u64>(),
        decay in 1..u64::MAX,
    ) {
        let latency = Latency::new(SECOND);
        for &(at, sample, ahead, censored) in &samples {
            if censored {
                latency.record_at_least(sample, ahead, TYPICAL, at, decay);
            } else {
                latency.record(sample, ahead, at, decay);
            }
        }
        if let Some(estimate) = latency.per_place(TYPICAL, read_at, decay) {
            let least = samples.iter().map(|&(_, sample, ahead, censored)| {
                sample as f64 / if censored { 1.0 } else { places(ahead) }
            });
            let least = least.fold(TYPICAL, f64::min);
            let most = samples.iter().map(|&(_, sample, _, _)| sample as f64);
            let most = most.fold(TYPICAL, f64::max);
            prop_assert!(least * 0.999_999 <= estimate && estimate <= most * 1.000_001);
        }
    }

    #[test]
    fn looking_changes_nothing(
        looks in prop::collection::vec(any::<u64>(), 1..50),
        sample in 0..SECOND,
        at in 0..SECOND,
    ) {
        let (looked_at, left_alone) = (Latency::new(0), Latency::new(0));
        looked_at.record(sample, 1, at, DECAY);
        left_alone.record(sample, 1, at, DECAY);
        for look in looks {
            looked_at.per_place(TYPICAL, look, DECAY);
        }
        let later = at + SECOND;
        looked_at.record(sample / 2, 3, later, DECAY);
        left_alone.record(sample / 2, 3, later, DECAY);
        prop_assert_eq!(
            looked_at.per_place(TYPICAL, later, DECAY),
            left_alone.per_place(TYPICAL, later, DECAY)
        );
    }

    #[test]
    fn a_cancelled_request_never_lowers_the_estimate(
        sample in 0..10 * SECOND,
        age in 0..10 * SECOND,
        ahead in 0..1000_u32,
        now in 0..100 * SECOND,
    ) {
        let latency = Latency::new(0);
        latency.record(sample, 0, 0, DECAY);
        let before = latency.per_place(TYPICAL, now, DECAY).unwrap();
        latency.record_at_least(age, ahead, TYPICAL, now, DECAY);
        let after = latency.per_place(TYPICAL, now, DECAY).unwrap();
        let is_news = age as f64 > before * places(ahead);
        let expected = if is_news { age as f64 } else { before };
        prop_assert!(close(after, expected, 1e-6), "{after} {expected}");
    }
}
