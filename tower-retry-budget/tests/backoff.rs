//! The backoff: exact from nanoseconds to a day, and never without jitter.

use std::{collections::HashSet, iter, ops::RangeInclusive, time::Duration};

use proptest::prelude::*;
use tower::{Layer, ServiceExt};
use tower_retry_budget::{Backoff, Budget, Jitter, OnError, RetryLayer};

mod support;

use support::{Answer, World, within};

#[test]
fn four_attempts_outlive_250_ms() {
    let took = |seed| waits(&Backoff::default(), seed).take(3).sum::<u64>();
    let shortest = (0..10_000).map(took).min();
    assert!(shortest >= Some(262_500_000), "{shortest:?}");
}

#[test]
fn it_grows_by_its_factor_up_to_the_maximum() {
    for (factor, ceilings) in [
        (1, [25, 25, 25, 25, 25]),
        (2, [25, 50, 100, 200, 400]),
        (4, [25, 100, 400, 400, 400]),
        (5, [25, 125, 400, 400, 400]),
    ] {
        let backoff = Backoff::default().factor(factor).unwrap();
        let mut longest = [0; 5];
        for seed in 0..1_000 {
            for (longest, wait) in longest.iter_mut().zip(waits(&backoff, seed)) {
                *longest = wait.max(*longest);
            }
        }
        for (longest, ceiling) in longest.into_iter().zip(ceilings) {
            let ceiling = ceiling * 1_000_000;
            let reached = ceiling / 100 * 99..=ceiling;
            assert!(reached.contains(&longest), "{factor}: {longest}, {ceiling}");
        }
    }
}

#[test]
fn both_ends_of_the_range_are_drawn() {
    for (jitter, expected) in [
        (Jitter::Full, 0..=5),
        (Jitter::Equal, 3..=5),
        (Jitter::Decorrelated, 5..=20),
    ] {
        let backoff = backoff(5, DAY, 4, jitter);
        let drawn: HashSet<_> = (0..1_000).map(|seed| first(&backoff, seed)).collect();
        assert_eq!(drawn, expected.collect(), "{jitter:?}");
    }
}

/// Tower scales seconds and nanoseconds apart, so that whole seconds have no jitter.
#[test]
fn the_jitter_is_uniform_at_each_scale() {
    for jitter in JITTERS {
        for scale in [900, 100_000_000, 1_000_000_000, 1_600_000_000, DAY / 2] {
            let backoff = backoff(scale, 2 * scale, 100, jitter);
            let range = range(jitter, scale, 2 * scale, 100, None);
            assert_uniform(&range, (0..8_000).map(|seed| first(&backoff, seed)));
        }
    }
}

#[test]
fn the_jitter_is_as_wide_at_the_maximum() {
    let (base, max) = (200_000_000, 10_000_000_000);
    for (jitter, range) in [
        (Jitter::Full, 0..=max),
        (Jitter::Equal, max / 2..=max),
        (Jitter::Decorrelated, base..=max),
    ] {
        let backoff = backoff(base, max, 100, jitter);
        // A hundred times the base is above the maximum.
        let at_maximum = (0..80).flat_map(|seed| waits(&backoff, seed).skip(20).take(100));
        assert_uniform(&range, at_maximum);
    }
}

#[test]
fn the_mean_is_the_middle_of_the_range() {
    for jitter in JITTERS {
        let all: Vec<_> = (0..10_000).flat_map(|seed| places(jitter, seed)).collect();
        assert_eq!(all.len(), 100_000);
        // Four standard deviations of the mean of so many uniform numbers.
        let tolerance = 4.0 * (1.0_f64 / 12.0 / all.len() as f64).sqrt();
        let mean = mean(&all);
        assert!((mean - 0.5).abs() < tolerance, "{jitter:?}: {mean}");
    }
}

/// Tower clones its generator into each session: they all wait alike.
#[test]
fn sessions_have_nothing_in_common() {
    for jitter in JITTERS {
        let mut sessions: Vec<_> = (0..10_000).map(|seed| places(jitter, seed)).collect();
        sessions.push(places(jitter, u64::MAX));
        for lag in [0, 1] {
            let (mine, next): (Vec<_>, Vec<_>) = sessions
                .windows(2)
                .flat_map(|pair| iter::zip(pair[0].clone(), pair[1].clone().split_off(lag)))
                .unzip();
            assert_uncorrelated(&mine, &next);
        }
    }
}

#[test]
fn a_wait_says_nothing_of_the_next_one() {
    for jitter in JITTERS {
        for lag in [1, 2] {
            let (before, after): (Vec<_>, Vec<_>) = (0..10_000)
                .map(|seed| places(jitter, seed))
                .flat_map(|session| iter::zip(session.clone(), session.split_at(lag).1.to_vec()))
                .unzip();
            assert_uncorrelated(&before, &after);
        }
    }
}

#[test]
fn a_seed_says_all() {
    for jitter in JITTERS {
        let backoff = backoff(1_000_000, DAY, 3, jitter);
        let one: Vec<_> = waits(&backoff, 1).take(50).collect();
        assert_eq!(one, waits(&backoff.clone(), 1).take(50).collect::<Vec<_>>());
        assert_ne!(one, waits(&backoff, 2).take(50).collect::<Vec<_>>());
    }
    // On each machine, and in each version: simulations are to be repeated.
    let known: Vec<_> = waits(&Backoff::default(), 7).take(4).collect();
    assert_eq!(known, [13_192_005, 58_605_792, 343_515_226, 285_441_964]);
}

