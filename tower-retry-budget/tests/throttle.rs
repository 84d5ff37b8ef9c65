//! When the throttle holds requests back, and when it lets them through again.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;
use tower_retry_budget::{
    error::Held,
    throttle::{Admission, Builder, Throttle},
};

/// Odd, so that no period is hit exactly.
const TICK: Duration = Duration::from_micros(1_003);

fn seeded() -> Builder {
    Throttle::builder().seed(7)
}

/// Sends one request in each tick, and says how many were let through.
async fn send(throttle: &Throttle, requests: u32, mut accepts: impl FnMut() -> bool) -> u32 {
    let mut sent = 0;
    for _ in 0..requests {
        advance(TICK).await;
        if let Ok(admission) = throttle.admit() {
            sent += 1;
            if accepts() {
                admission.accepted();
            } else {
                admission.refused();
            }
        }
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn while_half_is_accepted_nothing_is_held_back() {
    let throttle = seeded().build().unwrap();
    let mut turn = false;
    let sent = send(&throttle, 20_000, || {
        turn = !turn;
        turn
    })
    .await;
    assert_eq!(sent, 20_000);
    assert_eq!(throttle.stats().held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_drowning_backend_is_not_knocked_at() {
    let throttle = seeded().min_per_second(2.0).build().unwrap();
    send(&throttle, 10_000, || true).await;
    send(&throttle, 10_000, || false).await;
    // The window has nothing else in it by now. In another 60 s: 2 a second, and 1 for each window.
    let sent = send(&throttle, 60_000, || false).await;
    assert!((90..=180).contains(&sent), "{sent}");
    let stats = throttle.stats();
    assert_eq!(stats.accepted, 0);
    assert!(stats.probability > 0.99, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_accepts_a_part_is_asked_for_twice_that() {
    let throttle = seeded().build().unwrap();
    // It has room for 1 of 5 of the requests that are made.
    let mut room: f64 = 0.0;
    let (mut sent, mut accepted) = (0, 0);
    for request in 0..60_000 {
        advance(TICK).await;
        room = (room + 0.2).min(10.0);
        let counts = u32::from(request >= 20_000);
        let Ok(admission) = throttle.admit() else {
            continue;
        };
        sent += counts;
        if room >= 1.0 {
            room -= 1.0;
            accepted += counts;
            admission.accepted();
        } else {
            admission.refused();
        }
    }
    assert!(
        accepted > 7_900,
        "what it can do is still asked of it: {accepted}"
    );
    let times = f64::from(sent) / f64::from(accepted);
    assert!((1.9..2.2).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn it_lets_some_through_so_that_recovery_is_seen() {
    let throttle = seeded().build().unwrap();
    send(&throttle, 10_000, || true).await;
    send(&throttle, 30_000, || false).await;
    let at_first = send(&throttle, 1_000, || true).await;
    assert!(at_first < 20, "{at_first}");
    // A factor of e in half a window: ln(1,000) × 1.5 s.
    send(&throttle, 15_000, || true).await;
    assert_eq!(send(&throttle, 1_000, || true).await, 1_000);
    assert_eq!(throttle.stats().probability, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_holds_nothing_back() {
    let throttle = seeded().build().unwrap();
    send(&throttle, 10_000, || true).await;
    assert_eq!(send(&throttle, 250, || false).await, 250);
    assert_eq!(send(&throttle, 1_000, || true).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn who_asks_less_than_the_floor_is_never_held_back() {
    let throttle = seeded().min_per_second(3.0).build().unwrap();
    for _ in 0..300 {
        advance(Duration::from_millis(337)).await;
        throttle.admit().expect("less than 3 a second").refused();
    }
}

#[tokio::test(start_paused = true)]
async fn idle_forgets() {
    let throttle = seeded().build().unwrap();
    send(&throttle, 20_000, || false).await;
    assert!(throttle.stats().probability > 0.9);
    advance(Duration::from_millis(3_001)).await;
    let stats = throttle.stats();
    assert_eq!((stats.requests, stats.probability), (0, 0.0));
    assert!(stats.held > 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_with_slow_answers_holds_nothing_back() {
    let throttle = seeded().patience(Duration::from_secs(1)).build().unwrap();
    let mut flying = std::collections::VecDeque::new();
    for _ in 0..10_000 {
        advance(TICK).await;
        flying.push_back(throttle.admit().expect("all is well"));
        if flying.len() > 500 {
            flying.pop_front().unwrap().accepted();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_patience_what_hangs_counts_though_nobody_has_given_up() {
    for patient in [false, true] {
        let mut builder = seeded();
        if patient {
            builder = builder.patience(Duration::from_millis(701));
        }
        let throttle = builder.build().unwrap();
        let mut hanging = Vec::new();
        for _ in 0..3_000 {
            advance(TICK).await;
            hanging.extend(throttle.admit());
        }
        let probability = throttle.stats().probability;
        assert_eq!(probability > 0.9, patient, "{probability}");
        for admission in hanging {
            admission.neutral();
        }
        assert_eq!(throttle.stats().requests, throttle.stats().held);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_early_says_nothing_and_who_was_patient_says_no() {
    let throttle = seeded()
        .patience(Duration::from_millis(701))
        .build()
        .unwrap();
    drop(throttle.admit().unwrap());
    let left_early = throttle.admit().unwrap();
    let waited = throttle.admit().unwrap();
    advance(Duration::from_millis(699)).await;
    drop(left_early);
    assert_eq!(throttle.stats().requests, 1 - 1);
    advance(Duration::from_millis(3)).await;
    drop(waited);
    assert_eq!(throttle.stats().requests, 1);
    assert_eq!(throttle.stats().accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_says_how_likely_it_was() {
    let throttle = seeded().min_per_second(0.0).build().unwrap();
    for _ in 0..99 {
        if let Ok(admission) = throttle.admit() {
            admission.refused();
        }
    }
    let before = throttle.stats().probability;
    let held: Held = std::iter::repeat_with(|| throttle.admit())
        .find_map(Result::err)
        .unwrap();
    assert!((before - 0.99).abs() < 1e-9);
    assert!(held.probability() >= before);
    assert!(
        held.to_string().contains("held back, as are 99.0 % now"),
        "{held}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_holds_the_same_requests_back() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let throttle = Throttle::builder().seed(seed).build().unwrap();
        let mut run = Vec::new();
        for _ in 0..500 {
            run.push(throttle.admit().map(Admission::refused).is_ok());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_setting_out_of_range_is_an_error(
        window in 0..8_000_000_u64,
        multiplier in -1.0..200.0_f64,
        floor in -1.0..20_000.0_f64,
        patience in prop::option::of(0..4_000_000_u64),
    ) {
        let mut builder = Throttle::builder()
            .window(Duration::from_millis(window))
            .multiplier(multiplier)
            .min_per_second(floor);
        if let Some(patience) = patience {
            builder = builder.patience(Duration::from_millis(patience));
        }
        let valid = (1_000..=3_600_000).contains(&window)
            && (1.0..=100.0).contains(&multiplier)
            && (0.0..=10_000.0).contains(&floor)
            && patience.is_none_or(|patience| patience >= 1 && 2 * patience <= window);
        prop_assert_eq!(builder.build().is_ok(), valid);
    }
}

#[test]
fn what_is_no_number_is_an_error() {
    let error = Throttle::builder()
        .multiplier(f64::NAN)
        .build()
        .unwrap_err();
    assert_eq!(error.field(), "multiplier");
    assert!(
        Throttle::builder()
            .min_per_second(f64::NAN)
            .build()
            .is_err()
    );
}
