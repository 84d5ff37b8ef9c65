//! The delays are exact at every scale, and random at every scale.
#![allow(dead_code)]

use std::time::Duration;

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::backoff::Backoff;

#[path = "../src/backoff.rs"]
mod backoff;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delay_is_in_the_upper_half_of_its_step(
        base in 1..=3_600_000_000_000_u64,
        factor in 1..=10_000_u64,
        retries in 0..100_u32,
        random: u64,
    ) {
        let max = base.saturating_mul(factor);
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        let exact = (u128::from(base) << retries.min(64)).min(u128::from(max)) as u64;
        let step = Duration::from_nanos(exact);
        prop_assert_eq!(backoff.step(retries), step);
        let delay = backoff.delay(retries, random);
        prop_assert!(delay <= step);
        prop_assert!(delay >= Duration::from_nanos(exact / 2));
    }

    #[test]
    fn both_ends_of_the_range_are_reached(base: u64, max: u64, retries: u32) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        let step = backoff.step(retries);
        prop_assert_eq!(backoff.delay(retries, u64::MAX), step);
        prop_assert_eq!(backoff.delay(retries, 0).as_nanos(), step.as_nanos() / 2);
    }

    #[test]
    fn steps_never_shrink(base: u64, max: u64, retries in 0..1000_u32) {
        let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
        prop_assert!(backoff.step(retries) <= backoff.step(retries + 1));
    }

    #[test]
    fn absurd_times_saturate(base: u64, max: u64, retries: u32, random: u64) {
        let backoff = Backoff::new(
            Duration::from_secs(base).max(Duration::MAX / 2),
            Duration::from_secs(max),
        );
        prop_assert!(backoff.delay(retries, random) <= Duration::from_nanos(u64::MAX));
    }
}

/// Linkerd's and tower's backoffs scale seconds and nanoseconds separately: a step of whole
/// seconds gets no jitter, and one of 1.6 s too little.
#[test]
fn jitter_is_not_truncated_to_whole_seconds() {
    for step in [
        Duration::from_nanos(900),
        Duration::from_millis(100),
        Duration::from_secs(1),
        Duration::from_millis(1600),
        Duration::from_secs(3),
        Duration::from_secs(7200),
    ] {
        assert_uniform(Backoff::new(step, step), 0, step);
    }
}

/// Both of them have none at the cap, where a fleet that lost its server spends its time.
#[test]
fn there_is_jitter_at_the_cap() {
    let max = Duration::from_secs(10);
    let backoff = Backoff::new(Duration::from_millis(100), max);
    for retries in [7, 8, 30, 63, 64, u32::MAX] {
        assert_uniform(backoff, retries, max);
    }
}

/// 8000 draws into 8 equal parts of the upper half: a part of a uniform distribution holds
/// 1000, with a standard deviation below 30.
fn assert_uniform(backoff: Backoff, retries: u32, step: Duration) {
    let mut random = StdRng::seed_from_u64(7);
    let mut parts = [0_u32; 8];
    let half = step.as_nanos() / 2;
    for _ in 0..8000 {
        let offset = backoff.delay(retries, random.next_u64()).as_nanos() - half;
        parts[(offset * 8 / (half + 1)) as usize] += 1;
    }
    for part in parts {
        assert!((850..1150).contains(&part), "{step:?}: {parts:?}");
    }
}
