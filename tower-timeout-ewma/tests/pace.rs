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
fn of_many_ten_thousand_a_second_are() {
    let pace = Pace::new(10_000);
    let mut now = 0;
    for a_second in [
        1_300_000.0,
        1_300_000.0,
        41_000.0,
        10_000_000_000.0,
        41_000.0,
    ] {
        for _ in 0..2 {
            now += 20_000_000;
            let share = measured(&pace, now) as f64 / 1024.0;
            pace.adapt(a_second * share / 50.0, 20_000_000, now);
        }
        let share = measured(&pace, now) as f64 / 1024.0;
        let expected = (10_000.0 / a_second).max(1.0 / 1024.0);
        assert!(
            (0.7..1.42).contains(&(share / expected)),
            "{a_second}: {share}"
        );
    }
}

#[test]
fn when_they_stop_coming_all_are_measured_again() {
    let pace = Pace::new(10_000);
    pace.adapt(10_000.0, 10_000_000, 10_000_000);
    let looks = |now, random| pace.measures(|| now, || random);
    assert!(!looks(70_000_000, 1) && !pace.has_lapsed(70_000_000));
    assert!(looks(80_000_000, 1) && pace.has_lapsed(80_000_000));
}
