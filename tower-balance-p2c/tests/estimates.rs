//! Latency, success and cost: bounds that hold for any history, clocks that step back included.

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/cost.rs"]
mod cost;
#[path = "../src/ewma.rs"]
mod ewma;
#[path = "../src/success.rs"]
mod success;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/typical.rs"]
mod typical;

use std::time::Duration;

use ewma::PeakEwma;
use proptest::prelude::*;
use success::Success;
use typical::Typical;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const DECAY: u64 = 10 * SECOND;
const TYPICAL: f64 = 20e6;

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= right.abs() * 1e-9
}

#[test]
fn the_first_sample_is_the_estimate() {
    let estimate = PeakEwma::new(0);
    assert_eq!(estimate.projected(TYPICAL, SECOND, DECAY), None);
    estimate.record(10 * MILLISECOND, SECOND, DECAY);
    assert_eq!(estimate.projected(TYPICAL, SECOND, DECAY), Some(10e6));
}

#[test]
fn a_peak_is_taken_at_once_and_forgotten_at_the_pace_of_the_decay() {
    let estimate = PeakEwma::new(0);
    estimate.record(10 * MILLISECOND, 0, DECAY);
    estimate.record(SECOND, MILLISECOND, DECAY);
    assert_eq!(estimate.projected(TYPICAL, MILLISECOND, DECAY), Some(1e9));
    // The same time in one step and in a thousand.
    let end = MILLISECOND + DECAY;
    let expected = 10e6 + (1e9 - 10e6) / std::f64::consts::E;
    for step in 1..=1000 {
        let now = MILLISECOND + step * (DECAY / 1000);
        estimate.record(10 * MILLISECOND, now, DECAY);
    }
    assert!(close(
        estimate.projected(TYPICAL, end, DECAY).unwrap(),
        expected
    ));
}

#[test]
fn an_idle_endpoint_drifts_to_what_is_typical_and_not_to_zero() {
    let estimate = PeakEwma::new(0);
    estimate.record(SECOND, 0, DECAY);
    let after = |seconds| {
        estimate
            .projected(TYPICAL, seconds * SECOND, DECAY)
            .unwrap()
    };
    assert!(close(
        after(10),
        TYPICAL + (1e9 - TYPICAL) / std::f64::consts::E
    ));
    assert!(close(after(1_000_000), TYPICAL));
}

#[test]
fn a_cancelled_request_counts_only_where_it_is_older_than_the_estimate() {
    let estimate = PeakEwma::new(0);
    // Without samples the endpoint is taken for a typical one.
    estimate.record_at_least(19 * MILLISECOND, TYPICAL, 0, DECAY);
    assert_eq!(estimate.projected(TYPICAL, 0, DECAY), None);
    estimate.record(100 * MILLISECOND, 0, DECAY);
    estimate.record_at_least(99 * MILLISECOND, TYPICAL, 0, DECAY);
    assert_eq!(estimate.projected(TYPICAL, 0, DECAY), Some(100e6));
    estimate.record_at_least(101 * MILLISECOND, TYPICAL, SECOND, DECAY);
    assert_eq!(estimate.projected(TYPICAL, SECOND, DECAY), Some(101e6));
    // The estimate has drifted below 50 ms meanwhile.
    estimate.record_at_least(50 * MILLISECOND, TYPICAL, 21 * SECOND, DECAY);
    assert_eq!(estimate.projected(TYPICAL, 21 * SECOND, DECAY), Some(50e6));
    let hung = PeakEwma::new(0);
    hung.record_at_least(SECOND, TYPICAL, SECOND, DECAY);
    assert_eq!(hung.projected(TYPICAL, SECOND, DECAY), Some(1e9));
}

#[test]
fn failures_lower_success_and_time_and_successes_restore_it() {
    let success = Success::new(0);
    assert_eq!(success.ratio(0, DECAY), 1.0);
    success.record_failure(0, DECAY);
    assert_eq!(success.ratio(0, DECAY), 0.875);
    success.record_success(0, DECAY);
    assert_eq!(success.ratio(0, DECAY), 1.0 - 0.125 * 0.875);
    for _ in 0..1000 {
        success.record_failure(0, DECAY);
    }
    assert_eq!(success.ratio(0, DECAY), success::FLOOR);
    assert!(close(
        success.ratio(DECAY, DECAY),
        1.0 - 1.0 / std::f64::consts::E
    ));
    assert!(success.ratio(10 * DECAY, DECAY) > 0.9999);
    success.record_success(10 * DECAY, DECAY);
    assert_eq!(success.ratio(10 * DECAY, DECAY), 1.0);
}

#[test]
fn a_clock_that_steps_back_is_harmless() {
    let (estimate, success) = (PeakEwma::new(100 * SECOND), Success::new(100 * SECOND));
    estimate.record(10 * MILLISECOND, 100 * SECOND, DECAY);
    estimate.record(5 * MILLISECOND, SECOND, DECAY);
    // No time has passed, so the lower sample has no weight.
    assert_eq!(estimate.projected(TYPICAL, SECOND, DECAY), Some(10e6));
    estimate.record_at_least(20 * MILLISECOND, TYPICAL, 0, DECAY);
    assert_eq!(estimate.projected(TYPICAL, 0, DECAY), Some(20e6));
    success.record_failure(SECOND, DECAY);
    assert_eq!(success.ratio(0, DECAY), 0.875);

    let typical = Typical::new(100 * SECOND);
    assert!(typical.claim_renewal(SECOND));
    assert!(!typical.claim_renewal(SECOND + MILLISECOND));
    assert!(typical.claim_renewal(SECOND + 100 * MILLISECOND));
}

