//! Racing updates of the estimates, under every interleaving.

#[allow(dead_code, reason = "reads are covered elsewhere")]
#[path = "../src/ewma.rs"]
mod ewma;
#[allow(dead_code, reason = "reads are covered elsewhere")]
#[path = "../src/success.rs"]
mod success;
#[allow(dead_code, reason = "the median is covered elsewhere")]
#[path = "../src/typical.rs"]
mod typical;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use ewma::{PeakEwma, Updated};
use loom::{sync::Arc, thread};
use success::Success;
use typical::Typical;

const DECAY: u64 = 1_000;

#[test]
fn every_interval_is_claimed_once() {
    loom::model(|| {
        let updated = Arc::new(Updated::new(10));
        let claims = [30, 20].map(|now| {
            let updated = Arc::clone(&updated);
            thread::spawn(move || updated.claim(now))
        });
        let mine = updated.claim(40);
        let others: u64 = claims.map(|claim| claim.join().unwrap()).iter().sum();
        assert_eq!(mine + others, 30);
        assert_eq!(updated.since(40), 0);
    });
}

#[test]
fn no_sample_is_torn_or_lost() {
    loom::model(|| {
        let estimate = Arc::new(PeakEwma::new(0));
        let racing = Arc::clone(&estimate);
        let thread = thread::spawn(move || racing.record(500, 100, DECAY));
        estimate.record(200, 200, DECAY);
        thread.join().unwrap();
        let found = estimate.projected(0.0, 200, DECAY).unwrap();
        // The peak stays, but for the weight of what came after it: 200 ns at the most.
        let least = 200.0 + 300.0 * (-0.2f64).exp();
        assert!((least - 1e-9..=500.0).contains(&found), "{found}");
    });
}

#[test]
fn a_cancelled_request_does_not_undo_a_sample() {
    loom::model(|| {
        let estimate = Arc::new(PeakEwma::new(0));
        estimate.record(100, 0, DECAY);
        let racing = Arc::clone(&estimate);
        let thread = thread::spawn(move || racing.record_at_least(300, 100.0, 10, DECAY));
        estimate.record(400, 10, DECAY);
        thread.join().unwrap();
        assert_eq!(estimate.projected(100.0, 10, DECAY), Some(400.0));
    });
}

#[test]
fn racing_failures_all_count() {
    loom::model(|| {
        let success = Arc::new(Success::new(0));
        let racing = Arc::clone(&success);
        let thread = thread::spawn(move || racing.record_failure(0, DECAY));
        success.record_failure(0, DECAY);
        thread.join().unwrap();
        assert_eq!(success.ratio(0, DECAY), 0.875 * 0.875);
    });
}

#[test]
fn one_of_many_renews() {
    loom::model(|| {
        let typical = Arc::new(Typical::new(0));
        let racing = Arc::clone(&typical);
        let later = 1_000_000_000;
        let thread = thread::spawn(move || racing.claim_renewal(later));
        let mine = typical.claim_renewal(later);
        assert!(mine ^ thread.join().unwrap());
    });
}
