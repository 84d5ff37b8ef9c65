//! How the pure core behaves when the service changes. The README quotes the numbers that these
//! tests print (`cargo test --test estimator_steps -- --nocapture`).
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator.rs"]
mod estimator;
mod simulation;
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

use estimator::{Estimator, Settings};
use simulation::{Latency, Limit, Observed, calm, hanging, run, slow};

/// Median 15 ms, p95 56 ms, p99 96 ms, p99.9 178 ms.
const HEAVY: Latency = Latency::LogNormal(15.0, 0.8);
/// Median 20 ms, p95 33 ms, p99 40 ms, p99.9 51 ms.
const LIGHT: Latency = Latency::LogNormal(20.0, 0.3);

const LATENCIES: [(&str, Latency); 3] = [
    ("heavy tail", HEAVY),
    ("light tail", LIGHT),
    ("cache", Latency::CacheWithMisses),
];

struct Ours(Estimator);

impl Ours {
    fn new() -> Self {
        Self(Estimator::new(Settings::default()))
    }
}

impl Limit for Ours {
    fn limit(&self) -> Duration {
        self.0.limit()
    }

    fn answered(&mut self, latency: Duration) {
        self.0.answered(latency);
    }

    fn timed_out(&mut self, limit: Duration) {
        self.0.timed_out(limit);
    }
}

/// The same, but a timeout teaches it nothing: it knows only what survived its own limit.
struct Naive(Estimator);

impl Naive {
    fn new() -> Self {
        Self(Estimator::new(Settings::default()))
    }
}

impl Limit for Naive {
    fn limit(&self) -> Duration {
        self.0.limit()
    }

    fn answered(&mut self, latency: Duration) {
        self.0.answered(latency);
    }

    fn timed_out(&mut self, _: Duration) {}
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

    fn answered(&mut self, latency: Duration) {
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

    fn timed_out(&mut self, _: Duration) {
        self.backoff = (self.backoff + 1).min(10);
    }
}

#[test]
fn few_good_requests_are_ended_in_calm() {
    for (name, latency) in LATENCIES {
        let ours = &run(&mut Ours::new(), latency, 200.0, &[calm(300)], 11)[0];
        let textbook = &run(&mut Textbook::new(), latency, 200.0, &[calm(300)], 11)[0];
        let (falsely, limit) = (ours.false_timeouts(10..300), ours.limit(10..300));
        let theirs = textbook.false_timeouts(10..300);
        println!(
            "calm, {name}: {falsely:.2} %, limit {limit:.0} ms; textbook {theirs:.2} %, {:.0} ms",
            textbook.limit(10..300)
        );
        assert!(falsely < 0.3, "{name}: {falsely} %");
        assert!(theirs > 5.0 * falsely, "{name}: textbook {theirs} %");
        assert!((50.0..220.0).contains(&limit), "{name}: {limit} ms");
    }
}

#[test]
fn a_step_up_and_down_is_followed() {
    for (name, latency) in LATENCIES {
        for slower in [5.0, 10.0] {
            let phases = [calm(60), slow(60, slower), calm(60)];
            let [before, up, down] = three(run(&mut Ours::new(), latency, 200.0, &phases, 11));
            let at_first = up.false_timeouts(0..10);
            let later = up.false_timeouts(10..60);
            let settled = up.settled();
            let back = down.limit_is_back(1.5, before.limit(10..60)).unwrap();
            println!(
                "x{slower}, {name}: {at_first:.2} % in the first 10 s, {later:.2} % later, \
                 settled after {settled} s; limit {:.0} -> {:.0} ms, back after {back} s",
                before.limit(10..60),
                up.limit(10..60),
            );
            assert!(at_first < 2.5, "{name} x{slower}: {at_first} %");
            assert!(later < 0.4, "{name} x{slower}: {later} %");
            assert!(settled <= 2, "{name} x{slower}: {settled} s");
            assert!(back <= 5, "{name} x{slower}: {back} s");
            assert!(down.false_timeouts(0..60) < 0.3);
        }
    }
}

#[test]
fn without_its_timeouts_an_estimator_is_stuck_after_a_step() {
    for (name, latency) in [("light tail", LIGHT), ("cache", Latency::CacheWithMisses)] {
        let phases = [calm(60), slow(60, 10.0)];
        let naive = &run(&mut Naive::new(), latency, 200.0, &phases, 11)[1];
        let ours = &run(&mut Ours::new(), latency, 200.0, &phases, 11)[1];
        let (naive, ours) = (naive.false_timeouts(10..60), ours.false_timeouts(10..60));
        println!("x10, {name}: {ours:.2} % later; without timeouts {naive:.2} %");
        assert!(ours < 0.4, "{name}: {ours} %");
        assert!(naive > 9.0, "{name}: {naive} %");
    }
}

#[test]
fn hung_requests_do_not_stretch_the_limit() {
    for (name, latency) in LATENCIES {
        for (hung, tolerated) in [(0.01, 1.05), (0.05, 1.35)] {
            let phases = [calm(60), hanging(300, hung)];
            let observed = run(&mut Ours::new(), latency, 200.0, &phases, 11);
            let stretch = observed[1].limit(10..300) / observed[0].limit(10..60);
            let falsely = observed[1].false_timeouts(0..300);
            println!(
                "{} % hung, {name}: limit x {stretch:.2}, {falsely:.2} %",
                hung * 100.0
            );
            assert!(stretch < tolerated, "{name}: {stretch}");
            assert!(falsely < 0.3, "{name}: {falsely} %");
        }
    }
}

#[test]
fn a_service_with_few_requests_is_followed() {
    for (name, latency) in [("heavy tail", HEAVY), ("light tail", LIGHT)] {
        let phases = [calm(600), slow(600, 5.0), calm(600)];
        let [before, up, down] = three(run(&mut Ours::new(), latency, 1.0, &phases, 11));
        let calm = before.false_timeouts(20..600);
        let (first, later) = (up.false_timeouts(0..20), up.false_timeouts(20..600));
        let back = down.limit_is_back(1.5, before.limit(60..600)).unwrap();
        println!(
            "1 request/s, x5, {name}: {calm:.2} % before, {first:.1} % in the first 20 s, \
             {later:.2} % later, back after {back} s"
        );
        assert!(calm < 0.6, "{name}: {calm} %");
        assert!(first < 40.0, "{name}: {first} %");
        assert!(later < 0.6, "{name}: {later} %");
        assert!(back < 300, "{name}: {back} s");
    }
}

#[test]
fn an_outage_relaxes_the_limit_and_leaves_no_trace() {
    for (name, latency) in LATENCIES {
        let phases = [calm(60), hanging(20, 1.0), calm(60)];
        let [before, outage, after] = three(run(&mut Ours::new(), latency, 200.0, &phases, 11));
        let usual = before.limit(10..60);
        let back = after.limit_is_back(1.5, usual).unwrap();
        let falsely = after.false_timeouts(0..60);
        println!("outage, {name}: limit back after {back} s, {falsely:.2} % after");
        assert!(outage.limit(15..20) > 9_999.0, "{name}");
        // The last hung request ends ten seconds, the longest limit, after the outage.
        assert!(back <= 12, "{name}: {back} s");
        assert!(falsely < 0.3, "{name}: {falsely} %");
    }
}

fn three(observed: Vec<Observed>) -> [Observed; 3] {
    observed.try_into().unwrap()
}
