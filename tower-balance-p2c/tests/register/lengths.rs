//! How long an endpoint is left alone.

use std::sync::Arc;

use crate::{
    eject,
    health::{EjectionNanos, Register, State},
    patient::{Patient, SECOND, around, claim, defaults, fail, fail_probe, set, succeed},
};

#[test]
fn ejections_double_up_to_the_longest_and_are_forgotten_after_a_while() {
    let settings = EjectionNanos {
        requests_per_probe: u32::MAX,
        max: 5 * SECOND,
        ..defaults()
    };
    let register = Register::new(settings);
    let endpoints = set(&register, 4);
    let endpoint = &endpoints[0];
    let mut now = 0;
    eject(&register, endpoint, now);
    for seconds in [1, 2, 4, 5, 5] {
        assert!(!register.is_due(now + seconds * SECOND - 1));
        now += seconds * SECOND;
        claim(&register, now).unwrap();
        fail_probe(&register, endpoint, around(now));
    }
    now += 5 * SECOND;
    claim(&register, now).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), now);
    for _ in 0..31 {
        succeed(&register, endpoint, now);
    }
    assert_eq!(endpoint.state(), State::Admitted);
    // Soon after it is as bad as before, later it is not.
    let (mut soon, mut later) = (now + SECOND, now + 100 * SECOND);
    claim(&register, soon);
    eject(&register, endpoint, soon);
    soon += 5 * SECOND - 1;
    assert!(!register.is_due(soon));
    claim(&register, soon + 1).unwrap();
    register.succeeded(endpoint, endpoint.ticket(true), soon);
    for _ in 0..31 {
        succeed(&register, endpoint, soon);
    }
    assert!(claim(&register, later).is_none());
    eject(&register, endpoint, later);
    later += SECOND;
    assert!(register.is_due(later));
}

#[test]
fn a_busy_set_is_probed_sooner_and_an_idle_one_is_left_to_the_clock() {
    for (rate, seconds) in [(1_000_000.0, 1), (4250.0, 2), (10.0, 16)] {
        let register = Register::new(defaults());
        let endpoints = set(&register, 4);
        let mut surroundings = around(0);
        surroundings.rate = rate;
        for _ in 0..3 {
            fail(&register, &endpoints[0], surroundings);
        }
        for _ in 0..4 {
            surroundings.now += 100 * SECOND;
            claim(&register, surroundings.now).unwrap();
            fail_probe(&register, &endpoints[0], surroundings);
        }
        let due = surroundings.now + seconds * SECOND;
        assert!(!register.is_due(due - 1) && register.is_due(due), "{rate}");
    }
}

#[test]
fn chance_shortens_an_ejection_by_a_fifth_at_the_most() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut surroundings = around(0);
    surroundings.chance = 1.0;
    for _ in 0..3 {
        fail(&register, &endpoints[0], surroundings);
    }
    assert!(!register.is_due(SECOND / 10 * 8 - 1) && register.is_due(SECOND / 10 * 8));
}

#[test]
fn who_asks_to_be_left_alone_is_for_as_long_as_the_cap_allows() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let asks = |endpoint: &Arc<Patient>, seconds| {
        let ticket = endpoint.ticket(false);
        register.pushed_back(endpoint, ticket, seconds * SECOND, around(0))
    };
    assert!(asks(&endpoints[0], 0).is_none());
    asks(&endpoints[0], 7).unwrap();
    assert!(!register.is_due(7 * SECOND - 1) && register.is_due(7 * SECOND));
    asks(&endpoints[1], 9_999).unwrap();
    register.leave(&endpoints[0]);
    assert!(!register.is_due(30 * SECOND - 1) && register.is_due(30 * SECOND));
    let off = Register::new(EjectionNanos {
        max_pushback: 0,
        ..defaults()
    });
    off.set_members(4);
    let ticket = endpoints[2].ticket(false);
    assert!(
        off.pushed_back(&endpoints[2], ticket, SECOND, around(0))
            .is_none()
    );
}

#[test]
fn who_asks_for_a_moment_only_is_not_probed_by_each_request() {
    let register = Register::new(defaults());
    let endpoints = set(&register, 4);
    let mut now = 0;
    for at_least in [1, 1, 2, 4] {
        let ticket = endpoints[0].ticket(now > 0);
        register.pushed_back(&endpoints[0], ticket, 1_000_000, around(now));
        assert!(!register.is_due(now + at_least * SECOND - 1));
        now += at_least * SECOND;
        assert!(claim(&register, now).is_some());
    }
}
