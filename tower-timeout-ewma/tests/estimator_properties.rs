//! What holds for the smoothed estimator whatever happened to it before. `quantile_properties.rs` has
//! the other.

use std::time::Duration;

use proptest::prelude::*;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
#[allow(dead_code)]
#[path = "../src/sync.rs"]
mod sync;

use estimator::{Rule, Settings, Smoothed};

#[derive(Clone, Copy, Debug)]
enum Event {
    Answered(Duration),
    TimedOut(Duration),
    Cancelled(Duration),
}

impl Event {
    fn tell(self, estimator: &Smoothed) {
        match self {
            Self::Answered(latency) => drop(estimator.answered(latency, 0)),
            Self::TimedOut(limit) => drop(estimator.timed_out(limit, 0)),
            Self::Cancelled(age) => estimator.cancelled(age),
        }
    }
}

#[test]
fn an_answer_in_no_time_is_an_answer() {
    let estimator = smoothed(Settings::default());
    for _ in 0..10 {
        estimator.answered(Duration::ZERO, 0);
    }
    assert_eq!(smoothed_of(&estimator), Some(Duration::from_nanos(1)));
    assert_eq!(estimator.limit(), Settings::default().min);
}

#[test]
fn no_doubling_is_spent_below_min() {
    let settings = Settings::default();
    let estimator = smoothed(settings);
    for _ in 0..1000 {
        estimator.answered(Duration::from_millis(1), 0);
    }
    assert_eq!(estimator.limit(), settings.min);
    for _ in 0..7 {
        estimator.timed_out(estimator.limit(), 0);
    }
    assert_eq!(estimator.limit(), settings.min * 2);
}

#[test]
fn each_timeout_beyond_the_sixth_doubles_the_limit() {
    let estimator = smoothed(Settings::default());
    for _ in 0..10 {
        estimator.answered(Duration::from_millis(20), 0);
    }
    for _ in 0..6 {
        estimator.timed_out(estimator.limit(), 0);
    }
    let mut limit = estimator.limit();
    for slow_answers in [0, 1, 2, 5] {
        for _ in 0..slow_answers {
            estimator.answered(limit.mul_f64(0.9), 0);
        }
        limit = estimator.limit();
        estimator.timed_out(limit, 0);
        let doubled = estimator.limit();
        assert!(doubled.abs_diff(limit * 2) < Duration::from_micros(1));
        limit = doubled;
    }
}