#[test]
fn a_clone_goes_on_where_the_session_is() {
    let mut session = Backoff::default().session(7);
    session.next();
    let mut clone = session.clone();
    assert_eq!(session.next(), clone.next());
}

#[test]
fn without_a_base_nothing_is_waited_for() {
    for jitter in JITTERS {
        assert!(
            waits(&backoff(0, DAY, 4, jitter), 7)
                .take(9)
                .all(|wait| wait == 0)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_wait_is_in_its_range(
        (base, max) in (1..DAY).prop_flat_map(|base| (Just(base), base + 1..=DAY)),
        tiny in 0..47_u32,
        factor in 2..=100_u32,
        which in 0..3_usize,
        seed in any::<u64>(),
    ) {
        let jitter = JITTERS[which];
        let (base, max) = ((base >> tiny).max(1), (max >> tiny).max(2));
        prop_assume!(base < max);
        let backoff = backoff(base, max, factor, jitter);
        let mut before = None;
        for wait in waits(&backoff, seed).take(60) {
            let range = range(jitter, base, max, factor, before);
            prop_assert!(range.contains(&wait), "{wait} in {range:?}");
            before = Some((wait, range));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_two_sessions_wait_alike() {
    let hour = Duration::from_secs(3_600);
    let layer: RetryLayer<OnError> = RetryLayer::builder(Budget::new())
        .backoff(within(hour, hour))
        .build()
        .unwrap();
    let mut waits = HashSet::new();
    for _ in 0..10 {
        let world = World::answering([Answer::Err("down"), Answer::Ok("up")]);
        let start = tokio::time::Instant::now();
        layer.layer(world.probe()).oneshot(()).await.unwrap();
        let wait = tokio::time::Instant::now().duration_since(start);
        assert!(
            wait >= hour / 2 && wait <= hour + Duration::from_millis(1),
            "{wait:?}"
        );
        waits.insert(wait);
    }
    assert!(waits.len() >= 9, "{waits:?}");
}

fn backoff(base: u64, max: u64, factor: u32, jitter: Jitter) -> Backoff {
    let backoff = Backoff::new(Duration::from_nanos(base), Duration::from_nanos(max));
    let backoff = backoff.and_then(|backoff| backoff.factor(factor));
    backoff
        .and_then(|backoff| backoff.jitter(jitter))
        .expect("valid")
}

/// In nanoseconds.
fn waits(backoff: &Backoff, seed: u64) -> impl Iterator<Item = u64> + use<> {
    let mut session = backoff.session(seed);
    iter::repeat_with(move || session.next().as_nanos() as u64)
}

fn first(backoff: &Backoff, seed: u64) -> u64 {
    waits(backoff, seed).next().expect("endless")
}

/// What a wait is drawn from, after one `before` and what that was drawn from.
fn range(
    jitter: Jitter,
    base: u64,
    max: u64,
    factor: u32,
    before: Option<(u64, RangeInclusive<u64>)>,
) -> RangeInclusive<u64> {
    let grown = |from: u64| (u128::from(from) * u128::from(factor)).min(u128::from(max)) as u64;
    let ceiling = before
        .as_ref()
        .map_or(base, |(_, range)| grown(*range.end()));
    match jitter {
        Jitter::Full => 0..=ceiling,
        Jitter::Equal => ceiling - ceiling / 2..=ceiling,
        _ => base..=grown(before.map_or(base, |(wait, _)| wait)),
    }
}

/// Where in their ranges the first ten waits of a session are, from 0 to 1.
fn places(jitter: Jitter, seed: u64) -> Vec<f64> {
    let (base, max, factor) = (1_000_000, 1_000_000_000, 3);
    let mut before = None;
    let waits = waits(&backoff(base, max, factor, jitter), seed).take(10);
    let place = |wait: u64| {
        let range = range(jitter, base, max, factor, before.take());
        let place = (wait - range.start()) as f64 / (range.end() - range.start()) as f64;
        before = Some((wait, range));
        place
    };
    waits.map(place).collect()
}

/// 8,000 draws into 8 parts: 1,000 each, with a standard deviation below 30.
fn assert_uniform(range: &RangeInclusive<u64>, draws: impl Iterator<Item = u64>) {
    let mut parts = [0_u32; 8];
    for wait in draws {
        assert!(range.contains(&wait), "{wait} in {range:?}");
        let (offset, width) = (wait - range.start(), range.end() - range.start() + 1);
        parts[(u128::from(offset) * 8 / u128::from(width)) as usize] += 1;
    }
    assert_eq!(parts.iter().sum::<u32>(), 8_000);
    let uniform = parts.iter().all(|part| (880..1_120).contains(part));
    assert!(uniform, "{range:?}: {parts:?}");
}

fn assert_uncorrelated(one: &[f64], other: &[f64]) {
    let (mean_one, mean_other) = (mean(one), mean(other));
    let covariance = iter::zip(one, other).map(|(a, b)| (a - mean_one) * (b - mean_other));
    // The variance of a uniform number.
    let correlation = 12.0 * covariance.sum::<f64>() / one.len() as f64;
    let tolerance = 4.0 / (one.len() as f64).sqrt();
    assert!(correlation.abs() < tolerance, "{correlation}");
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

const DAY: u64 = 86_400_000_000_000;

const JITTERS: [Jitter; 3] = [Jitter::Full, Jitter::Equal, Jitter::Decorrelated];
