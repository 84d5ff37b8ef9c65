//! One probe at a time, and probation after it.

use std::sync::Arc;

use crate::{
    eject,
    health::{Register, State},
    patient::{SECOND, around, claim, defaults, set, succeed},
};

#[test]
fn one_request_probes_when_the_time_has_come_and_only_its_verdict_counts() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    let before = endpoint.ticket(false);
    eject(&register, endpoint, 0);
    assert!(!register.is_due(SECOND - 1) && register.is_due(SECOND));
    assert!(claim(&register, SECOND - 1).is_none());
    let (probed, is_probe) = claim(&register, SECOND).unwrap();
    assert!(Arc::ptr_eq(&probed, endpoint) && is_probe);
    assert!(claim(&register, 10 * SECOND).is_none(), "one at a time");

    // Neither what was sent before the ejection nor what was sent without a claim has a say.
    for other in [before, endpoint.ticket(false)] {
        assert!(register.succeeded(endpoint, other, SECOND).is_none());
        assert!(register.failed(endpoint, other, around(SECOND)).is_none());
        assert_eq!(endpoint.state(), State::Probing);
    }
    register.succeeded(endpoint, endpoint.ticket(true), SECOND);
    assert_eq!(endpoint.state(), State::Probation(1));
    assert_eq!(register.ejected(), 0);
}

#[test]
fn a_probe_without_a_verdict_frees_its_place() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    eject(&register, &endpoints[0], 0);
    claim(&register, SECOND).unwrap();
    let probe = endpoints[0].ticket(true);
    register.unproven(&endpoints[0], probe, false, around(2 * SECOND));
    assert!(claim(&register, 2 * SECOND).is_some(), "at once");
    // One that has hung costs its client's patience, so the next one is not due at once.
    let probe = endpoints[0].ticket(true);
    register.unproven(&endpoints[0], probe, true, around(3 * SECOND));
    assert!(claim(&register, 3 * SECOND).is_none());
    assert!(claim(&register, 4 * SECOND).is_none());
    assert!(claim(&register, 5 * SECOND).is_some());
}

#[test]
fn a_probe_that_is_late_frees_no_other_ones_place_but_may_still_tell() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    eject(&register, endpoint, 0);
    claim(&register, SECOND).unwrap();
    let late = endpoint.ticket(true);
    claim(&register, 12 * SECOND).expect("one that takes so long is not waited for");
    register.unproven(endpoint, late, false, around(12 * SECOND));
    assert_eq!(endpoint.state(), State::Probing);
    assert!(claim(&register, 13 * SECOND).is_none(), "one at a time");
    register.succeeded(endpoint, late, 13 * SECOND);
    assert_eq!(endpoint.state(), State::Probation(1));
}

#[test]
fn an_endpoint_that_is_not_ready_is_probed_later() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    eject(&register, &endpoints[0], 0);
    assert!(register.claim(SECOND, 1000.0, |_| None::<()>).is_none());
    assert_eq!(endpoints[0].state(), State::Ejected);
    assert!(!register.is_due(SECOND + SECOND / 20));
    assert!(claim(&register, SECOND + SECOND / 10).is_some());
}

#[test]
fn probation_lets_more_in_as_they_go_well() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    eject(&register, endpoint, 0);
    claim(&register, SECOND).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), SECOND);
    for most in [1, 2, 4, 8, 16] {
        for _ in 0..most {
            assert_eq!(endpoint.state(), State::Probation(most));
            succeed(&register, endpoint, SECOND);
        }
    }
    assert_eq!(endpoint.state(), State::Admitted);
}
