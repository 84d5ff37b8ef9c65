//! A clock that steps back: tokio's cannot, so that the cores are given the time.

use crate::{
    health::{Register, State},
    latency::Latency,
    outcomes::Outcomes,
    patient::{SECOND, around, claim, defaults, fail, set},
};

#[test]
fn a_latency_survives_it() {
    let latency = Latency::new(100 * SECOND);
    for now in [100, 50, 0, 200, 199] {
        latency.record(7_000_000, 0, now * SECOND, 10 * SECOND);
        latency.record_at_least(6_000_000, 0, 7e6, now * SECOND / 2, 10 * SECOND);
        for look in [0, now * SECOND / 2, u64::MAX] {
            let seen = latency.per_place(7e6, look, 10 * SECOND).unwrap();
            assert!((seen - 7e6).abs() < 1.0, "{seen}");
        }
    }
}

#[test]
fn outcomes_survive_it() {
    let outcomes = Outcomes::new(10 * SECOND);
    for now in [100, 50, 0, 101] {
        outcomes.record_failure(now * SECOND);
        outcomes.flights().started(now * SECOND, u64::MAX);
        outcomes.answered_and_released(true, now * SECOND);
        let ratio = outcomes.ratio(now * SECOND);
        assert!((0.01..1.0).contains(&ratio), "{ratio}");
        assert!(outcomes.in_window(now * SECOND).total() >= 2);
    }
    assert_eq!(outcomes.totals().total(), 8);
    assert_eq!(outcomes.ratio(112 * SECOND), 1.0);
}

#[test]
fn an_ejection_survives_it() {
    let register = Register::new(defaults());
    let patients = set(&register, 2);
    for seconds in [100, 50] {
        fail(&register, &patients[0], around(seconds * SECOND));
        assert_eq!(patients[0].state(), State::Admitted);
    }
    fail(&register, &patients[0], around(0));
    assert_eq!(patients[0].state(), State::Ejected);
    assert!(claim(&register, SECOND / 2).is_none());
    assert!(claim(&register, SECOND).is_some_and(|(_, is_probe)| is_probe));
    register.succeeded(&patients[0], patients[0].ticket(true), 0);
    assert_eq!(patients[0].state(), State::Probation(1));
}
