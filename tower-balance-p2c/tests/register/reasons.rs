//! What ejects an endpoint.

use crate::{
    eject,
    health::{Register, State},
    patient::{SECOND, around, defaults, fail, set, succeed},
};

#[test]
fn three_failures_in_a_row_eject_and_a_success_in_between_does_not() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    for _ in 0..50 {
        fail(&register, &endpoints[0], around(0));
        fail(&register, &endpoints[0], around(0));
        for _ in 0..30 {
            succeed(&register, &endpoints[0], 0);
        }
        assert_eq!(endpoints[0].state(), State::Admitted);
    }
    assert_eq!(eject(&register, &endpoints[0], 0), 3);
    assert_eq!(register.ejected(), 1);
}

#[test]
fn more_are_needed_where_all_fail() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut surroundings = around(0);
    surroundings.failing = 0.5;
    for _ in 0..16 {
        fail(&register, &endpoints[0], surroundings);
        assert_eq!(endpoints[0].state(), State::Admitted);
    }
    fail(&register, &endpoints[0], surroundings);
    assert_eq!(endpoints[0].state(), State::Ejected);
    surroundings.failing = 1.0;
    for _ in 0..1000 {
        fail(&register, &endpoints[1], surroundings);
    }
    assert_eq!(endpoints[1].state(), State::Admitted);
}

#[test]
fn half_of_the_requests_failing_ejects_within_twenty() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    for request in 0.. {
        assert!(request < 20);
        succeed(&register, &endpoints[0], 0);
        fail(&register, &endpoints[0], around(0));
        if endpoints[0].state() == State::Ejected {
            break;
        }
    }
}

#[test]
fn a_quarter_of_the_requests_failing_ejects_and_a_tenth_does_not() {
    for (every, ejects) in [(4, true), (10, false)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, 4);
        for request in 1..=1000_u64 {
            let now = request * SECOND / 100;
            if request % every == 0 {
                fail(&register, &endpoints[0], around(now));
            } else {
                succeed(&register, &endpoints[0], now);
            }
        }
        assert_eq!(endpoints[0].ejections() > 0, ejects, "each {every}th");
    }
}

#[test]
fn no_more_than_allowed_are_ejected() {
    for (members, most) in [(1, 0), (2, 1), (3, 1), (10, 5)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, members);
        for _ in 0..10 {
            for endpoint in &endpoints {
                fail(&register, endpoint, around(0));
            }
        }
        assert_eq!(register.ejected(), most, "of {members}");
    }
}