#[test]
fn the_first_sample_of_all_is_typical_until_the_renewal() {
    let typical = Typical::new(0);
    let unknown = typical.nanos();
    assert!(unknown > 0.0);
    typical.first(3e6);
    typical.first(7e6);
    assert_eq!(typical.nanos(), 3e6);
    typical.set(5e6);
    assert_eq!(typical.nanos(), 5e6);
}

#[test]
fn backoff_doubles_up_to_ten_seconds() {
    let seconds = |errors| backoff::backoff(errors).as_secs_f64();
    let expected = [0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0];
    for (errors, expected) in (0..).zip(expected) {
        assert_eq!(seconds(errors), expected);
    }
    assert_eq!(backoff::backoff(u32::MAX), Duration::from_secs(10));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_estimate_stays_among_what_was_seen(
        samples in prop::collection::vec((0..u64::MAX, 0..100 * SECOND, any::<bool>()), 1..50),
        read_at in any::<u64>(),
        decay in 1..u64::MAX,
    ) {
        let estimate = PeakEwma::new(SECOND);
        for &(at, sample, censored) in &samples {
            if censored {
                estimate.record_at_least(sample, TYPICAL, at, decay);
            } else {
                estimate.record(sample, at, decay);
            }
        }
        if let Some(estimate) = estimate.projected(TYPICAL, read_at, decay) {
            let seen = samples.iter().map(|&(_, sample, _)| sample as f64);
            let least = seen.clone().fold(TYPICAL, f64::min);
            let most = seen.fold(TYPICAL, f64::max);
            prop_assert!(least * 0.999_999 <= estimate && estimate <= most * 1.000_001);
        }
    }

    #[test]
    fn looking_changes_nothing(
        looks in prop::collection::vec(any::<u64>(), 1..50),
        sample in 0..SECOND,
        at in 0..SECOND,
    ) {
        let (looked_at, left_alone) = (PeakEwma::new(0), PeakEwma::new(0));
        looked_at.record(sample, at, DECAY);
        left_alone.record(sample, at, DECAY);
        for look in looks {
            looked_at.projected(TYPICAL, look, DECAY);
        }
        let later = at + SECOND;
        looked_at.record(sample / 2, later, DECAY);
        left_alone.record(sample / 2, later, DECAY);
        prop_assert_eq!(
            looked_at.projected(TYPICAL, later, DECAY),
            left_alone.projected(TYPICAL, later, DECAY)
        );
    }

    #[test]
    fn a_cancelled_request_never_lowers_the_estimate(
        sample in 0..10 * SECOND,
        age in 0..10 * SECOND,
        now in 0..100 * SECOND,
    ) {
        let estimate = PeakEwma::new(0);
        estimate.record(sample, 0, DECAY);
        let before = estimate.projected(TYPICAL, now, DECAY);
        estimate.record_at_least(age, TYPICAL, now, DECAY);
        let after = estimate.projected(TYPICAL, now, DECAY);
        let expected = before.map(|before| before.max(age as f64));
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn success_stays_within_its_bounds(
        history in prop::collection::vec((any::<u64>(), any::<bool>()), 1..100),
        read_at in any::<u64>(),
        decay in 1..u64::MAX,
    ) {
        let success = Success::new(SECOND);
        for (at, failed) in history {
            let before = success.ratio(at, decay);
            if failed {
                success.record_failure(at, decay);
                prop_assert!(success.ratio(at, decay) <= before);
            } else {
                success.record_success(at, decay);
                prop_assert!(success.ratio(at, decay) >= before);
            }
        }
        let ratio = success.ratio(read_at, decay);
        prop_assert!((success::FLOOR..=1.0).contains(&ratio));
    }

    #[test]
    fn cost_is_positive_and_rises_with_each_signal(
        latency in 0.0..1e12_f64,
        in_flight in 0..1_000_000_usize,
        success in 0.01..1.0_f64,
    ) {
        let cost = |latency, in_flight, success| cost::cost(latency, in_flight, success);
        let base = cost(latency, in_flight, success);
        prop_assert!(base > 0.0 && base.is_finite());
        prop_assert!(cost(latency + 1e4, in_flight, success) > base);
        prop_assert!(cost(latency, in_flight + 1, success) > base);
        prop_assert!(cost(latency, in_flight, success * 0.9) > base);
    }

    #[test]
    fn the_median_is_the_middle_of_what_is_sampled(
        estimates in prop::collection::vec(0.0..1e12_f64, 0..200),
    ) {
        let mut sampled: Vec<_> = estimates.iter().copied().take(typical::MOST_SAMPLED).collect();
        sampled.sort_by(f64::total_cmp);
        let middle = sampled.len().checked_sub(1).map(|last| sampled[last / 2]);
        prop_assert_eq!(typical::median(estimates.into_iter()), middle);
    }
}
