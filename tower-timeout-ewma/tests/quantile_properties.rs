//! What holds for the quantile estimator whatever happened to it before.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
#[allow(dead_code)]
#[path = "../src/sync.rs"]
mod sync;

use estimator::{Estimate, Quantile, Rule, Settings};

/// What becomes of a request, and how much later than the one before.
#[derive(Clone, Copy, Debug)]
struct Event {
    after: u64,
    age: Duration,
    ending: Ending,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Answered,
    TimedOut,
    Cancelled,
}

impl Event {
    fn tell(self, estimator: &Quantile, now: &mut u64) {
        let start = *now;
        estimator.waits(start);
        *now = now.saturating_add(self.after);
        estimator.ended(start, *now);
        match self.ending {
            Ending::Answered => drop(estimator.answered(self.age, *now)),
            Ending::TimedOut => drop(estimator.timed_out(self.age, *now)),
            Ending::Cancelled => estimator.cancelled(self.age, *now),
        }
    }
}

#[test]
fn an_answer_in_no_time_is_an_answer() {
    let estimator = estimator(Settings::default());
    for now in 0..20 {
        estimator.answered(Duration::ZERO, now << 25);
    }
    assert_eq!(estimator.samples(), 20);
    assert_eq!(estimator.limit(), Settings::default().min);
}

#[test]
fn a_clock_that_steps_back_is_harmless() {
    let estimator = estimator(Settings::default());
    for now in (0..100).chain(0..50) {
        estimator.answered(Duration::from_millis(20), now << 25);
    }
    assert!(estimator.limit() < Duration::from_millis(80));
}

#[test]
fn hours_of_nothing_and_of_hangs_leave_a_limit_that_is_learnt() {
    let estimator = estimator(Settings::default());
    let mut now = 0;
    let mut many = |ending, age, requests| {
        for _ in 0..requests {
            let event = Event {
                after: 1 << 28,
                age,
                ending,
            };
            event.tell(&estimator, &mut now);
        }
        now += 1 << 43;
        estimator.limit()
    };
    let calm = many(Ending::Answered, Duration::from_millis(20), 2_000);
    many(Ending::TimedOut, Duration::from_secs(10), 20_000);
    let after = many(Ending::Answered, Duration::from_millis(20), 200);
    let ratio = after.as_secs_f64() / calm.as_secs_f64();
    assert!((0.5..2.0).contains(&ratio), "{calm:?} {after:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_limit_is_between_min_and_max(settings in settings(), history in history()) {
        let estimator = estimator(settings);
        let mut now = 0;
        for event in history {
            event.tell(&estimator, &mut now);
            let limit = estimator.limit();
            prop_assert!(settings.min <= limit && limit <= settings.max, "{limit:?}");
        }
    }

    /// Of two services of which one answers each request later, it has the longer limit, where there
    /// are so many answers that the quantile is known.
    #[test]
    fn the_limit_is_monotone_in_the_samples(
        sigma in 0.05..1.2, later in prop::collection::vec(1.0..1.2, 16), seed: u64,
    ) {
        let mut random = StdRng::seed_from_u64(seed);
        let latencies: Vec<_> = (0..4_000).map(|_| log_normal(sigma, &mut random)).collect();
        let [limit, longer] = [vec![1.0], later].map(|later| {
            let later = later.iter().cycle();
            limit_after(latencies.iter().zip(later).map(|(latency, later)| latency * later))
        });
        prop_assert!(longer >= limit, "{limit:?} {longer:?}");
    }

    /// Where there are few it is guessed from the shape of the tail, and slower usual requests make
    /// that look shorter: by a bounded part.
    #[test]
    fn of_few_the_limit_is_nearly_monotone_in_the_samples(
        latencies in prop::collection::vec(1_u32..1000, 30..300), slower in 1.0..1.2,
    ) {
        let [limit, longer] = [1.0, slower].map(|slower| {
            limit_after(latencies.iter().map(|latency| f64::from(*latency) * slower / 1e3))
        });
        prop_assert!(longer >= limit.mul_f64(0.85), "{limit:?} {longer:?}");
    }

    #[test]
    fn a_limit_that_may_not_move_stays(limit in duration(), history in history()) {
        let [min, max, initial] = [limit; 3];
        let estimator = estimator(Settings { min, max, initial, ..Settings::default() });
        let mut now = 0;
        for event in history {
            event.tell(&estimator, &mut now);
            prop_assert_eq!(estimator.limit(), limit);
        }
    }

    #[test]
    fn any_two_durations_can_be_started_from(typical in duration(), limit in duration()) {
        let settings = Settings {
            start_from: Some(Estimate::new(typical, limit)),
            ..Settings::default()
        };
        let estimator = estimator(settings);
        let is_allowed = |limit| settings.min <= limit && limit <= settings.max;
        prop_assert!(is_allowed(estimator.limit()));
        let mut now = 0;
        for _ in 0..300 {
            let age = Duration::from_millis(20);
            Event { after: 1 << 25, age, ending: Ending::Answered }.tell(&estimator, &mut now);
            prop_assert!(is_allowed(estimator.limit()));
        }
    }

    #[test]
    fn every_timeout_is_counted(history in history()) {
        let estimator = estimator(Settings::default());
        let (mut now, mut timeouts) = (0, 0);
        for event in history {
            event.tell(&estimator, &mut now);
            timeouts += u64::from(matches!(event.ending, Ending::TimedOut));
        }
        prop_assert_eq!(estimator.timeouts(), timeouts);
    }
}

/// Of answers that took so many seconds, one every 2 ms.
fn limit_after(latencies: impl Iterator<Item = f64>) -> Duration {
    let estimator = estimator(Settings {
        min: Duration::from_nanos(1),
        ..Settings::default()
    });
    for (now, latency) in (1_000_u64..).zip(latencies) {
        estimator.answered(Duration::from_secs_f64(latency), now << 21);
    }
    estimator.limit()
}

/// 20 ms in the median. Seconds.
fn log_normal(sigma: f64, random: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * random.random::<f64>()).cos();
    0.02 * (sigma * normal).exp()
}

fn estimator(settings: Settings) -> Quantile {
    match settings.rule {
        Rule::Quantile { quantile, factor } => Quantile::new(settings, quantile, factor),
        Rule::Deviations(_) => Quantile::new(settings, 0.999, 1.0),
    }
}

/// Mostly what a service does, and now and then anything.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        60 => (1_000_u64..100_000_000).prop_map(Duration::from_nanos),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
    ]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let ending = prop_oneof![
        16 => Just(Ending::Answered),
        2 => Just(Ending::TimedOut),
        1 => Just(Ending::Cancelled),
    ];
    let after = prop_oneof![20 => 0_u64..50_000_000, 1 => any::<u64>()];
    let event =
        (after, duration(), ending).prop_map(|(after, age, ending)| Event { after, age, ending });
    prop::collection::vec(event, 0..300)
}

fn settings() -> impl Strategy<Value = Settings> {
    let limits = prop_oneof![
        [duration(), duration(), duration()],
        Just([Duration::ZERO, Duration::from_secs(1), Duration::MAX]),
    ];
    let rule = (0.5..0.9999, 0.1..100.0)
        .prop_map(|(quantile, factor)| Rule::Quantile { quantile, factor });
    (limits, rule, 1_u32..30, 1_u64..86_400).prop_map(|(mut limits, rule, min_samples, window)| {
        limits.sort();
        let [min, initial, max] = limits;
        Settings {
            rule,
            min,
            max,
            initial,
            min_samples,
            window: Duration::from_secs(window),
            ..Settings::default()
        }
    })
}
