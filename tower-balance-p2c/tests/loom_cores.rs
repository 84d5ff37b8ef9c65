//! What threads share, under every interleaving.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../src/flights.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod flights;
#[path = "../src/health/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "as the crate has it"
)]
mod health;
#[path = "../src/latency.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod latency;
#[path = "../src/outcomes.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod outcomes;
#[path = "support/patient.rs"]
mod patient;
#[path = "../src/typical.rs"]
#[allow(dead_code, reason = "covered elsewhere")]
mod typical;

mod sync {
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    };
}

use std::sync::Arc;

use flights::Flights;
use health::{EjectionNanos, Register, State};
use latency::Latency;
use loom::thread;
use outcomes::Outcomes;
use patient::{Patient, SECOND, around, claim, defaults, fail, set};
use typical::Typical;

const DECAY: u64 = 1_000;

/// Every interleaving in which a thread is interrupted twice at the most.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(run);
}

#[test]
fn no_request_is_lost_from_those_in_flight() {
    model(|| {
        let flights = Arc::new(Flights::new());
        let racing = Arc::clone(&flights);
        let thread = thread::spawn(move || {
            racing.started(10, 1_000);
            racing.answered();
            racing.released();
        });
        flights.started(15, 1_000);
        flights.cancelled(15);
        flights.started(25, 1_000);
        thread.join().unwrap();
        let (in_flight, silence) = (flights.in_flight(), flights.silence(30));
        assert_eq!(in_flight, 1);
        assert!((0..=20).contains(&silence), "{silence}");
    });
}

#[test]
fn every_outcome_counts_while_the_window_moves() {
    model(|| {
        let outcomes = Arc::new(Outcomes::new(100));
        outcomes.record_failure(1);
        let racing = Arc::clone(&outcomes);
        let thread = thread::spawn(move || racing.record_failure(12));
        outcomes.record_failure(11);
        thread.join().unwrap();
        assert_eq!(outcomes.totals().failures, 3);
        let expected: f64 = 0.875 * 0.875 * 0.875;
        assert_eq!(outcomes.ratio(12), expected);
        assert!(outcomes.in_window(12).failures <= 3);
    });
}

#[test]
fn no_sample_is_torn() {
    model(|| {
        let latency = Arc::new(Latency::new(0));
        latency.record(100, 0, 0, DECAY);
        let racing = Arc::clone(&latency);
        let thread = thread::spawn(move || racing.record(500, 0, 100, DECAY));
        latency.record(200, 0, 200, DECAY);
        thread.join().unwrap();
        let found = latency.per_place(0.0, 100, DECAY).unwrap();
        assert!((100.0..500.0).contains(&found), "{found}");
    });
}

#[test]
fn the_higher_of_two_that_were_given_up_stays() {
    model(|| {
        let latency = Arc::new(Latency::new(0));
        latency.record(100, 0, 0, DECAY);
        let racing = Arc::clone(&latency);
        let thread = thread::spawn(move || racing.record_at_least(300, 0, 100.0, 10, DECAY));
        latency.record_at_least(400, 0, 100.0, 10, DECAY);
        thread.join().unwrap();
        assert_eq!(latency.per_place(100.0, 10, DECAY), Some(400.0));
    });
}

#[test]
fn one_of_many_renews() {
    model(|| {
        let typical = Arc::new(Typical::new(0, DECAY));
        let racing = Arc::clone(&typical);
        let later = 1_000_000_000;
        let thread = thread::spawn(move || racing.claim_renewal(later).is_some());
        let mine = typical.claim_renewal(later).is_some();
        assert!(mine ^ thread.join().unwrap());
    });
}

/// One failure ejects, of two endpoints one at the most.
fn strict() -> Arc<Register<Patient>> {
    Arc::new(Register::new(EjectionNanos {
        consecutive: 1,
        ..defaults()
    }))
}

#[test]
fn racing_failures_eject_no_more_than_allowed() {
    model(|| {
        let register = strict();
        let patients = set(&register, 2);
        for _ in 0..2 {
            for patient in &patients {
                fail(&register, patient, around(0));
                assert_eq!(patient.state(), State::Admitted, "so far it may be chance");
            }
        }
        let (racing, other) = (Arc::clone(&register), Arc::clone(&patients[1]));
        let thread = thread::spawn(move || fail(&racing, &other, around(0)));
        fail(&register, &patients[0], around(0));
        thread.join().unwrap();
        assert_eq!(register.ejected(), 1);
        let out = |patient: &&Arc<Patient>| patient.state() == State::Ejected;
        assert_eq!(patients.iter().filter(out).count(), 1);
    });
}

#[test]
fn one_endpoint_is_ejected_once_by_failures_that_race() {
    model(|| {
        let register = strict();
        let patients = set(&register, 2);
        for _ in 0..2 {
            fail(&register, &patients[0], around(0));
        }
        let (racing, same) = (Arc::clone(&register), Arc::clone(&patients[0]));
        let thread = thread::spawn(move || fail(&racing, &same, around(0)));
        fail(&register, &patients[0], around(0));
        thread.join().unwrap();
        assert_eq!((register.ejected(), patients[0].ejections()), (1, 1));
    });
}

#[test]
fn one_of_many_requests_is_the_probe() {
    model(|| {
        let register = strict();
        let patients = set(&register, 2);
        for _ in 0..3 {
            fail(&register, &patients[0], around(0));
        }
        let racing = Arc::clone(&register);
        let thread = thread::spawn(move || claim(&racing, 2 * SECOND).is_some());
        let mine = claim(&register, 2 * SECOND).is_some();
        assert!(mine ^ thread.join().unwrap());
        assert_eq!(patients[0].state(), State::Probing);
    });
}
