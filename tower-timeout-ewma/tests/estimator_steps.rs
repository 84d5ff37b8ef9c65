//! How the smoothed estimator behaves when the service changes: three seeds, so that it can run each
//! time.
//!
//! The constants were chosen while looking at these latencies and seeds, so the bounds say that
//! nothing got worse. How good it is, and the other, `cargo bench -p benches --bench timeouts` says.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
mod simulation;
#[allow(dead_code)]
#[path = "../src/sync.rs"]
mod sync;

use estimator::Smoothed;
use simulation::{Latency, Limit, Observed, Ours, calm, hanging, run, slow, smoothed};

/// Median 15 ms, p95 56 ms, p99 96 ms, p99.9 178 ms.
const HEAVY: Latency = Latency::LogNormal(15.0, 0.8);
/// Median 20 ms, p95 33 ms, p99 40 ms, p99.9 51 ms.
const LIGHT: Latency = Latency::LogNormal(20.0, 0.3);

/// Median 20 ms, p99.9 37 ms.
const STEADY: Latency = Latency::LogNormal(20.0, 0.2);

const LATENCIES: [(&str, Latency); 3] = [
    ("heavy tail", HEAVY),
    ("light tail", LIGHT),
    ("cache", Latency::CacheWithMisses),
];

/// The same, but a timeout teaches it nothing: it knows only what survived its own limit.
struct Naive(Smoothed);

impl Naive {
    fn new() -> Self {
        Self(smoothed())
    }
}

impl Limit for Naive {
    fn limit(&self) -> Duration {
        self.0.limit()
    }

    fn answered(&mut self, latency: Duration, now: u64) {
        self.0.answered(latency, now);
    }

    fn timed_out(&mut self, _: Duration, _: u64) {}
}

/// RFC 6298 to the letter, without its minimum of one second: the deviation counts both ways with
/// a gain of 1/4, and a timeout doubles the limit until the next sample.
struct Textbook {
    estimate: Option<(f64, f64)>,
    samples: u32,
    backoff: i32,
}

impl Textbook {
    fn new() -> Self {
        Self {
            estimate: None,
            samples: 0,
            backoff: 0,
        }
    }
}

impl Limit for Textbook {
    fn limit(&self) -> Duration {
        let limit = match self.estimate {
            Some((smoothed, deviation)) if self.samples >= 10 => {
                smoothed + (4.0 * deviation).max(0.001)
            }
            _ => 1.0,
        };
        Duration::from_secs_f64((limit * 2_f64.powi(self.backoff)).clamp(0.01, 10.0))
    }

    fn answered(&mut self, latency: Duration, _: u64) {
        let latency = latency.as_secs_f64();
        let (mut smoothed, mut deviation) = self.estimate.unwrap_or((latency, latency / 2.0));
        if self.samples > 0 {
            deviation += ((latency - smoothed).abs() - deviation) / 4.0;
            smoothed += (latency - smoothed) / 8.0;
        }
        self.estimate = Some((smoothed, deviation));
        self.samples += 1;
        self.backoff = 0;
    }

    fn timed_out(&mut self, _: Duration, _: u64) {
        self.backoff = (self.backoff + 1).min(10);
    }
}

#[test]
fn few_good_requests_are_ended_in_calm() {
    let quoted = [(6.5, 62.0, 182.0), (2.3, 42.0, 67.0), (10.0, 10.0, 145.0)];
    for ((name, latency), (theirs_quoted, short, long)) in LATENCIES.into_iter().zip(quoted) {
        let ours = &run(&mut Ours::new(), latency, 200.0, &[calm(300)], 1)[0];
        let textbook = &run(&mut Textbook::new(), latency, 200.0, &[calm(300)], 1)[0];
        let (falsely, limit) = (ours.false_timeouts(10..300), ours.limit(10..300));
        let theirs = textbook.false_timeouts(10..300);
        let shorter = textbook.limit(10..300);
        println!(
            "calm, {name}: {falsely:.2} %, limit {limit:.0} ms; textbook {theirs:.2} %, \
             {shorter:.0} ms"
        );
        assert!(falsely < 0.2, "{name}: {falsely} %");
        // What the README says.
        for (measured, quoted) in [(theirs, theirs_quoted), (shorter, short), (limit, long)] {
            let close = (0.95 * quoted)..(1.05 * quoted);
            assert!(close.contains(&measured), "{name}: {measured}");
        }
    }
}

