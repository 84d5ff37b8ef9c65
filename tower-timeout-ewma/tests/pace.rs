//! How many requests are measured where there are very many.

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
#[allow(dead_code)]
#[path = "../src/sync.rs"]
mod sync;

use estimator::Pace;

/// Of a thousand that start then, by the numbers from 0 on.
fn measured(pace: &Pace, now: u64) -> usize {
    let measures = |random: &u32| pace.measures(|| now, || *random);
    (0..1024).map(|low| low | 1 << 31).filter(measures).count()
}

#[test]
fn few_are_all_measured() {
    let pace = Pace::new(10_000);
    pace.adapt(230.0, 1_000_000, 10_000_000);
    assert_eq!(measured(&pace, 10_000_000), 1024);
}

#[test]
fn of_many_about_ten_thousand_a_second_are() {
    let pace = Pace::new(10_000);
    let mut now = 0;
    for a_second in [1_300_000.0, 41_000.0, 50_000_000.0, 90_000.0] {
        now = follow(&pace, a_second, now);
        let share = measured(&pace, now) as f64 / 1024.0;
        let expected = (10_000.0 / a_second).max(1.0 / 1024.0);
        assert!(
            (0.4..2.5).contains(&(share / expected)),
            "{a_second}: {share}"
        );
    }
}

/// A change of what is measured is a step of load to the estimator.
#[test]
fn it_does_not_follow_what_is_short() {
    let pace = Pace::new(10_000);
    let now = follow(&pace, 100_000.0, 0);
    let before = measured(&pace, now);
    for (tick, a_second) in [(1, 20_000.0), (2, 500_000.0)] {
        let share = before as f64 / 1024.0;
        pace.adapt(a_second * share / 50.0, 20_000_000, now + tick * 20_000_000);
        assert_eq!(measured(&pace, now + tick * 20_000_000), before);
    }
}

#[test]
fn when_they_stop_coming_all_are_measured_again() {
    let pace = Pace::new(10_000);
    let now = follow(&pace, 1_000_000.0, 0);
    let looks = |now| pace.measures(|| now, || 1);
    let (soon, later) = (now + 60_000_000, now + 70_000_000);
    assert!(!looks(soon) && !pace.has_lapsed(soon));
    assert!(looks(later) && pace.has_lapsed(later));
}

/// For ten seconds, in steps of 20 ms. Returns when they end.
fn follow(pace: &Pace, a_second: f64, mut now: u64) -> u64 {
    for _ in 0..500 {
        now += 20_000_000;
        let share = measured(pace, now) as f64 / 1024.0;
        pace.adapt(a_second * share / 50.0, 20_000_000, now);
    }
    now
}
