//! What an endpoint costs, what is typical, and how long to back off.

#[path = "../src/backoff.rs"]
mod backoff;
#[path = "../src/cost.rs"]
#[allow(dead_code, reason = "zones are covered elsewhere")]
mod cost;
#[path = "../src/latency.rs"]
#[allow(dead_code, reason = "only what the others need")]
mod latency;
#[path = "../src/sync.rs"]
#[allow(unused_imports, reason = "a lock is for others")]
mod sync;
#[path = "../src/typical.rs"]
#[allow(dead_code, reason = "a part is covered elsewhere")]
mod typical;

use std::time::Duration;

use cost::{Differences, Signals};
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
fn what_is_typical_survives_a_clock_that_steps_back() {
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
