//! Latency and cost: bounds that hold for any history, clocks that step back included.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/cost.rs"]
#[allow(dead_code, reason = "zones are covered elsewhere")]
mod cost;
#[path = "../src/latency.rs"]
mod latency;
#[path = "../src/sync.rs"]
#[allow(unused_imports, reason = "a lock is for others")]
mod sync;
#[path = "../src/typical.rs"]
#[allow(dead_code, reason = "a part is covered elsewhere")]
mod typical;

use std::time::Duration;

use cost::{Differences, Signals};
use latency::{Latency, fade, places};
use proptest::prelude::*;
use typical::Typical;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const DECAY: u64 = 10 * SECOND;
const TYPICAL: f64 = 20e6;

fn cost(signals: Signals, typical: f64) -> f64 {
    cost::cost(signals, typical, Differences::All)
}

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
    assert_eq!(latency.per_place(TYPICAL, 0, DECAY), Some(3201e6));
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

    let typical = Typical::new(100 * SECOND, DECAY);
    assert!(typical.is_old(SECOND));
    assert_eq!(typical.claim_renewal(SECOND), Some(0));
    assert!(typical.claim_renewal(SECOND + MILLISECOND).is_none());
    let later = SECOND + 100 * MILLISECOND;
    assert_eq!(typical.claim_renewal(later), Some(100 * MILLISECOND));
}

#[test]
fn the_first_sample_of_all_is_typical_until_the_renewal() {
    let typical = Typical::new(0, DECAY);
    assert!(typical.per_place() > 0.0 && !typical.is_known());
    typical.first(3e6);
    typical.first(7e6);
    assert!(typical.is_known());
    assert_eq!(typical.per_place(), 3e6);
    typical.set_per_place(5e6, SECOND / 10);
    assert_eq!((typical.per_place(), typical.best()), (5e6, 5e6));
    typical.set_per_place(50e6, SECOND / 10);
    assert_eq!(typical.per_place(), 50e6);
    assert!(close(typical.best(), 5e6, 0.01), "it was better lately");
    typical.set_per_place(50e6, 3600 * SECOND);
    assert!(close(typical.best(), 50e6, 0.01));
    typical.set_per_place(4e6, SECOND / 10);
    assert_eq!(typical.best(), 4e6);
    typical.set_failing(0.25);
    assert_eq!(typical.failing(), 0.25);
}

#[test]
fn drift_is_the_decay_unless_there_are_few_requests() {
    let typical = Typical::new(0, DECAY);
    assert_eq!(typical.drift(), DECAY);
    let serve = |per_tick: u64| {
        let before = (typical.rate() * 1e3) as u64;
        for tick in 1..200 {
            typical.set_served(before + tick * per_tick, SECOND / 10);
        }
    };
    serve(100);
    assert!(close(typical.rate(), 1000.0, 0.01), "{}", typical.rate());
    assert_eq!(typical.drift(), DECAY);
    let typical = Typical::new(0, DECAY);
    for tick in 1..200 {
        typical.set_served(tick, SECOND / 10);
    }
    assert!(
        close(typical.drift() as f64, 200e9, 0.02),
        "{}",
        typical.drift()
    );
    typical.set_served(0, 0);
    assert!(typical.rate() > 0.0, "no time, no change");
}

#[test]
fn silence_counts_up_to_eight_times_what_is_usual_and_not_for_ever() {
    let signals = Signals {
        per_place: 10e6,
        silence: 0,
        drift: DECAY,
        queue: 1.0,
        success: 1.0,
    };
    let after = |silence| cost(Signals { silence, ..signals }, TYPICAL);
    assert_eq!(after(10 * MILLISECOND), 20e6);
    assert!(close(after(50 * MILLISECOND), 100e6, 0.01));
    assert!(close(after(160 * MILLISECOND), 320e6, 0.02));
    assert!(close(after(SECOND), 320e6, 0.1));
    // Somebody has to look again some day.
    assert!(close(after(100 * SECOND), 20e6, 0.01));
}

#[test]
fn where_weights_say_who_gets_how_much_small_differences_do_not_matter() {
    let of = |millis: f64| {
        let signals = Signals {
            per_place: millis * 1e6,
            silence: 0,
            drift: DECAY,
            queue: 0.0,
            success: 1.0,
        };
        cost::cost(signals, TYPICAL, Differences::Great) / 1e6
    };
    assert_eq!([of(14.0), of(20.0), of(29.0)], [20.0; 3]);
    assert_eq!([of(60.0), of(8.0)], [40.0, 12.0]);
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
        prop_assert_eq!(after, if is_news { age as f64 } else { before });
    }

    #[test]
    fn cost_is_positive_and_rises_with_each_signal(
        per_place in 0.0..1e12_f64,
        queue in 0..1_000_000_u32,
        success in 0.01..1.0_f64,
        silence in any::<u64>(),
    ) {
        let signals = Signals { per_place, silence, drift: DECAY, queue: queue.into(), success };
        let base = cost(signals, TYPICAL);
        prop_assert!(base > 0.0 && base.is_finite());
        let slower = Signals { per_place: per_place + 1e4, ..signals };
        prop_assert!(cost(slower, TYPICAL) >= base);
        let longer = Signals { queue: signals.queue + 1.0, ..signals };
        prop_assert!(cost(longer, TYPICAL) > base);
        let failing = Signals { success: success * 0.9, ..signals };
        prop_assert!(cost(failing, TYPICAL) > base);
        let not_silent = Signals { silence: 0, ..signals };
        prop_assert!(cost(not_silent, TYPICAL) <= base);
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
