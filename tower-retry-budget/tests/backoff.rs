//! The backoff: exact from nanoseconds to hours, and never without jitter.

use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;
use tower::{Layer, ServiceExt};
use tower_retry_budget::{Backoff, Budget, OnError, RetryLayer};

mod support;

use support::{Answer, World, within};

#[test]
fn it_doubles_up_to_the_maximum() {
    let backoff = Backoff::default();
    let longest = [0, 1, 2, 3, 4, 5, 99].map(|retry| backoff.delay(retry, 0).as_millis());
    assert_eq!(longest, [25, 50, 100, 200, 250, 250, 250]);
}

#[test]
fn the_jitter_spreads_over_the_upper_half() {
    let backoff = Backoff::default();
    let sample =
        |retry| (0..16_u64).map(move |part| Backoff::default().delay(retry, part << 60).as_nanos());
    for retry in [0, 3, 4, 50] {
        let longest = backoff.delay(retry, 0).as_nanos();
        let distinct: HashSet<_> = sample(retry).collect();
        assert_eq!(distinct.len(), 16, "retry {retry}, also at the maximum");
        assert!(sample(retry).all(|delay| delay * 2 > longest && delay <= longest));
    }
}

#[test]
fn whole_seconds_keep_their_jitter() {
    let backoff = within(Duration::from_secs(1), Duration::from_secs(8));
    assert_eq!(backoff.delay(0, 1 << 63), Duration::from_millis(750));
    assert_eq!(backoff.delay(2, 3 << 62), Duration::from_millis(2_500));
}

#[test]
fn nanoseconds_and_hours_are_exact() {
    let tiny = within(Duration::from_nanos(3), Duration::from_secs(86_400));
    assert_eq!(tiny.delay(0, 0), Duration::from_nanos(3));
    assert_eq!(tiny.delay(30, 0), Duration::from_nanos(3 << 30));
    assert_eq!(tiny.delay(u32::MAX, 0), Duration::from_secs(86_400));
    let day = within(Duration::from_secs(86_400), Duration::from_secs(86_400));
    assert_eq!(day.delay(0, 1 << 63), Duration::from_secs(64_800));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_wait_is_in_the_upper_half_of_its_ceiling(
        base in 0..=86_400_000_000_000_u64,
        more in 0..=86_400_000_000_000_u64,
        retry in any::<u32>(),
        random in any::<u64>(),
    ) {
        let max = base.saturating_add(more).min(86_400_000_000_000);
        let backoff = within(Duration::from_nanos(base), Duration::from_nanos(max));
        let ceiling = 2_f64.powi(retry.min(100) as i32) * base as f64;
        let delay = backoff.delay(retry, random).as_nanos() as f64;
        prop_assert!(delay <= ceiling.min(max as f64) + 1.0);
        prop_assert!(delay >= ceiling.min(max as f64) / 2.0 - 1.0);
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
            wait > hour / 2 && wait <= hour + Duration::from_millis(1),
            "{wait:?}"
        );
        waits.insert(wait);
    }
    assert!(waits.len() >= 9, "{waits:?}");
}
