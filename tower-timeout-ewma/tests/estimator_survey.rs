//! How good the estimator is, on seeds that no constant was chosen with and on three latencies
//! that were not looked at either. The README quotes what this prints:
//!
//! `cargo test --release --test estimator_survey -- --ignored --nocapture`

#![allow(clippy::print_stdout, reason = "it is a report")]

#[allow(dead_code, unreachable_pub)]
#[path = "../src/estimator/mod.rs"]
mod estimator;
#[allow(dead_code)]
mod simulation;
mod sync {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

use simulation::{Latency, Observed, Ours, Phase, calm, hanging, run, slow};

const LATENCIES: [(&str, Latency); 6] = [
    ("15 ms, sigma 0.8", Latency::LogNormal(15.0, 0.8)),
    ("20 ms, sigma 0.3", Latency::LogNormal(20.0, 0.3)),
    ("cache", Latency::CacheWithMisses),
    ("40 ms, sigma 0.55", Latency::LogNormal(40.0, 0.55)),
    ("5 ms, sigma 1.2", Latency::LogNormal(5.0, 1.2)),
    ("100 ms, sigma 0.1", Latency::LogNormal(100.0, 0.1)),
];

#[test]
#[ignore = "a minute; see the top of the file"]
fn survey() {
    for (name, latency) in LATENCIES {
        for rate in [50.0, 200.0, 1000.0] {
            println!("{name}, {rate} requests/s: mean (worst) of 20 seeds");
            steps(latency, rate);
            hung(latency, rate);
            outage(latency, rate);
        }
    }
}

fn steps(latency: Latency, rate: f64) {
    for slower in [5.0, 10.0] {
        let runs = runs(latency, rate, &[calm(40), slow(40, slower), calm(40)]);
        let later = each(&runs, |run| run[1].false_timeouts(10..40));
        let stuck = later.iter().filter(|later| **later > 1.0).count();
        println!(
            "  x{slower}: calm {} %, first 10 s {} %, later {} % ({stuck} of 20 above 1 %), back {} s",
            summary(&each(&runs, |run| run[0].false_timeouts(10..40))),
            summary(&each(&runs, |run| run[1].false_timeouts(0..10))),
            summary(&later),
            summary(&each(&runs, |run| {
                run[2].limit_is_back(1.5, run[0].limit(10..40))
            })),
        );
        assert!(stuck <= 4, "{stuck}");
    }
}

fn hung(latency: Latency, rate: f64) {
    for share in [0.01, 0.05] {
        let runs = runs(latency, rate, &[calm(60), hanging(120, share)]);
        let stretch = each(&runs, |run| run[1].limit(10..120) / run[0].limit(10..60));
        println!("  {} % hung: limit x {}", share * 100.0, summary(&stretch));
        assert!(stretch.iter().all(|stretch| *stretch < 1.8), "{stretch:?}");
    }
}

fn outage(latency: Latency, rate: f64) {
    let runs = runs(latency, rate, &[calm(40), hanging(20, 1.0), calm(40)]);
    let back = each(&runs, |run| run[2].limit_is_back(1.5, run[0].limit(10..40)));
    println!("  outage: limit back after {} s", summary(&back));
    assert!(back.iter().all(|back| *back < 20.0), "{back:?}");
}

fn runs(latency: Latency, rate: f64, phases: &[Phase]) -> Vec<Vec<Observed>> {
    (1000..1020)
        .map(|seed| run(&mut Ours::new(), latency, rate, phases, seed))
        .collect()
}

fn each(runs: &[Vec<Observed>], measure: impl Fn(&[Observed]) -> f64) -> Vec<f64> {
    runs.iter().map(|run| measure(run)).collect()
}

fn summary(values: &[f64]) -> String {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let worst = values.iter().copied().fold(0.0, f64::max);
    format!("{mean:.2} ({worst:.2})")
}