#[test]
fn a_step_up_and_down_is_followed() {
    for (name, latency) in LATENCIES {
        for slower in [5.0, 10.0] {
            let phases = [calm(40), slow(40, slower), calm(40)];
            let runs =
                SEEDS.map(|seed| three(run(&mut Ours::new(), latency, 200.0, &phases, seed)));
            let at_first = mean(&runs, |[_, up, _]| up.false_timeouts(0..10));
            let later = mean(&runs, |[_, up, _]| up.false_timeouts(10..40));
            let after = mean(&runs, |[_, _, down]| down.false_timeouts(0..40));
            let settled = mean(&runs, |[_, up, _]| up.settled());
            let [low, high] = [0, 1].map(|phase| mean(&runs, |run| run[phase].limit(20..40)));
            let back = mean(&runs, |[before, _, down]| {
                down.limit_is_back(1.5, before.limit(10..40))
            });
            println!(
                "x{slower}, {name}: {at_first:.2} % in the first 10 s, {later:.2} % later, settled \
                 after {settled:.1} s; limit {low:.0} -> {high:.0} ms, back after {back:.1} s"
            );
            if (name, slower) == ("cache", 10.0) {
                // What the README says that it cannot do: only those that miss the cache are too slow,
                // which may as well hang, and chance decides how soon they are let through.
                assert!(at_first < 10.2, "{name} x{slower}: {at_first} %");
                assert!(later < 3.0, "{name} x{slower}: {later} %");
                continue;
            }
            assert!(at_first < 2.5, "{name} x{slower}: {at_first} %");
            assert!(later < 0.3, "{name} x{slower}: {later} %");
            assert!(after < 0.3, "{name} x{slower}: {after} %");
            assert!(settled <= 2.0, "{name} x{slower}: {settled} s");
            assert!(back <= 3.5, "{name} x{slower}: {back} s");
            assert!(high > 0.6 * slower * low, "{name} x{slower}: {high} ms");
        }
    }
}

#[test]
fn without_its_timeouts_an_estimator_is_stuck_after_a_step() {
    for (name, latency) in [("steady", STEADY), ("cache", Latency::CacheWithMisses)] {
        let phases = [calm(40), slow(40, 10.0)];
        let naive = SEEDS.map(|seed| run(&mut Naive::new(), latency, 200.0, &phases, seed));
        let ours = SEEDS.map(|seed| run(&mut Ours::new(), latency, 200.0, &phases, seed));
        let naive = mean(&naive, |run| run[1].false_timeouts(10..40));
        let ours = mean(&ours, |run| run[1].false_timeouts(10..40));
        println!("x10, {name}: {ours:.2} % later; without timeouts {naive:.2} %");
        let bound = if name == "steady" { 0.3 } else { 3.0 };
        assert!(ours < bound, "{name}: {ours} %");
        // All of them, or all that miss the cache.
        let stuck = if name == "steady" { 99.9 } else { 9.7 };
        assert!(naive > stuck, "{name}: {naive} %");
    }
}

#[test]
fn hung_requests_do_not_stretch_the_limit() {
    for (name, latency) in LATENCIES {
        for (hung, tolerated) in [(0.01, 1.02), (0.05, 1.2)] {
            let phases = [calm(60), hanging(120, hung)];
            let runs = SEEDS.map(|seed| run(&mut Ours::new(), latency, 200.0, &phases, seed));
            let stretch = mean(&runs, |run| run[1].limit(10..120) / run[0].limit(10..60));
            let falsely = mean(&runs, |run| run[1].false_timeouts(0..120));
            let percent = hung * 100.0;
            println!("{percent} % hung, {name}: limit x {stretch:.2}, {falsely:.2} %");
            assert!(stretch < tolerated, "{name}: {stretch}");
            assert!(falsely < 0.3, "{name}: {falsely} %");
        }
    }
}

#[test]
fn a_service_with_few_requests_is_followed() {
    for (name, latency) in [("heavy tail", HEAVY), ("light tail", LIGHT)] {
        let phases = [calm(600), slow(600, 5.0), calm(600)];
        let runs = SEEDS.map(|seed| three(run(&mut Ours::new(), latency, 1.0, &phases, seed)));
        let before = mean(&runs, |[before, ..]| before.false_timeouts(20..600));
        let at_first = mean(&runs, |[_, up, _]| up.false_timeouts(0..20));
        let later = mean(&runs, |[_, up, _]| up.false_timeouts(20..600));
        let back = mean(&runs, |[before, _, down]| {
            down.limit_is_back(1.5, before.limit(60..600))
        });
        println!(
            "1 request/s, x5, {name}: {before:.2} % before, {at_first:.1} % in the first 20 s, \
             {later:.2} % later, back after {back:.0} s"
        );
        assert!(before < 0.5, "{name}: {before} %");
        assert!(at_first < 25.0, "{name}: {at_first} %");
        assert!(later < 0.5, "{name}: {later} %");
        assert!((150.0..200.0).contains(&back), "{name}: {back} s");
    }
}

#[test]
fn an_outage_relaxes_the_limit_and_leaves_no_trace() {
    for (name, latency) in LATENCIES {
        let phases = [calm(40), hanging(20, 1.0), calm(40)];
        let runs = SEEDS.map(|seed| three(run(&mut Ours::new(), latency, 200.0, &phases, seed)));
        let during = mean(&runs, |[_, outage, _]| outage.limit(15..20));
        let falsely = mean(&runs, |[.., after]| after.false_timeouts(0..40));
        let back = mean(&runs, |[before, _, after]| {
            after.limit_is_back(1.5, before.limit(10..40))
        });
        println!("outage, {name}: limit back after {back:.1} s, {falsely:.2} % after");
        assert!(during > 9_999.0, "{name}: {during} ms");
        // The last hung request ends ten seconds, the longest limit, after the outage.
        assert!(back <= 12.0, "{name}: {back} s");
        assert!(falsely < 0.3, "{name}: {falsely} %");
    }
}

fn three(observed: Vec<Observed>) -> [Observed; 3] {
    observed.try_into().unwrap()
}

fn mean<T>(runs: &[T], measure: impl Fn(&T) -> f64) -> f64 {
    runs.iter().map(measure).sum::<f64>() / runs.len() as f64
}

const SEEDS: [u64; 3] = [1, 2, 3];