/// After an outage of fast refusals the limit is far too short: it doubles until answers get
/// through, and they raise the estimate. The one must not multiply the other.
#[test]
fn the_limit_does_not_overshoot_when_slow_answers_come_back() {
    let latency = Duration::from_millis(100);
    let estimator = smoothed(Settings::default());
    for _ in 0..1000 {
        estimator.answered(Duration::from_millis(1), 0);
    }
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let limit = estimator.limit();
        longest = longest.max(limit);
        if latency <= limit {
            estimator.answered(latency, 0);
        } else {
            estimator.timed_out(limit, 0);
        }
    }
    assert!(longest < latency * 4, "{longest:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_limit_is_between_min_and_max(settings in settings(), history in history()) {
        let estimator = smoothed(settings);
        for event in history {
            event.tell(&estimator);
            let limit = estimator.limit();
            prop_assert!(settings.min <= limit && limit <= settings.max, "{limit:?}");
        }
    }

    #[test]
    fn a_slower_answer_never_makes_the_limit_shorter_than_a_faster_one(
        settings in settings(), history in history(), one in duration(), other in duration(),
    ) {
        let limit_after = |latency| {
            let estimator = after(settings, &history);
            estimator.answered(latency, 0);
            estimator.limit()
        };
        prop_assert!(limit_after(one.min(other)) <= limit_after(one.max(other)));
    }

    #[test]
    fn a_request_without_an_answer_never_makes_the_limit_shorter(
        settings in settings(), history in history(), age in duration(), timed_out: bool,
    ) {
        let estimator = after(settings, &history);
        let before = known(&estimator);
        let learnt = estimator.samples() >= settings.min_samples.into();
        if timed_out {
            estimator.timed_out(age, 0);
        } else {
            estimator.cancelled(age);
        }
        let after = known(&estimator);
        prop_assert!(after.smoothed >= before.smoothed);
        prop_assert!(after.deviation >= before.deviation);
        if learnt {
            prop_assert!(after.limit >= before.limit);
        }
    }

    #[test]
    fn no_answer_lowers_the_estimate_while_many_time_out(
        history in history(), latency in duration(),
    ) {
        let estimator = after(Settings::default(), &history);
        let before = known(&estimator);
        estimator.answered(latency, 0);
        if estimator.relaxing() {
            let after = known(&estimator);
            prop_assert!(after.smoothed >= before.smoothed);
            prop_assert!(after.deviation >= before.deviation);
        }
    }

    #[test]
    fn nothing_is_learnt_about_a_cancelled_request_younger_than_the_estimate(
        history in prop::collection::vec(duration().prop_map(Event::Answered), 1..50),
        share in 0.0..1.0,
    ) {
        let estimator = smoothed(Settings::default());
        for event in history {
            event.tell(&estimator);
        }
        let before = known(&estimator);
        let age = before.smoothed.unwrap_or_default().mul_f64(share);
        estimator.cancelled(age);
        prop_assert_eq!(before, known(&estimator));
    }

    #[test]
    fn the_limit_is_a_tick_above_even_the_steadiest_latency(latency in latency()) {
        let estimator = smoothed(Settings::default());
        for _ in 0..2000 {
            estimator.answered(latency, 0);
        }
        let above = estimator.limit() - smoothed_of(&estimator).unwrap_or_default();
        prop_assert!(above >= Duration::from_micros(999), "{above:?}");
    }

    #[test]
    fn a_limit_that_may_not_move_stays(limit in duration(), history in history()) {
        let [min, max, initial] = [limit; 3];
        let estimator = smoothed(Settings { min, max, initial, ..Settings::default() });
        for event in history {
            event.tell(&estimator);
            prop_assert_eq!(estimator.limit(), limit);
        }
    }

    #[test]
    fn every_answer_and_every_timeout_is_counted(history in history()) {
        let estimator = smoothed(Settings::default());
        let (mut samples, mut timeouts) = (0, 0);
        for event in history {
            event.tell(&estimator);
            samples += u64::from(matches!(event, Event::Answered(_)));
            timeouts += u64::from(matches!(event, Event::TimedOut(_)));
        }
        prop_assert_eq!((estimator.samples(), estimator.timeouts()), (samples, timeouts));
    }
}

fn latency() -> impl Strategy<Value = Duration> {
    (1_000_u64..100_000_000).prop_map(Duration::from_nanos)
}

/// Mostly what a service does, and now and then anything.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        60 => latency(),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
    ]
}

fn history() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        16 => duration().prop_map(Event::Answered),
        1 => duration().prop_map(Event::TimedOut),
        1 => duration().prop_map(Event::Cancelled),
    ];
    prop::collection::vec(event, 0..150)
}

/// Half of them leave the limit free to move.
fn settings() -> impl Strategy<Value = Settings> {
    let any = (
        [duration(), duration(), duration()],
        0.001..1000.0,
        1_u32..30,
    );
    let free = (
        Just([Duration::ZERO, Duration::from_secs(1), Duration::MAX]),
        0.5..10.0,
        Just(1),
    );
    prop_oneof![any, free].prop_map(|(mut limits, deviations, min_samples)| {
        limits.sort();
        let [min, initial, max] = limits;
        Settings {
            min,
            max,
            initial,
            rule: Rule::Deviations(deviations),
            min_samples,
            ..Settings::default()
        }
    })
}

fn after(settings: Settings, history: &[Event]) -> Smoothed {
    let estimator = smoothed(settings);
    for event in history {
        event.tell(&estimator);
    }
    estimator
}

#[derive(Debug, PartialEq)]
struct Known {
    limit: Duration,
    smoothed: Option<Duration>,
    deviation: Option<Duration>,
}

fn known(estimator: &Smoothed) -> Known {
    let known = estimator.known();
    Known {
        limit: estimator.limit(),
        smoothed: known.map(|(smoothed, _)| smoothed),
        deviation: known.map(|(_, deviation)| deviation),
    }
}

fn smoothed_of(estimator: &Smoothed) -> Option<Duration> {
    known(estimator).smoothed
}

fn smoothed(settings: Settings) -> Smoothed {
    let deviations = match settings.rule {
        Rule::Deviations(deviations) => deviations,
        Rule::Quantile { .. } => 4.0,
    };
    let rule = Rule::Deviations(deviations);
    Smoothed::new(Settings { rule, ..settings }, deviations)
}
