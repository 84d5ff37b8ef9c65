//! The delays are exact at every scale, and random at every scale.
#![allow(dead_code)]

use std::time::Duration;

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::backoff::{Backoff, spread};

#[path = "../src/backoff.rs"]
mod backoff;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_are_the_maximum_halved_until_the_base_is_not_exceeded(
        base in 1..=3_600_000_000_000_u64,
        max: u64,
        retries in 0..200_u32,
    ) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        let halvings = (0..64_u32).find(|&n| max >> n <= base).unwrap();
        let exact = max >> halvings.saturating_sub(retries).min(63);
        prop_assert_eq!(backoff.step(retries), Duration::from_nanos(exact));
        prop_assert!(backoff.base() <= Duration::from_nanos(base));
    }

    #[test]
    fn a_delay_is_in_the_upper_half_of_its_step_less_an_eighth(
        base: u64, max: u64, retries in 0..100_u32, place: u64, random: u64,
    ) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        let step = backoff.step(retries).as_nanos();
        let delay = backoff.delay(retries, place, random).as_nanos();
        prop_assert!(delay <= step);
        prop_assert!(delay >= (step - step / 2) * 7 / 8);
        if backoff.step(retries) == backoff.step(retries + 1) && retries > 64 {
            prop_assert!(delay >= step * 7 / 8, "the place is taken at the cap");
        }
    }

    #[test]
    fn all_ends_of_the_range_are_reached(base in 1..u64::MAX, max: u64, retries: u32) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        let step = backoff.step(retries).as_nanos();
        prop_assert_eq!(backoff.delay(retries, u64::MAX, u64::MAX).as_nanos(), step);
        prop_assert_eq!(backoff.delay(retries, u64::MAX, 0).as_nanos(), step - step / 8);
        let first = backoff.step(0).as_nanos();
        prop_assert_eq!(backoff.delay(0, 0, u64::MAX).as_nanos(), first - first / 2);
    }

    #[test]
    fn steps_never_shrink(base: u64, max: u64, retries in 0..1000_u32) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        prop_assert!(backoff.step(retries) <= backoff.step(retries + 1));
    }

    #[test]
    fn absurd_times_saturate(base: u64, max: u64, retries: u32, place: u64, random: u64) {
        let backoff = Backoff::new(
            Duration::from_secs(base).max(Duration::MAX / 2),
            Duration::from_secs(max),
        );
        prop_assert!(backoff.delay(retries, place, random) <= Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_spread_reaches_from_nothing_to_all(time: u64, random: u64) {
        let time = Duration::from_nanos(time);
        prop_assert!(spread(time, random) <= time);
        prop_assert_eq!(spread(time, 0), Duration::ZERO);
        prop_assert_eq!(spread(time, u64::MAX), time);
    }
}

/// Linkerd's and tower's backoffs scale seconds and nanoseconds separately: a step of whole
/// seconds gets no jitter, and one of 1.6 s too little.
#[test]
fn the_place_is_not_truncated_to_whole_seconds() {
    for step in SCALES {
        let backoff = Backoff::new(step, step * 64);
        let half = step / 2;
        assert_uniform(half, half, |random| backoff.delay(0, random, u64::MAX));
    }
}

/// Both of them have no jitter at the cap, where a fleet that lost its server spends its time.
#[test]
fn there_is_jitter_at_the_cap() {
    for max in SCALES {
        let backoff = Backoff::new(max / 64, max);
        let eighth = max / 8;
        for retries in [7, 8, 30, 63, 64, u32::MAX] {
            assert_uniform(max - eighth, eighth, |random| {
                backoff.delay(retries, u64::MAX / 3, random)
            });
        }
    }
}

/// The sum of the delays before a dial is spread over all of its step, at the cap as before it:
/// that is what keeps a fleet that failed at one moment from dialling at one moment.
#[test]
fn the_dials_of_a_fleet_are_spread_over_all_of_a_step() {
    let max = Duration::from_secs(8);
    let backoff = Backoff::new(Duration::from_millis(125), max);
    for retries in 1..12 {
        let step = backoff.step(retries - 1);
        let dialled_at = |place| {
            let delays = (0..retries).map(|retry| backoff.delay(retry, place, u64::MAX));
            delays.sum::<Duration>()
        };
        // Doubling from `base`, the sum is less by one first delay than twice the last one.
        let (first, last) = (dialled_at(0), dialled_at(u64::MAX));
        let range = last - first;
        assert!(
            range > step.mul_f64(0.98) || retries < 7,
            "{retries}: {range:?}"
        );
        assert_uniform(first, range, dialled_at);
    }
}

const SCALES: [Duration; 6] = [
    Duration::from_nanos(900),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_millis(1600),
    Duration::from_secs(3),
    Duration::from_secs(7200),
];

/// 8000 draws into 8 equal parts of `range`: a part of a uniform distribution holds 1000, with a
/// standard deviation below 30.
fn assert_uniform(least: Duration, range: Duration, delay: impl Fn(u64) -> Duration) {
    let mut random = StdRng::seed_from_u64(7);
    let mut parts = [0_u32; 8];
    for _ in 0..8000 {
        let offset = (delay(random.next_u64()) - least).as_nanos();
        parts[(offset * 8 / (range.as_nanos() + 1)) as usize] += 1;
    }
    for part in parts {
        assert!(
            (850..1150).contains(&part),
            "{least:?} {range:?}: {parts:?}"
        );
    }
}
